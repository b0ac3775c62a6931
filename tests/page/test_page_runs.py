"""A comparison on the page, from start to end."""

import re
from datetime import UTC, datetime
from typing import Any

from browser import COUNT_POINTS, Faults, badges, brings_nothing_new, set_quick_models, start, steps
from drawn import Shown
from playwright.sync_api import Page, Route, expect

from config import MODEL_NAMES


def test_a_comparison_starts_grows_pauses_resumes_and_stops(page: Page) -> None:
    set_quick_models(page)
    start(page)
    badges(page, "running")
    page.wait_for_function(COUNT_POINTS, arg=2)
    expect(page.locator("#empty")).to_be_hidden()
    expect(page.locator("#start")).to_be_disabled()
    expect(page.locator("#model1 .fields")).to_be_hidden()
    page.wait_for_function(COUNT_POINTS, arg=200)
    expect(page.locator("#model1 [data-figure='accuracy']")).to_contain_text("%")

    page.click("#pause")
    badges(page, "paused")
    expect(page.locator("#state")).to_have_text("Paused")
    with page.expect_response(brings_nothing_new):  # the batch under way at the pause has been told by then
        pass
    at_pause = steps(page)
    with page.expect_response(brings_nothing_new):
        pass
    assert steps(page) == at_pause

    page.click("#pause")
    badges(page, "running")
    expect(page.locator("#model1 [data-figure='step']")).not_to_have_text(at_pause[0])
    expect(page.locator("#model2 [data-figure='step']")).not_to_have_text(at_pause[1])

    page.click("#stop")
    page.keyboard.press("Escape")
    badges(page, "running")
    page.click("#stop")
    page.locator("#confirm").get_by_role("button", name="Stop").click()
    badges(page, "stopped")
    expect(page.locator("#start")).to_be_enabled()
    for model in MODEL_NAMES:
        expect(page.locator(f"#{model} [data-figure='test_accuracy']")).to_have_text(re.compile(r"^\d\d\.\d %$"))
    expect(page.locator("#verdict [data-verdict='first']")).to_contain_text("test images")
    expect(page.locator("#significance")).to_be_visible()


def resume_before(route: Route) -> None:
    """Refuse a resume as the server does where a click before has resumed already."""
    response = route.fetch()
    assert response.ok
    error = {"code": "conflict", "message": "model1 is running and cannot become running"}
    route.fulfill(status=409, json={"error": error})


def test_one_model_pauses_while_the_other_goes_on(page: Page, faults: Faults) -> None:
    set_quick_models(page)
    start(page)
    badges(page, "running")
    page.get_by_role("button", name="Pause model 1").click()
    expect(page.locator("#model1 .badge")).to_have_text("paused")
    expect(page.locator("#model2 .badge")).to_have_text("running")
    faults.expected = re.compile("409")
    page.route("**/api/resume", resume_before)
    page.clock.set_fixed_time(datetime.now(UTC))  # no message is old enough to be taken back for its age
    page.get_by_role("button", name="Resume model 1").click()
    badges(page, "running")
    expect(page.locator("#problem")).to_have_text("")
    page.get_by_role("button", name="Stop model 2").click()
    page.locator("#confirm").get_by_role("button", name="Stop").click()
    expect(page.locator("#model2 .badge")).to_have_text("stopped")
    expect(page.locator("#model1 .badge")).to_have_text("running")


def look_at_the_test_images(answer: dict[str, Any]) -> None:
    for model in answer["models"].values():
        model |= {"state": "running", "testing": True}


def test_cards_and_top_bar_have_one_word_for_the_look_at_the_test_images(shown: Shown) -> None:
    shown.alter = look_at_the_test_images
    page = shown.open()
    badges(page, "testing")
    expect(page.locator("#state")).to_have_text("Testing")


def test_a_finished_run_shows_both_test_accuracies(page: Page) -> None:
    set_quick_models(page, epochs=1)
    start(page)
    badges(page, "finished")
    expect(page.locator("#state")).to_have_text("Finished")
    for model in MODEL_NAMES:
        expect(page.locator(f"#{model} [data-figure='test_accuracy']")).to_have_text(re.compile(r"^\d\d\.\d %$"))


def test_pointing_at_the_figure_tells_model_step_epoch_loss_accuracy_and_time(page: Page) -> None:
    set_quick_models(page, epochs=1)
    start(page)
    badges(page, "finished")
    box = page.locator("#chart .nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=5)
    label = page.locator("#chart .hoverlayer")
    for word in ("epoch 0.", "Model 1 loss", "Model 2 loss", "Model 1 accuracy", "Model 2 accuracy", "step", " s"):
        expect(label).to_contain_text(word)


def test_a_zoom_is_kept_when_new_points_arrive(page: Page) -> None:
    set_quick_models(page)
    start(page)
    page.wait_for_function(COUNT_POINTS, arg=50)
    box = page.locator("#chart .nsewdrag").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5, steps=4)
    page.mouse.up()
    zoomed = page.evaluate("document.querySelector('#chart').layout.xaxis.range")
    before = page.locator("#model1 [data-figure='step']").text_content()
    expect(page.locator("#model1 [data-figure='step']")).not_to_have_text(before or "")
    assert page.evaluate("document.querySelector('#chart')._fullLayout.xaxis.range") == zoomed


def test_a_reload_shows_the_running_comparison_and_its_settings(page: Page) -> None:
    set_quick_models(page)
    start(page)
    badges(page, "running")
    page.reload()
    badges(page, "running")
    page.wait_for_function(COUNT_POINTS, arg=2)
    expect(page.locator("[name='model2.kernels.1']")).to_have_value("8")
    expect(page.locator("#what-trains")).to_have_text("")


def test_a_running_comparison_fits_on_a_screen_of_1280_by_800(page: Page) -> None:
    set_quick_models(page)
    start(page)
    page.wait_for_function(COUNT_POINTS, arg=2)
    assert page.locator(".figure").evaluate("figure => figure.getBoundingClientRect().bottom <= window.innerHeight")
