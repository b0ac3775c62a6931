"""The tabs that look at images: mistakes, classes and try it, with models that really train."""

import io
import re
from typing import Any

import pytest
from browser import (
    ask,
    check_with_axe,
    latest,
    open_row,
    open_tab,
    run_in,
    set_quick_models,
    start,
    stop_training,
    tell,
    wait_for,
)
from PIL import Image, ImageDraw
from playwright.sync_api import Page, Route, expect

CLASSES = "['Coat', 'Dress', 'T-shirt/top']"
SLOW = {"kernels": [128, 256], "batch_size": 8}


def cards(page: Page) -> list[dict[str, int]]:
    """Return number, label and both answers of every image in sight."""
    found = page.locator("#gallery li").evaluate_all("each => each.map(({dataset}) => ({...dataset}))")
    return [{name: int(value) for name, value in card.items()} for card in found]


def choose_mistakes(page: Page, show: str) -> None:
    page.locator(f"[name='mistakes-show'][value='{show}']").check(force=True)


def matrix(page: Page, name: str) -> list[list[int]]:
    """Return the numbers of a confusion matrix."""
    rows = "table => [...table.tBodies[0].rows].map((row) => [...row.querySelectorAll('button')].map((cell) => Number(cell.textContent.replace('−', '-'))))"
    return page.locator(f"#confusion-{name}").evaluate(rows)


def png(paint: Any) -> dict[str, Any]:
    """Return a picture of 200 × 300 pixels, white before it is painted on, as an upload."""
    picture = Image.new("RGB", (200, 300), "white")
    paint(ImageDraw.Draw(picture))
    data = io.BytesIO()
    picture.save(data, "PNG")
    return {"name": "mine.png", "mimeType": "image/png", "buffer": data.getvalue()}


def sketch(page: Page) -> list[int]:
    """Return the 784 pixels that the models see."""
    read = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, at) => at % 4 === 0)"
    return page.locator("#sketch").evaluate(read)


def test_before_the_first_evaluation_each_tab_says_what_will_appear_and_after_a_stop_that_nothing_will(
    page: Page,
) -> None:
    tell(page, "start", {"model1": SLOW, "model2": SLOW | {"seed": 1}})
    open_tab(page, "mistakes")
    expect(page.locator("#mistakes-about")).to_contain_text(
        "will appear here after the first evaluation of both models"
    )
    expect(page.locator("#panel-mistakes .choices")).to_be_hidden()
    open_tab(page, "classes")
    expect(page.locator("#classes-about")).to_contain_text("will appear here after the first evaluation of both models")
    open_tab(page, "tryit")
    expect(page.locator("#tryit-about")).to_contain_text("Draw, upload or take a picture")
    page.locator("#picks button").first.click()
    expect(page.locator("#tryit-about")).to_contain_text("Model 2 answers after its first evaluation")
    unsaved = {"run": latest(page), "label": 0, "models": {"model1": None, "model2": None}}
    page.route("**/api/predict", lambda route: route.fulfill(json=unsaved))
    stop_training(page)
    expect(page.locator("#tryit-about")).to_contain_text("Model 2 has just ended, and its weights are being saved")
    page.unroute("**/api/predict")
    expect(page.locator("#tryit-about")).to_contain_text("Model 2 says")  # by the weights that the stop has saved
    open_tab(page, "mistakes")
    expect(page.locator("#mistakes-about")).to_contain_text("No answers of this run are kept")


def test_mistakes_follow_the_evaluations_only_in_sight_and_keep_page_and_filters(own_page: Page) -> None:
    page = own_page  # with the whole data set, where looks follow each other slowly enough to be read
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    set_quick_models(page)
    start(page)
    open_tab(page, "comparison")
    wait_for(lambda: len(ask(page, "metrics")["models"]["model2"]["evaluations"]["step"]) > 2, "three looks")
    with page.expect_response(re.compile("api/metrics")):
        pass
    assert [url for url in asked if re.search("api/(mistakes|classes|predict|images)", url)] == []
    open_tab(page, "mistakes")
    about = page.locator("#mistakes-about")
    expect(about).to_contain_text(
        re.compile(r"of the 5,000 validation images, model 1 after \d+\.\d\d epochs, model 2")
    )
    expect(page.locator("#gallery li")).to_have_count(24)
    assert all(card["answer1"] == card["label"] != card["answer2"] for card in cards(page))
    choose_mistakes(page, "both_wrong")
    page.select_option("#mistakes-label", label="Shirt")
    page.locator("[name='mistakes-sort'][value='unsure']").check(force=True)
    page.wait_for_function(
        "() => [...document.querySelectorAll('#gallery li')].every(({dataset}) => dataset.label === '6' && dataset.answer1 !== '6')"
    )
    page.get_by_role("button", name="Next", exact=True).click()
    where = page.locator("#mistakes-pager span")
    expect(where).to_have_text(re.compile(r"Page 2 of \d+"))
    before = about.text_content() or ""
    expect(about).not_to_have_text(before)
    expect(where).to_have_text(re.compile(r"Page 2 of \d+"))
    assert {card["label"] for card in cards(page)} == {6}
    assert not {6} & {card[answer] for card in cards(page) for answer in ("answer1", "answer2")}


