"""The inside tab: filters, activations and gradients of models that really train."""

import re
from typing import Any

import pytest
from browser import (
    ask,
    check_with_axe,
    is_wider_than_screen,
    open_row,
    open_tab,
    run_in,
    set_quick_models,
    start,
    wait_for,
)
from playwright.sync_api import Locator, Page, Request, expect

from config import MODEL_NAMES

PICTURE = "canvas => canvas.toDataURL()"
PLACE = "#filters-place"
SLIDER = "#filters-at"


@pytest.fixture
def inside(finished: Page) -> Page:
    open_tab(finished, "inside")
    expect(finished.locator("[data-activations='model2'] figure").last).to_be_visible()
    finished.wait_for_selector("[data-small='dead_share'] .main-svg")
    return finished


def filters(page: Page, model: str) -> Locator:
    return page.locator(f"[data-filters='{model}']")


def predict(page: Page, image: int) -> dict[str, Any]:
    return page.request.post("/api/predict", data={"split": "test", "image": image, "layers": True}).json()


def drawn(page: Page, chart: str) -> list[list[float | None]]:
    return page.evaluate(f"document.querySelector(\"[data-small='{chart}']\").data.map((line) => [...line.y])")


def evaluations_arrive(page: Page, count: int) -> None:
    page.wait_for_function(f"(count) => Number(document.querySelector('{SLIDER}').max) >= count - 1", arg=count)


def test_filters_follow_the_training_until_one_scrubs_back(page: Page) -> None:
    set_quick_models(page)
    start(page)
    open_tab(page, "inside")
    evaluations_arrive(page, 2)
    expect(page.locator(PLACE)).to_have_text(re.compile(r"epoch \d.* \(newest\)"))
    expect(filters(page, "model1").locator("figcaption")).to_contain_text(re.compile(r"epoch [1-9].* 4 filters 3×3"))
    expect(filters(page, "model2").locator("figcaption")).to_contain_text("8 filters 3×3")
    newest = filters(page, "model1").locator("canvas").evaluate(PICTURE)
    page.locator(SLIDER).press("Home")
    expect(page.locator(PLACE)).to_have_text("epoch 0.25")
    expect(filters(page, "model1").locator("figcaption")).to_contain_text("epoch 0.25")
    assert filters(page, "model1").locator("canvas").evaluate(PICTURE) != newest
    evaluations_arrive(page, 1 + int(page.locator(SLIDER).get_attribute("max") or 0) + 1)
    expect(page.locator(PLACE)).to_have_text("epoch 0.25")
    page.locator(SLIDER).press("End")
    expect(page.locator(PLACE)).to_have_text(re.compile(r"\(newest\)"))


def test_filters_can_be_replayed(inside: Page) -> None:
    inside.locator("#filters-replay").click()
    expect(inside.locator(PLACE)).to_have_text("epoch 0.25")
    expect(inside.locator("#filters-replay")).to_have_text("Stop")
    expect(inside.locator(PLACE)).to_have_text("epoch 1.00 (newest)")
    expect(inside.locator("#filters-replay")).to_have_text("Replay")


def test_an_image_is_shown_as_each_layer_of_both_models_sees_it(inside: Page) -> None:
    inside.locator("#samples input[value='18']").check(force=True)
    expect(inside.locator("#activations-label")).to_have_text("Bag")
    answer = predict(inside, 18)
    for model in MODEL_NAMES:
        column = inside.locator(f"[data-activations='{model}']")
        names = column.locator("figure b").all_text_contents()
        assert names == [layer["name"] for layer in answer["models"][model]["layers"]]
        best = max(answer["models"][model]["probabilities"])
        expect(column.locator(".says")).to_contain_text(f"{100 * best:.1f} %")


def test_an_image_is_chosen_by_number_and_a_wrong_one_is_refused_beside_it(inside: Page) -> None:
    field = inside.get_by_label("Test image", exact=True)
    field.fill("10000")
    field.press("Enter")
    expect(inside.locator("#activations-fault")).to_have_text("a whole number from 0 to 9,999")
    field.fill("13")
    field.press("Enter")
    expect(inside.locator("#activations-fault")).to_be_empty()
    expect(inside.locator("#activations-label")).to_have_text("Dress")
    with inside.expect_response(re.compile("api/predict")):
        inside.get_by_role("button", name="Another image").click()


