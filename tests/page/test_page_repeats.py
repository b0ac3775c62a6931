"""The repeats tab: a series that really trains."""

import re

import pytest
from browser import (
    DIVERGING,
    Faults,
    ask,
    check_with_axe,
    is_wider_than_screen,
    open_tab,
    run_in,
    set_quick_models,
    show_settings,
    stop_training,
    tell,
    wait_for,
)
from playwright.sync_api import Page, expect

from config import MODEL_NAMES

FEWEST = 3
ONE = {"kernels": [4], "batch_size": 1024, "epochs": 1}
TINY = {"model1": ONE, "model2": ONE | {"kernels": [8]}}


def set_tiny_models(page: Page) -> None:
    set_quick_models(page, epochs=1)
    for model in MODEL_NAMES:
        page.locator(f"[name='{model}.batch_size']").fill("1024")


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    """Remembers a finished series, so that it is trained only once."""
    return {}


@pytest.fixture
def repeats(page: Page, known: dict[str, str]) -> Page:
    """The tab; a series has finished, or been stopped after it."""
    if "series" not in known:
        known["series"] = page.request.post("/api/repeats", data={"runs": FEWEST, **TINY}).json()["series"]
        wait_for(lambda: ask(page, "repeats")["state"] == "finished", "end of the series", seconds=180)
        page.reload()
    open_tab(page, "repeats")
    expect(page.locator("#repeats-state")).to_contain_text("pairs")
    page.wait_for_selector("#repeats-gaps .main-svg")
    return page


def test_what_cannot_be_repeated_is_refused_where_it_was_typed(repeats: Page, faults: Faults) -> None:
    faults.expected = re.compile("400")
    expect(repeats.locator("#panel-repeats")).to_contain_text("One run is one throw of the dice")
    repeats.locator("#repeats-count").fill("2")
    repeats.locator("#repeats-count").press("Enter")
    expect(repeats.locator("#repeats-fault")).to_have_text(re.compile("3 to 20, got 2"))
    repeats.locator("#repeats-count").fill("3")
    show_settings(repeats)
    rate = repeats.locator("[data-name='model2.learning_rate']")
    rate.locator("input").fill("0")
    repeats.locator("#repeats-start").click()
    expect(repeats.locator("#repeats-fault")).to_contain_text("A setting in the forms")
    expect(rate.locator(".fault")).to_contain_text("got 0")


def test_a_series_shows_each_pair_and_what_all_of_them_say(repeats: Page) -> None:
    answer = ask(repeats, "repeats")
    rows = repeats.locator("#repeats-pairs tbody tr")
    expect(rows).to_have_count(FEWEST)
    for row, pair in zip(rows.all(), answer["pairs"], strict=True):
        expect(row).to_contain_text(str(pair["seed"]))
        expect(row).to_contain_text(f"{100 * pair['model1']:.1f} %")
        expect(row).to_contain_text(f"{abs(100 * pair['delta']):.2f}")
    expect(repeats.locator("#repeats-result")).to_contain_text(answer["result"]["text"])
    expect(repeats.locator("#repeats-settings")).to_contain_text("Kernels 4 (model 1) against 8 (model 2)")
    expect(repeats.locator("#repeats-heading")).to_contain_text("Latest series, started")
    show_settings(repeats)
    repeats.locator("[name='model1.dropout']").fill("0.375")
    expect(repeats.locator("#repeats-plan")).to_contain_text("Dropout 0.375 (model 1)")
    dots = repeats.evaluate("[...document.querySelector('#repeats-gaps').data[0].x]")
    assert dots == pytest.approx([100 * pair["delta"] for pair in answer["pairs"]])
    means = repeats.evaluate("[...document.querySelector('#repeats-curves').data[2].y]")
    assert means == pytest.approx(answer["curves"]["model1"]["mean"])


def test_a_pair_is_opened_as_any_past_run(repeats: Page) -> None:
    first = repeats.locator("#repeats-pairs tbody tr").first
    first.get_by_role("button", name="Open").click()
    expect(repeats.locator("#past")).to_contain_text("repeat 1 of 3, seed")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_a_phone_needs_no_sideways_scroll(repeats: Page, theme: str) -> None:
    repeats.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    check_with_axe(repeats)
    repeats.set_viewport_size({"width": 390, "height": 844})
    wait_for(lambda: not is_wider_than_screen(repeats), "page as narrow as the screen", seconds=5)


def test_a_series_is_stopped_and_gone_on_with(repeats: Page) -> None:
    set_tiny_models(repeats)
    repeats.locator("#repeats-count").fill("4")
    repeats.locator("#repeats-start").click()
    expect(repeats.locator("#repeats-state")).to_have_text("Pair 2 of 4 is training.")
    repeats.locator("#repeats-stop").click()
    expect(repeats.locator("#repeats-state")).to_have_text(re.compile("stopped after [1-3] of 4 pairs"))
    repeats.locator("#repeats-continue").click()
    expect(repeats.locator("#repeats-state")).to_have_text(re.compile("Pair [2-4] of 4 is training"))
    repeats.locator("#repeats-stop").click()
    expect(repeats.locator("#repeats-continue")).to_be_visible()
    stop_training(repeats)


