"""The line on the page: the forms stay usable while something trains, and what they hold starts next."""

import re
from typing import Any

import pytest
from browser import (
    TWO_SMALL,
    Faults,
    Server,
    ask,
    badges,
    latest,
    open_from_history,
    set_quick_models,
    show_settings,
    start,
    stop_training,
    tell,
    train_to_the_end,
    wait_for,
)
from playwright.sync_api import Page, expect

LONG = {name: config | {"epochs": 500} for name, config in TWO_SMALL.items()}


def with_dropout(dropout: float, **settings: Any) -> dict[str, Any]:
    """Return a comparison whose second model has another dropout."""
    return {"model1": TWO_SMALL["model1"] | settings, "model2": TWO_SMALL["model1"] | settings | {"dropout": dropout}}


@pytest.fixture(autouse=True)
def nobody_waits(blank: Page) -> Any:
    """Nothing is in line before or after a test; pages of other tests share the server."""
    yield
    for item in ask(blank, "queue")["items"]:
        tell(blank, f"queue/{item['id']}/delete", {})


def names(page: Page) -> list[str]:
    return page.locator("#queue .queue-name").all_text_contents()


def dropouts_in_line(page: Page) -> list[float]:
    return [item["configs"]["model2"]["dropout"] for item in ask(page, "queue")["items"]]


def test_what_is_set_while_a_run_trains_starts_when_that_has_ended(page: Page) -> None:
    expect(page.locator("#start-next")).to_be_hidden()
    set_quick_models(page)
    start(page)
    badges(page, "running")
    show_settings(page)
    for model in ("model1", "model2"):
        page.locator(f"[name='{model}.epochs']").fill("1")
    page.locator("[name='model2.dropout']").fill("0.3")
    expect(page.locator("#what-trains")).to_have_text(
        "The forms are for what starts next. What trains now: model 1 with epochs 500; model 2 with dropout 0.5, epochs 500."
    )
    page.click("#start-next")
    expect(page.locator("#queue-state")).to_have_text("1 comparison, the next starts when this run has ended")
    assert names(page) == ["Kernels 4 → 8, Dropout 0.5 → 0.3"]
    page.locator("[name='model2.dropout']").fill("0.4")
    page.click("#start-next")
    expect(page.locator("#queue .queue-name")).to_have_count(2)
    first = ask(page, "metrics")["run"]
    page.locator("[name='model2.dropout']").fill("0.25")  # typed, and in no line yet
    stop_training(page)
    expect(page.locator("#queue-state")).to_have_text("2 comparisons, waiting for “Go on”")
    expect(page.locator("#start")).to_be_enabled()
    page.locator("#queue").get_by_role("button", name="Go on").click()
    expect(page.locator("#queue")).to_be_hidden()
    badges(page, "finished")
    runs = [run["models"]["model2"]["config"]["dropout"] for run in ask(page, "runs")["runs"]]
    assert runs[:3] == [0.4, 0.3, 0.5]
    assert ask(page, "runs")["runs"][2]["id"] == first
    expect(page.locator("[name='model2.dropout']")).to_have_value("0.25")
    expect(page.locator("#start-next")).to_be_hidden()


def test_a_past_run_that_is_open_stays_so_when_the_next_in_line_starts(page: Page) -> None:
    train_to_the_end(page, with_dropout(0.1, epochs=1))
    past = latest(page)
    tell(page, "start", with_dropout(0.2, epochs=2))
    first = latest(page)
    tell(page, "queue", with_dropout(0.3, epochs=500))
    expect(page.locator(f"#chart[data-drawn='{first}']")).to_have_count(1)  # what is opened before makes way for it
    page.click("#tab-history")
    open_from_history(page, past)
    expect(page.locator("#past")).to_be_visible()
    assert latest(page) == first
    wait_for(lambda: latest(page) not in (first, None), "the next in line", 120)
    for _ in range(2):
        with page.expect_response(re.compile("api/metrics")):
            pass
    expect(page.locator("#past")).to_be_visible()
    expect(page.locator(f"#chart[data-drawn='{past}']")).to_have_count(1)


