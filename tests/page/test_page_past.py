"""A past run on the page: alone while another trains, and gone from it when it is deleted."""

import re

from browser import (
    LONG,
    ask,
    assert_exports_are_of,
    badges,
    do_with,
    latest,
    open_row,
    row_of,
    saved,
    set_quick_models,
    start,
    states,
    stop_training,
    tell,
    train_beside,
    wait_for,
)
from playwright.sync_api import Page, Response, expect

from config import MODEL_NAMES


def has_news(response: Response) -> bool:
    return "/api/metrics" in response.url and response.json()["models"] != {}


def open_newest(page: Page, nth: int = 0) -> str:
    """Open a run of the history tab and return its id."""
    page.click("#tab-history")
    run = str(ask(page, "runs")["runs"][nth]["id"])
    open_row(row_of(page, run))
    expect(page.locator("#past")).to_be_visible()
    return run


# A past run while another trains


def test_a_past_run_stands_still_and_alone_while_another_trains(finished: Page, run_to_look_at: dict[str, str]) -> None:
    old = run_to_look_at["id"]
    steps = {name: model["step"] for name, model in ask(finished, "metrics")["models"].items()}
    tell(finished, f"runs/{old}/rename", {"name": "=The old/one"})
    train_beside(finished)
    asked: list[str] = []
    finished.on("request", lambda request: asked.append(request.url))
    assert open_newest(finished, nth=1) == old
    badges(finished, "finished")
    expect(finished.locator("#significance")).to_be_visible()
    for _ in range(3):
        with finished.expect_response(has_news):
            pass
    assert sum(f"/api/runs/{old}" in url for url in asked) == 1
    assert sum(f"run={old}" in url and "/api/comparison" in url for url in asked) == 1

    expect(finished.locator("#state")).to_have_text("Training another run")
    for model in MODEL_NAMES:
        expect(finished.locator(f"#{model} .model-buttons")).to_be_hidden()
        expect(finished.locator(f"#{model} .steer")).to_be_hidden()
    expect(finished.locator("#past")).to_contain_text("A past run: =The old/one")
    expect(finished).to_have_title(re.compile(r"^\d+ % · shown: .+, .*\d\d.* · FashionMNIST$"))
    assert_exports_are_of(finished, old, steps)
    assert saved(finished, "csv")[0] == f"fashionmnist-{old}-The-old-one.csv"

    finished.click("#pause")
    expect(finished.locator("#state")).to_have_text("Another run is paused")
    assert states(finished) == ["paused", "paused"]
    badges(finished, "finished")
    finished.get_by_role("button", name="Back to the run that trains").click()
    badges(finished, "paused")
    expect(finished.locator("#model1 .model-buttons")).to_be_visible()
    finished.click("#stop")
    finished.locator("#confirm").get_by_role("button", name="Stop").click()
    badges(finished, "stopped")


def test_a_run_that_is_started_takes_the_place_of_the_past_one(finished: Page) -> None:
    open_newest(finished)
    set_quick_models(finished)
    start(finished)
    badges(finished, "running")
    expect(finished.locator("#past")).to_be_hidden()


def test_the_run_that_trains_is_opened_as_it_trains(page: Page) -> None:
    train_beside(page)
    page.click("#tab-history")
    open_row(page.locator("#runs tbody tr").first)
    expect(page.locator("#past")).to_be_hidden()
    badges(page, "running")


# Deleting what is on display


def test_deleting_the_past_run_on_display_goes_back_to_the_latest_and_can_be_undone(page: Page) -> None:
    for _ in range(2):
        tell(page, "start", LONG)
        wait_for(lambda: all(model["step"] > 5 for model in ask(page, "metrics")["models"].values()), "steps")
        stop_training(page)
    page.wait_for_url(f"**/run/{latest(page)}*")  # the page has heard of the second one
    badges(page, "stopped")
    old = open_newest(page, nth=1)
    gone = page.locator(f"#deleted [data-run='{old}']")
    do_with(row_of(page, old), "Delete")
    expect(page.locator("#past")).to_be_hidden()
    expect(row_of(page, old)).to_have_count(0)
    expect(gone.get_by_role("button", name="Undo")).to_be_focused()
    expect(page.locator("#banner")).to_be_hidden()
    page.reload()
    page.click("#tab-history")
    gone.get_by_role("button", name="Undo").click()
    expect(row_of(page, old).locator(".run-name")).to_be_focused()
    assert old in [run["id"] for run in ask(page, "runs")["runs"]]


def test_deleting_the_latest_run_leaves_the_page_as_before_the_first(finished: Page) -> None:
    run = open_newest(finished)
    refused: list[str] = []
    finished.on("response", lambda response: refused.append(response.url) if response.status >= 400 else None)
    do_with(row_of(finished, run), "Delete")
    expect(finished.locator("#past")).to_be_hidden()
    expect(finished.locator("#empty")).to_be_visible()
    expect(finished.locator("#chart")).to_be_hidden()
    expect(finished.locator("[data-verdict='first']")).to_contain_text("Who will be ahead")
    expect(finished.locator("#model1 .live")).to_be_hidden()
    expect(finished.locator("#significance")).to_be_hidden()
    expect(finished).to_have_title("FashionMNIST CNN Training Monitor")
    finished.locator(f"#deleted [data-run='{run}']").get_by_role("button", name="Undo").click()
    open_row(row_of(finished, run))
    expect(finished.locator("#significance")).to_be_visible()
    expect(finished.locator("#chart")).to_be_visible()
    assert refused == []
