"""Steering, forking, guessing first, and the result on the test images, with models that really train."""

import re

import pytest
from browser import (
    Faults,
    ask,
    badges,
    check_with_axe,
    is_wider_than_screen,
    run_in,
    set_quick_models,
    start,
    wait_for,
)
from playwright.sync_api import Page, expect

from config import MODEL_NAMES

ANNOTATIONS = (
    "(document.querySelector('#chart').layout?.annotations ?? []).map(({text}) => text.replaceAll('<br>', ' '))"
)


def steer(page: Page, model: str, rate: str) -> None:
    menu = page.locator(f"[data-steer='{model}']")
    if menu.get_attribute("open") is None:
        menu.locator("summary").click()
    menu.get_by_label("New learning rate").fill(rate)
    menu.get_by_label("New learning rate").press("Enter")


def test_a_learning_rate_is_changed_on_the_way_and_marked(page: Page, faults: Faults) -> None:
    faults.expected = re.compile("400")
    set_quick_models(page)
    start(page)
    menu = page.locator("[data-steer='model1']")
    expect(menu.locator("summary")).to_have_text("Rate 0.001")
    steer(page, "model1", "fast")
    expect(menu.locator(".fault")).to_have_text(re.compile('^Learning rate must be.*got "fast"'))
    check_with_axe(page)
    steer(page, "model1", "0.0003")
    expect(menu.locator("summary")).to_have_text("Rate 0.0003")
    expect(page.locator("[data-steer='model2'] summary")).to_have_text("Rate 0.001")
    page.wait_for_function(f"() => {ANNOTATIONS}.includes('Model 1 rate 0.001 → 0.0003')")
    page.click("#pause")
    badges(page, "paused")
    steer(page, "model2", "0.002")
    expect(page.locator("[data-steer='model2'] summary")).to_have_text("Rate 0.002")
    page.click("#stop")
    page.locator("#confirm").get_by_role("button", name="Stop").click()
    badges(page, "stopped")
    expect(page.locator("[data-steer='model2']")).to_be_hidden()


def test_model_1_is_forked_and_the_old_comparison_stays_in_the_history(page: Page, faults: Faults) -> None:
    faults.expected = re.compile("400|409")
    set_quick_models(page)
    start(page)
    before = ask(page, "metrics")["run"]
    wait_for(lambda: ask(page, "metrics")["models"]["model1"]["epoch"] > 1.1, "first checkpoint")
    page.locator("[data-steer='model1'] summary").click()
    page.click("#fork-open")
    dialog = page.locator("#fork")
    expect(dialog.get_by_label("Change")).to_have_value("learning_rate")
    offered = dialog.locator("option:not([disabled])").evaluate_all("all => all.map(({value}) => value)")
    assert set(offered) >= {"learning_rate", "dropout", "epochs"}
    assert "batch_size" not in offered
    rate = dialog.locator("[name='fork.learning_rate']")
    expect(rate).to_have_value("0.001")
    dialog.get_by_role("button", name="Fork").click()
    expect(dialog.locator("#fork-fault")).not_to_be_empty()  # nothing would differ
    rate.fill("-1")
    rate.press("Enter")
    expect(dialog.locator("[data-key='learning_rate'] .fault")).to_contain_text("got -1")
    check_with_axe(page)
    rate.fill("0.0001")
    rate.press("Enter")
    expect(dialog).to_be_hidden()
    wait_for(lambda: ask(page, "metrics")["run"] != before, "new run")
    expect(page.locator("[data-steer='model2'] summary")).to_have_text("Rate 0.0001")
    page.wait_for_function(f"() => {ANNOTATIONS}.includes('Model 2 forked from model 1: rate 0.001 → 0.0001')")
    assert before in [run["id"] for run in ask(page, "runs")["runs"]]


