"""Exact values without a mouse: the figure's cursor, the table of evaluations, and words that explain themselves."""

import re
from typing import Any

import pytest
from browser import (
    ask,
    check_with_axe,
    choose,
    is_wider_than_screen,
    open_from_history,
    run_in,
    set_quick_models,
    start,
)
from drawn import DROPOUT, OPTIMIZER, Shown
from playwright.sync_api import Page, expect

from config import MODEL_NAMES

IMAGES = 55_000
ON_AXIS = {"epochs": ("epoch", 1), "seconds": ("seconds", 1), "images": ("epoch", IMAGES)}


def recorded(page: Page, run: str = OPTIMIZER) -> dict[str, Any]:
    """Return the models of a run as the page has them, smoothed as it shows them."""
    span = run_in(page, "run/view", "m.view().smoothing")
    return dict(ask(page, f"runs/{run}?smoothing={span}")["models"])


def read(page: Page, model: str) -> list[str]:
    """Return what the box says of a model: step, epoch, time, loss, that of the batch, accuracy."""
    return page.locator(f"#readout [data-row='{model}'] td").all_text_contents()


def expected(series: dict[str, Any], index: int, *, smooth: bool) -> list[str]:
    loss, accuracy = (series[f"smooth_{name}" if smooth else name][index] for name in ("loss", "accuracy"))
    return [
        f"{series['step'][index]:,}",
        f"{series['epoch'][index]:.3f}",
        f"{series['seconds'][index]:.1f} s",
        f"{loss:.4f}",
        f"{series['loss'][index]:.4f}" if smooth else "–",
        f"{100 * accuracy:.2f} %",
    ]


def alike(found: list[str], wanted: list[str]) -> bool:
    """Whether texts are the same, but that the last digit of a number may be rounded the other way."""
    return len(found) == len(wanted) and all(map(is_rounded_like, found, wanted))


def is_rounded_like(found: str, wanted: str) -> bool:
    one, other = (re.sub("[^0-9.]", "", text) for text in (found, wanted))
    if not one or not other:
        return found == wanted
    decimals = len(other.partition(".")[2])
    return abs(float(one) - float(other)) <= 1.01 * 10**-decimals if decimals else one == other


def focus_cursor(page: Page) -> None:
    page.locator("#cursor").focus()
    expect(page.locator("#readout")).to_be_visible()


@pytest.mark.parametrize("axis", ["epochs", "seconds", "images"])
def test_keys_walk_what_was_recorded_of_both_models(shown: Shown, axis: str) -> None:
    page = shown.open()
    choose(page, "x", axis)
    models = recorded(page)
    focus_cursor(page)
    name, scale = ON_AXIS[axis]
    stops = sorted({scale * x for model in models.values() for x in model["points"][name]})
    page.keyboard.press("Home")
    for presses in range(3):
        x = stops[presses]
        for model in MODEL_NAMES:
            points = models[model]["points"]
            nearest = min(range(len(points["step"])), key=lambda index: abs(scale * points[name][index] - x))
            assert alike(read(page, model), expected(points, nearest, smooth=True)), (model, presses)
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    box: Any = page.locator("#readout").bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] < 801, "what the keys show is out of sight"
    place = page.locator("#cursor")
    assert float(place.get_attribute("aria-valuenow") or "") == pytest.approx(stops[2])
    page.keyboard.press("End")
    assert float(place.get_attribute("aria-valuenow") or "") == pytest.approx(stops[-1])


@pytest.mark.parametrize("keys", [("ArrowUp", "ArrowDown"), ("Shift+ArrowRight", "Shift+ArrowLeft")])
def test_other_keys_walk_evaluations(shown: Shown, keys: tuple[str, str]) -> None:
    page = shown.open()
    models = recorded(page)
    focus_cursor(page)
    page.keyboard.press("Home")
    forth, back = keys
    for key, index in ((forth, 0), (forth, 1), (forth, 2), (back, 1)):
        page.keyboard.press(key)
        for model in MODEL_NAMES:
            assert alike(read(page, model), expected(models[model]["evaluations"], index, smooth=False)), (key, index)
    expect(page.locator("#readout [data-about]")).to_have_text(re.compile("^Validation"))
    told = page.locator("#cursor").get_attribute("aria-valuetext") or ""
    assert f"Model 1: step {models['model1']['evaluations']['step'][1]:,}" in told
    assert f"loss {models['model2']['evaluations']['loss'][1]:.4f}" in told