def test_failed_trainings_are_shown_and_lose_their_pairs(repeats: Page) -> None:
    tell(repeats, "repeats", {"runs": FEWEST, "model1": ONE | DIVERGING, "model2": ONE | {"batch_size": 8192}})
    wait_for(lambda: ask(repeats, "repeats")["state"] == "finished", "end of the series", seconds=240)
    repeats.reload()
    open_tab(repeats, "repeats")
    expect(repeats.locator("#repeats-state")).to_have_text("The series of 3 pairs has ended; in 3 a training failed.")
    for row in repeats.locator("#repeats-pairs tbody tr").all():
        expect(row).to_contain_text("failed")
        expect(row).to_contain_text("model 2 won")
    said = "model 1 won 0 and model 2 won 3 (sign test, p = 0.250); model 1 failed in 3, and a failed training loses its pair."
    expect(repeats.locator("#repeats-result")).to_contain_text(said)
    repeats.wait_for_selector("#repeats-gaps .main-svg")
    crosses = repeats.evaluate("[...document.querySelector('#repeats-gaps').data.at(-1).x]")
    assert len(crosses) == FEWEST
    assert max(crosses) < 0  # on model 2's side
    expect(repeats.locator("#repeats-curves")).to_be_hidden()
    repeats.set_viewport_size({"width": 390, "height": 844})
    wait_for(lambda: not is_wider_than_screen(repeats), "page as narrow as the screen", seconds=5)
    tell(repeats, f"runs/{ask(repeats, 'repeats')['pairs'][0]['run']}/delete", {})
    repeats.reload()
    open_tab(repeats, "repeats")
    state = "The series of 3 pairs has ended; in 2 a training failed; 1 is no longer in the history."
    expect(repeats.locator("#repeats-state")).to_have_text(state)
    expect(repeats.locator("#repeats-pairs tbody tr").first).to_contain_text("deleted")
    expect(repeats.locator("#repeats-result")).to_contain_text("No claim: 1 pair of the series is missing")


def test_models_that_differ_only_in_the_seed_are_refused_at_the_seed(repeats: Page, faults: Faults) -> None:
    faults.expected = re.compile("400")
    set_tiny_models(repeats)
    repeats.locator("[name='model2.kernels.1']").fill("4")
    seed = repeats.locator("[data-name='model2.seed']")
    seed.locator("input").fill("7")
    repeats.locator("#repeats-start").click()
    expect(repeats.locator("#repeats-fault")).to_contain_text("two models that differ in more than the seed")
    expect(seed.locator(".fault")).to_contain_text("Seed must not be all that differs")


PAIRS = "[{delta: 0.1}, {delta: null}]"
GONE = "[{delta: 0.1}, {state: 'failed', delta: null}, {state: 'deleted', delta: null}]"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (f"m.stateOf({{state: 'running', wanted: 5, pairs: {PAIRS}}})", "Pair 2 of 5 is training."),
        (f"m.stateOf({{state: 'interrupted', wanted: 5, pairs: {PAIRS}}})", "The series was interrupted after 1 of 5 pairs."),
        ("m.stateOf({state: 'finished', wanted: 1, pairs: [{delta: 0.1}]})", "All 1 pairs have finished."),
        (f"m.stateOf({{state: 'stopped', wanted: 9, pairs: {GONE}}})", "The series was stopped after 2 of 9 pairs; in 1 a training failed; 1 is no longer in the history."),
        (f"m.stateOf({{state: 'running', wanted: 9, pairs: [...{GONE}, ...{PAIRS}]}})", "Pair 5 of 9 is training."),
        ("m.score({pairs: 3, wins1: 0, wins2: 3, ties: 0, mean: null})", ""),
        ("m.score({pairs: 3, wins1: 2, wins2: 0, ties: 1})", "Model 1 won 2, model 2 won 0 of 3, 1 tie."),
        ("[0.0123, -0.004, null].map(m.points)", ["+1.23", "−0.40", "–"]),
        ("[0.0123, -0.004, 0].map((delta) => m.points(m.lead({delta, failed: []})))", ["+1.23", "+0.40", "+0.00"]),
        ("m.plan({model1: {k: 1, epochs: 3, batch_size: 64}, model2: {k: 2, epochs: 3, batch_size: 64}}, {k: 'K'})", "The next series trains: K 1 (model 1) against 2 (model 2). Both: 3 epochs, batch size 64."),
        ("m.plan({model1: {epochs: 3, batch_size: 64}, model2: {epochs: 2, batch_size: 64}}, {epochs: 'Epochs'})", "The next series trains: Epochs 3 (model 1) against 2 (model 2). Both: batch size 64."),
        ("m.settingsOf({model1: {a: 1, seed: 1}, model2: {a: 1, seed: 2}}, {})", "Both models are set alike, and have the same seeds: they train alike."),
    ],
)  # fmt: skip
def test_what_the_tab_says(modules: Page, expression: str, expected: object) -> None:
    assert run_in(modules, "tabs/repeats", expression) == expected