def test_guessing_first_hides_what_would_tell_until_one_has_guessed(page: Page) -> None:
    set_quick_models(page, epochs=1)
    page.get_by_label("Guess first").check()
    page.click("#start")
    expect(page.locator("#guess")).to_be_visible()
    expect(page.locator("#guess")).to_contain_text("One setting differs: Kernels")
    page.reload()
    expect(page.get_by_label("Guess first")).to_be_checked()
    expect(page.locator("#guess")).to_be_visible()
    expect(page.locator("#state")).to_have_text("Finished")
    expect(page.locator("#chart")).to_be_hidden()
    for secret in ("#verdict", "#significance", "[role='tablist']", "#model1 [data-figure='test_accuracy']"):
        expect(page.locator(secret)).to_be_hidden()
    assert page.title() == "finished · FashionMNIST"
    check_with_axe(page)
    page.locator("#guess").get_by_role("button", name="Too close to call").click()
    expect(page.locator("#chart")).to_be_visible()
    leader = ask(page, "comparison?axis=epochs")["significance"]["leader"]
    words = f", but it is {leader.replace('model', 'model ')}." if leader else ", and you were right."
    expect(page.locator("#guessed")).to_have_text(f"You guessed too close to call{words}")
    page.get_by_label("Guess first").uncheck()


def test_the_end_says_once_whether_the_gap_is_more_than_chance(finished: Page) -> None:
    found = ask(finished, "comparison?axis=epochs")["significance"]
    strip = finished.locator("#significance")
    expect(finished.locator("#verdict [data-verdict='first']")).to_have_text(found["text"])
    expect(finished.locator("main").get_by_text(re.compile("between these two networks"))).to_have_count(1)
    for name in ("both_right", "only1", "only2", "both_wrong"):
        expect(strip.locator(f"[data-found='{name}']")).to_have_text(f"{found[name]:,}")
    strip.locator("[data-found='only2']").click()
    expect(finished.locator("#panel-mistakes")).to_be_visible()
    expect(finished.locator("[name='mistakes-show'][value='only2']")).to_be_checked()
    expect(finished.locator("#mistakes-about")).to_contain_text(f"{found['only2']:,} of the 10,000 test images")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_a_phone_needs_no_sideways_scroll(finished: Page, theme: str) -> None:
    finished.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    finished.set_viewport_size({"width": 390, "height": 844})
    finished.locator("[data-steer='model1'] summary").click()
    wait_for(lambda: not is_wider_than_screen(finished), "page as narrow as the screen", seconds=5)
    check_with_axe(finished)
    finished.click("#fork-open")
    expect(finished.locator("#fork-key")).to_have_value("epochs")
    wait_for(lambda: not is_wider_than_screen(finished), "page as narrow as the screen", seconds=5)


def test_marks_of_different_changes_are_not_joined(modules: Page) -> None:
    events = "(detail) => ({kind: ['steered'], epoch: [1], seconds: [1], detail: [detail]})"
    models = f"{{model1: {{events: ({events})('a')}}, model2: {{events: ({events})('b')}}}}"
    found = run_in(modules, "figure/marks", f"m.marks({{models: {models}}}, {{x: 'epochs', imagesPerEpoch: 9}})")
    assert [(mark["detail"], mark["models"]) for mark in found] == [("a", [MODEL_NAMES[0]]), ("b", [MODEL_NAMES[1]])]


def test_the_stop_that_a_fork_needs_is_not_marked(modules: Page) -> None:
    one = "{events: {kind: ['stopped', 'stopped'], step: [9, 18], epoch: [1, 2], seconds: [1, 2]}}"
    two = "{events: {kind: ['stopped', 'forked', 'stopped'], step: [9, 9, 18], epoch: [1, 1, 2], seconds: [1, 1, 2]}}"
    found = run_in(modules, "figure/marks", f"m.marks({{models: {{model1: {one}, model2: {two}}}}}, {{x: 'epochs'}})")
    assert [(mark["kind"], mark["x"], len(mark["models"])) for mark in found] == [("forked", 1, 1), ("stopped", 2, 2)]