def test_a_line_is_reordered_and_shortened_by_keyboard(page: Page) -> None:
    tell(page, "start", LONG)
    for dropout in (0.1, 0.2, 0.3):
        tell(page, "queue", with_dropout(dropout))
    expect(page.locator("#queue .queue-name")).to_have_text([f"Dropout 0.5 → {dropout}" for dropout in (0.1, 0.2, 0.3)])
    later = page.get_by_role("button", name="Later: Dropout 0.5 → 0.1")
    later.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#queue .queue-name").first).to_have_text("Dropout 0.5 → 0.2")
    expect(later).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#queue .queue-name").last).to_have_text("Dropout 0.5 → 0.1")
    expect(page.get_by_role("button", name="Earlier: Dropout 0.5 → 0.1")).to_be_focused()  # it can go no later
    assert dropouts_in_line(page) == [0.2, 0.3, 0.1]
    page.get_by_role("button", name="Take out: Dropout 0.5 → 0.2").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#queue .queue-name")).to_have_count(2)
    expect(page.get_by_role("button", name="Take out: Dropout 0.5 → 0.3")).to_be_focused()
    page.reload()
    expect(page.locator("#queue .queue-name")).to_have_text(["Dropout 0.5 → 0.3", "Dropout 0.5 → 0.1"])


def test_faults_of_what_is_to_start_next_stand_beside_the_fields(page: Page, faults: Faults) -> None:
    faults.expected = re.compile("400")
    tell(page, "start", LONG)
    expect(page.locator("#start-next")).to_be_visible()
    show_settings(page)
    page.locator("[name='model2.batch_size']").fill("0")
    page.click("#start-next")
    expect(page.locator(".field[data-name='model2.batch_size'] .fault")).to_contain_text("Batch size must be")
    expect(page.locator("[name='model2.batch_size']")).to_be_focused()
    assert ask(page, "queue")["items"] == []
    badges(page, "running")


def test_a_line_is_there_again_after_a_crash_and_waits(own_page: Page, own_server: Server, faults: Faults) -> None:
    tell(own_page, "start", LONG)
    tell(own_page, "queue", with_dropout(0.2))
    expect(own_page.locator("#queue .queue-name")).to_have_count(1)
    own_server.kill()
    own_server.start()
    expect(own_page.locator("#queue-state")).to_have_text("1 comparison, waiting for “Go on”")
    wait_for(own_server.is_ready, "readiness")
    own_page.locator("#queue").get_by_role("button", name="Go on").click()
    badges(own_page, "finished")
    expect(own_page.locator("#model2 .summary .differs")).to_have_text("Dropout 0.2")


def test_the_next_look_is_told_while_one_waits_for_it(page: Page) -> None:
    tell(page, "start", {name: {"batch_size": 32, "epochs": 1} for name in TWO_SMALL})
    validation, said = page.locator("#model1 [data-figure='val_accuracy']"), page.locator("#next-look")
    expect(validation).to_have_text(re.compile(r"^in \d+ s$"))
    expect(said).to_have_text(re.compile(r"^next look in \d+ s$"))
    expect(validation).to_have_text(re.compile(r"^\d\d\.\d %$"))
    expect(said).to_have_text(re.compile(r"^next look in \d+ s$"))
    stop_training(page)
    expect(said).to_have_text("")
    badges(page, "stopped")


def test_on_a_low_screen_the_line_is_folded_so_that_the_figure_stays_in_sight(page: Page) -> None:
    page.set_viewport_size({"width": 640, "height": 400})
    page.reload()
    tell(page, "start", LONG)
    for dropout in (0.1, 0.2, 0.3):
        tell(page, "queue", with_dropout(dropout))
    expect(page.locator("#queue-state")).to_contain_text("3 comparisons")
    expect(page.locator("#queue-items")).to_be_hidden()
    page.wait_for_selector("#chart[data-drawn]")
    page.evaluate("window.scrollTo(0, 0)")
    expect(page.locator("#chart")).to_be_in_viewport()
    page.locator("#queue summary").click()
    expect(page.locator("#queue-items li")).to_have_count(3)
    page.set_viewport_size({"width": 1280, "height": 800})