def test_after_the_end_the_mistakes_are_those_on_the_test_images(finished: Page) -> None:
    open_tab(finished, "mistakes")
    expect(finished.locator("#mistakes-about")).to_contain_text("of the 10,000 test images")
    counts = ask(finished, "mistakes")["counts"]
    for show in ("only1", "only2", "both_wrong"):
        expect(finished.locator(f"[data-count='{show}']")).to_have_text(f"{counts[show]:,}")
        choose_mistakes(finished, show)
        expect(finished.locator("#mistakes-about")).to_contain_text(f"{counts[show]:,} of the 10,000")
    late: list[Route] = []
    finished.route("**/api/mistakes*", lambda route: route.continue_() if late else late.append(route))
    with finished.expect_request("**/api/mistakes*"):
        finished.locator("[name='mistakes-sort'][value='unsure']").check(force=True)
    finished.get_by_role("button", name="Next", exact=True).click()  # before the first page is answered
    late[0].continue_()
    expect(finished.locator("#mistakes-pager span")).to_have_text(re.compile(r"Page 2 of \d+"))
    first = finished.locator("#gallery li").first
    expect(first.locator(".truth")).to_have_count(1)
    expect(first.locator(".answer:not(.right) .mark-right")).to_have_text(["✗", "✗"])
    assert first.locator("canvas").evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, 28, 28).data.some((value, at) => at % 4 === 0 && value > 100)"
    )


def test_a_cell_of_the_confusion_matrix_opens_its_images(finished: Page) -> None:
    open_tab(finished, "classes")
    expect(finished.locator("#classes-about")).to_contain_text("the 10,000 test images")
    one, two, difference = (matrix(finished, name) for name in ("model1", "model2", "difference"))
    assert [sum(row) for row in one] == [sum(row) for row in two] == [1000] * 10
    assert difference == [[a - b for a, b in zip(*rows, strict=True)] for rows in zip(one, two, strict=True)]
    accuracy = finished.locator("#by-class tbody tr").nth(6).locator("[data-of='model1'] span").first
    expect(accuracy).to_have_text(f"{one[6][6] / 10:.1f} %")

    finished.locator("#confusion-model1 [tabindex='0']").focus()
    for _ in range(6):
        finished.keyboard.press("ArrowDown")
    wrong = max(set(range(10)) - {6}, key=lambda answer: one[6][answer])
    for _ in range(wrong):
        finished.keyboard.press("ArrowRight")
    finished.keyboard.press("Enter")
    expect(finished.locator("#panel-mistakes")).to_be_visible()
    title = finished.locator("#mistakes-cell b")
    expect(title).to_contain_text("Shirts that model 1 takes for")
    expect(title).to_contain_text(f"{one[6][wrong]} image")
    assert {(card["label"], card["answer1"]) for card in cards(finished)} == {(6, wrong)}
    expect(finished.locator("#mistakes-label")).to_be_hidden()

    finished.get_by_role("button", name="Show all mistakes").click()
    expect(finished.locator("#mistakes-cell")).to_be_hidden()
    expect(finished.locator("#mistakes-label")).to_be_visible()
    finished.wait_for_function(
        "() => new Set([...document.querySelectorAll('#gallery li')].map((li) => li.dataset.label)).size > 1"
    )


def test_an_image_of_the_gallery_can_be_tried_and_drawn_on(finished: Page) -> None:
    open_tab(finished, "mistakes")
    expect(finished.locator("#gallery li")).to_have_count(24)
    card = cards(finished)[0]
    finished.locator("#gallery .picture").first.press("Enter")
    about = finished.locator("#tryit-about")
    expect(about).to_contain_text(re.compile(rf"^Test image {card['image']:,}: .*Model 1 says .*Model 2 says "))
    expect(finished.locator("#tryit-answers .answer")).to_have_count(2)
    expect(finished.locator("#tryit-answers .right")).to_have_count(1)
    expect(finished.locator("#tryit-answers .when").first).to_have_text("after 1.00 epochs")
    before = sketch(finished)
    box = finished.locator("#sketch").bounding_box()
    assert box is not None
    finished.mouse.move(box["x"] + 40, box["y"] + 250)
    finished.mouse.down()
    finished.mouse.move(box["x"] + 250, box["y"] + 250, steps=5)
    finished.mouse.up()
    expect(about).to_contain_text(f"Your drawing on test image {card['image']:,}. Model 1 says")
    assert sum(sketch(finished)) > sum(before)
    finished.get_by_role("button", name="Clear").click()
    expect(about).to_contain_text("Draw, upload or take a picture")
    expect(finished.locator("#tryit-answers .answer")).to_have_count(0)
    assert sum(sketch(finished)) == 0