def test_the_box_says_whether_values_are_smoothed(shown: Shown) -> None:
    page = shown.open()
    focus_cursor(page)
    about = page.locator("#readout [data-about]")
    expect(about).to_have_text(re.compile(r"^Training, loss and accuracy averaged over [\d,]+ images$"))
    page.locator("[data-view='smoothing']").evaluate(
        "slider => { slider.value = 0; slider.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    focus_cursor(page)
    expect(about).to_have_text(re.compile("^Training, as measured at this step"))
    page.keyboard.press("Home")
    points = ask(page, f"runs/{OPTIMIZER}?smoothing=0")["models"]["model2"]["points"]
    assert alike(read(page, "model2"), expected(points, 0, smooth=False))


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_box_stands_beside_the_plot_and_a_line_in_it(shown: Shown, width: int, height: int) -> None:
    page = shown.open(width, height)
    before: Any = page.locator("#chart").bounding_box()
    focus_cursor(page)
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    box: Any = page.locator("#readout").bounding_box()
    chart: Any = page.locator("#chart").bounding_box()
    line: Any = page.locator("#cursor i").bounding_box()
    assert box["y"] >= chart["y"] + chart["height"] - 1
    assert chart["height"] > 0.8 * before["height"]  # it takes no room from the plot that one would miss
    assert box["x"] >= 0
    assert not is_wider_than_screen(page)
    span = page.evaluate(
        "(({_fullLayout: {xaxis}}, x) => xaxis._offset + xaxis.l2p(x))(document.querySelector('#chart'), Number(document.querySelector('#cursor').ariaValueNow))"
    )
    assert line["x"] + 0.75 - chart["x"] == pytest.approx(span, abs=2)
    expect(page.locator("#cursor-keys")).to_contain_text("by evaluations")
    page.locator("#cursor").blur()
    expect(page.locator("#readout")).to_be_hidden()


def test_the_cursor_follows_a_run_that_trains_until_it_is_moved(page: Page) -> None:
    set_quick_models(page)
    start(page)
    focus_cursor(page)
    step = page.locator("#readout [data-row='model1'] td").first
    first = step.text_content()
    expect(step).not_to_have_text(first or "")
    page.keyboard.press("Home")
    here = read(page, "model1")
    with page.expect_response(lambda response: "/api/metrics" in response.url and response.json()["models"] != {}):
        pass
    assert read(page, "model1")[:3] == here[:3]


def test_a_past_run_is_walked_as_well(shown: Shown) -> None:
    page = shown.open()
    page.click("#tab-history")
    open_from_history(page, DROPOUT)
    page.wait_for_selector(f"#chart[data-drawn='{DROPOUT}']")
    models = recorded(page, DROPOUT)
    focus_cursor(page)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("End")
    assert alike(read(page, "model1"), expected(models["model1"]["evaluations"], -1, smooth=False))


def test_all_evaluations_are_a_table(shown: Shown) -> None:
    page = shown.open()
    models = recorded(page)
    page.locator("#values summary").press("Enter")
    rows = page.locator("#values tbody tr")
    evaluations = [models[model]["evaluations"] for model in MODEL_NAMES]
    expect(rows).to_have_count(len({epoch for each in evaluations for epoch in each["epoch"]}))
    for index in (0, len(evaluations[0]["epoch"]) - 1):
        cells = rows.nth(index).locator("th, td").all_text_contents()
        wanted = [f"{evaluations[0]['epoch'][index]:.3f}"]
        for each in evaluations:
            wanted += [
                f"{each['loss'][index]:.4f}",
                f"{100 * each['accuracy'][index]:.2f} %",
                f"{each['seconds'][index]:.1f} s",
            ]
        assert alike(cells, wanted)
    page.keyboard.press("Escape")
    expect(page.locator("#values table")).to_be_hidden()


# Words


def test_every_marked_word_is_explained_and_every_explanation_is_used(shown: Shown) -> None:
    page = shown.open()
    known = set(run_in(page, "base/glossary", "Object.keys(m.GLOSSARY)"))
    marked = set(page.evaluate("[...document.querySelectorAll('[data-term]')].map((word) => word.dataset.term)"))
    sentences = "p = 0.012, McNemar, noise of the difference, 95 % interval, large swings hint at instability"
    said = {term for _, term in run_in(page, "base/terms", f"m.cut({sentences!r})") if term}
    assert marked | said == known
    assert "".join(part for part, _ in run_in(page, "base/terms", f"m.cut({sentences!r})")) == sentences


def test_words_explain_themselves_on_hover_focus_and_touch(shown: Shown) -> None:
    page = shown.open()
    box = page.locator("#term")
    word = page.locator(".verdict [data-term='validation']")
    word.hover()
    expect(box).to_contain_text("does not train on")
    box.hover()  # the pointer may go there
    page.wait_for_timeout(400)
    expect(box).to_be_visible()
    page.mouse.move(2, 2)
    expect(box).to_be_hidden()
    word.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(box).to_contain_text("does not train on")
    expect(word).to_have_attribute("aria-describedby", "term")
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    expect(word).to_be_focused()
    word.dispatch_event("click")  # as a finger does
    expect(box).to_be_visible()
    check_with_axe(page)
    page.locator("#model2 [data-term='epoch']").dispatch_event("click")
    expect(box).to_contain_text("One pass over all training images")
    page.locator("h1").click()
    expect(box).to_be_hidden()


def test_words_add_few_stops_for_the_keyboard(shown: Shown) -> None:
    page = shown.open()
    stops = page.evaluate(
        "[...document.querySelectorAll('button.term')].filter((word) => word.checkVisibility()).length"
    )
    assert 0 < stops <= 16


@pytest.mark.parametrize("width", [1280, 390])
def test_an_explanation_stays_within_the_window(shown: Shown, width: int) -> None:
    page = shown.open(width)
    for word in page.locator(".term:visible").all():
        word.scroll_into_view_if_needed()
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        word.dispatch_event("click")
        box: Any = page.locator("#term").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] >= 0


def test_axe_finds_nothing_in_cursor_table_and_presentation(shown: Shown) -> None:
    page = shown.open()
    focus_cursor(page)
    check_with_axe(page)
    page.click("#values summary")
    check_with_axe(page)
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    check_with_axe(page)