def test_each_layer_has_its_gradients_weights_and_dead_units(inside: Page) -> None:
    answer = ask(inside, "inside")["models"]
    layers = inside.locator("#gradients-layer option").all_text_contents()
    assert layers == answer["model1"]["layers"] == ["conv1", "hidden", "output"]
    expect(inside.locator("#gradients-layer")).to_have_value("conv1")
    for chart in ("gradient_norm", "weight_norm", "dead_share"):
        assert drawn(inside, chart) == [answer[model][chart]["conv1"] for model in MODEL_NAMES]
    inside.select_option("#gradients-layer", "output")
    expect(inside.locator("[data-small='dead_share']")).to_be_hidden()
    wanted = answer["model2"]["weight_norm"]["output"]
    inside.wait_for_function(
        "(wanted) => document.querySelector(\"[data-small='weight_norm']\").data[1].y.join() === wanted.join()",
        arg=wanted,
    )


def test_nothing_is_asked_until_the_tab_is_in_sight_and_a_past_run_is_asked_for_by_name(finished: Page) -> None:
    asked: list[Request] = []
    finished.on("request", lambda request: asked.append(request) if "/api/inside" in request.url else None)
    finished.click("#tab-comparison")
    with finished.expect_response(re.compile("api/metrics")):
        pass
    assert asked == []
    finished.click("#tab-history")
    row = finished.locator("#runs tbody tr").first
    run = row.get_attribute("data-run")
    open_row(row)
    expect(finished.locator("#past")).to_be_visible()
    with finished.expect_response(re.compile(f"api/inside.*run={run}")):
        open_tab(finished, "inside")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_a_phone_needs_no_sideways_scroll(inside: Page, theme: str) -> None:
    inside.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    check_with_axe(inside)
    inside.set_viewport_size({"width": 390, "height": 844})
    expect(inside.locator("[data-small='dead_share'] .main-svg").first).to_be_visible()
    wait_for(lambda: not is_wider_than_screen(inside), "page as narrow as the screen", seconds=5)


def test_pictures_keep_their_size_when_the_theme_changes_while_they_are_hidden(inside: Page) -> None:
    canvas = inside.locator("#panel-inside canvas").first
    expect(canvas).to_be_visible()
    before = canvas.bounding_box()
    assert before
    inside.click("#tab-history")
    inside.emulate_media(color_scheme="dark")
    inside.click("#tab-inside")
    expect(canvas).to_be_visible()
    inside.wait_for_function(
        "(width) => document.querySelector('#panel-inside canvas').clientWidth === width", arg=round(before["width"])
    )


# The functions behind it


@pytest.mark.parametrize(
    ("module", "expression", "expected"),
    [
        ("tabs/filters", "m.places({a: {epoch: [0.25, 0.5]}, b: {epoch: [0.251, 1]}})", [0.251, 0.5, 1]),
        ("tabs/filters", "m.places({a: {epoch: []}})", []),
        ("tabs/filters", "[0.1, 0.25, 9].map((place) => m.upTo([0.25, 0.5], place))", [-1, 0, 1]),
        ("tabs/tiles", "[...m.signed(btoa('\\x00\\x7f\\x81'))]", [0, 127, -127]),
        ("tabs/tiles", "m.between('rgb(0, 0, 0)', 'rgb(100, 200, 50)', 0.5)", "rgb(50 100 25)"),
        ("tabs/gradients", "m.layersOf({a: {layers: ['stem', 'block', 'head']}, b: {layers: ['first', 'stem', 'conv10', 'conv2', 'head']}})", ["first", "stem", "block", "conv10", "conv2", "head"]),
        ("tabs/gradients", "m.layersOf({a: {layers: ['conv1', 'output']}, b: {layers: ['conv1', 'conv2', 'hidden', 'output']}})", ["conv1", "conv2", "hidden", "output"]),
        ("tabs/activations", "m.says([0.2, 0.8], 1, ['Coat', 'Bag'])", "Bag 80.0 % ✓"),
        ("tabs/activations", "m.says([0.2, 0.8], 0, ['Coat', 'Bag'])", "Bag 80.0 % ✗"),
    ],
)  # fmt: skip
def test_what_the_pictures_are_made_of(modules: Page, module: str, expression: str, expected: object) -> None:
    assert run_in(modules, module, expression) == expected