def test_a_picture_is_uploaded_fitted_and_recognised_and_other_files_are_refused(finished: Page) -> None:
    open_tab(finished, "tryit")
    dark_shape = png(lambda draw: draw.rectangle((20, 100, 80, 220), fill=(40, 60, 90)))
    finished.set_input_files("#upload", dark_shape)
    expect(finished.locator("#tryit-about")).to_contain_text("Your picture mine.png. Model 1 says")
    rows = [sketch(finished)[at : at + 28] for at in range(0, 784, 28)]
    assert all(row[14] > 200 and row[2] == row[25] == 0 for row in rows), "bright, in the middle, as high as the square"
    fault = finished.locator("#tryit-fault")
    finished.set_input_files("#upload", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture"})
    expect(fault).to_contain_text("“notes.txt” is no picture that this browser can read. Choose a PNG")
    finished.set_input_files("#upload", png(lambda draw: None))
    expect(fault).to_contain_text("nothing stands out")
    finished.locator("#picks button").nth(3).press("Enter")
    expect(finished.locator("#tryit-about")).to_contain_text("Test image")
    expect(fault).to_be_empty()


def test_a_past_run_on_the_page_is_the_one_that_is_asked_for(finished: Page) -> None:
    open_tab(finished, "history")
    rows = finished.locator("#runs tbody tr")
    past = rows.last.get_attribute("data-run") or ""
    open_row(rows.last)
    with finished.expect_request(lambda request: f"api/classes?run={past}" in request.url):
        open_tab(finished, "classes")
    finished.get_by_role("button", name="Back to the latest run").click()
    with finished.expect_request(lambda request: request.url.endswith("api/mistakes?show=only1&sort=confident&page=0")):
        open_tab(finished, "mistakes")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_a_phone_needs_no_sideways_scroll(finished: Page, theme: str) -> None:
    finished.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    for name, something in (("mistakes", "#gallery li"), ("classes", "#by-class tbody td"), ("tryit", "#picks canvas")):
        finished.set_viewport_size({"width": 1280, "height": 800})
        open_tab(finished, name)
        expect(finished.locator(something).first).to_be_visible()
        if name == "tryit":
            finished.locator("#picks button").first.click()
            expect(finished.locator("#tryit-about")).to_contain_text("Model 2 says")
        check_with_axe(finished, name, f"#panel-{name}")
        finished.set_viewport_size({"width": 390, "height": 844})
        finished.wait_for_function("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth")


# What the modules' functions return


@pytest.mark.parametrize(
    ("module", "expression", "expected"),
    [
        ("base/wording", "m.plural('Dress')", "Dresses"),
        ("base/wording", f"m.confusion({CLASSES}, 0, 'model1', 2)", "Coats that model 1 takes for T-shirts/tops"),
        ("base/wording", f"m.confusion({CLASSES}, 2, 'model2', 1)", "T-shirts/tops that model 2 takes for dresses"),
        ("base/wording", f"m.confusion({CLASSES}, 1, 'model2', 1)", "Dresses that model 2 recognises"),
        ("tabs/probabilities", "m.likeliest(3, [0.1, 0.2, 0.3, 0], [0.4, 0.2, 0.1, 0], 3)", [3, 0, 2]),
        (
            "tabs/probabilities",
            "[m.answerOf([0.1, 0.7, 0.2]), m.answerOf(null), m.answerOf([null, null])]",
            [1, -1, -1],
        ),
        ("tabs/confusion", "m.target(0, 0, 'ArrowLeft', 10)", [0, 0]),
        ("tabs/confusion", "m.target(3, 4, 'ArrowDown', 10)", [4, 4]),
        ("tabs/confusion", "m.target(3, 4, 'End', 10)", [3, 9]),
        ("tabs/confusion", "m.target(3, 4, 'Enter', 10)", None),
        ("tabs/classes", "[m.excess(0, 0), m.excess(-3, 0), m.excess(5, 1)]", ["0", "−3", "+5.0"]),
        ("tabs/classes", "m.areApart({low: 0.8, high: 0.9}, {low: 0.9, high: 0.95})", False),
        ("tabs/follow", "m.isCurrent({at: null}, {models: {model1: {evaluations: {}}}})", True),
        (
            "tabs/follow",
            "m.isCurrent({at: {model1: {step: 5}}}, {models: {model1: {evaluations: {step: [5, 9]}}}})",
            False,
        ),
        ("tabs/photo", "m.simplify(new Uint8ClampedArray(400).fill(90), 10, 10)", None),
    ],
)
def test_functions_return_what_they_say(modules: Page, module: str, expression: str, expected: object) -> None:
    assert run_in(modules, module, expression) == expected
