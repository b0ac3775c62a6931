"""Lessons: cards, guess, strip, end and next; while something trains; from a file and from a link. And twins."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from browser import (
    SMALL,
    TWO_SMALL,
    Faults,
    Launch,
    Server,
    ask,
    badges,
    check_with_axe,
    fresh_page,
    is_wider_than_screen,
    run_in,
    set_quick_models,
    start,
    states,
    stop_training,
    tell,
    wait_for,
)
from playwright.sync_api import BrowserContext, Page, expect

TINY = {"kernels": [4], "batch_size": 256, "epochs": 1, "hidden_units": 16}
ENDS = {
    "expected": "It came as expected.",
    "other": "It came the other way round.",
    "close": "Nobody can tell.",
    "failed": "One broke off.",
    "stopped": "It was stopped.",
}
FIRST = {
    "id": "first",
    "title": "Adam or SGD?",
    "question": "Who learns more in one epoch?",
    "watch": "how fast the loss falls.",
    "model1": TINY,
    "model2": TINY | {"optimizer": "sgd"},
    "expects": {"figure": "test_accuracy", "model": "model1"},
    "ends": ENDS,
}
SECOND = FIRST | {
    "id": "second",
    "title": "Does it break?",
    "guess": "Whose loss stays a number?",
    "axis": "seconds",
    "model1": SMALL | {"optimizer": "sgd"},
    "model2": SMALL | {"optimizer": "sgd", "learning_rate": 10.0},
}
LONG = {"model1": TINY | {"epochs": 500}, "model2": TINY | {"epochs": 500, "kernels": [8]}}


@pytest.fixture(scope="module")
def teacher(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two lessons of its own."""
    path = tmp_path_factory.mktemp("lessons") / "mine.json"
    path.write_text(json.dumps({"lessons": [FIRST, SECOND], "only": True}), encoding="utf-8")
    server = Server(data_dir, tmp_path_factory.mktemp("runs"), "--lessons", str(path))
    server.start()
    wait_for(server.is_ready, "readiness of the server")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def school(launch: Launch, teacher: Server) -> Iterator[BrowserContext]:
    with launch(teacher.url) as context:
        yield context


@pytest.fixture
def lessons(school: BrowserContext, teacher: Server, faults: Faults) -> Iterator[Page]:
    """The page of a server that offers two lessons and has no run."""
    with fresh_page(school, teacher.url, faults) as page:
        for run in ask(page, "runs")["runs"]:
            tell(page, f"runs/{run['id']}/delete", {})
        page.goto("/")
        expect(page.locator("#start")).to_be_enabled()
        yield page
        stop_training(page)


def choose_lesson(page: Page, lesson: dict[str, Any], guess: str) -> None:
    page.locator(".lesson-card", has_text=lesson["title"]).click()
    page.locator("#lessons").get_by_role("button", name=guess).click()


def told(page: Page) -> str:
    return page.locator("#lesson-told").text_content() or ""


# From the card to the end


def test_a_lesson_goes_from_its_card_over_a_guess_to_what_really_happened_and_the_next(lessons: Page) -> None:
    expect(lessons.locator(".lesson-card")).to_have_count(2)
    card = lessons.locator(".lesson-card").first
    for text in (FIRST["title"], FIRST["question"], "Optimizer", "adam", "sgd"):
        expect(card).to_contain_text(str(text))
    check_with_axe(lessons)
    card.press("Enter")
    dialog = lessons.locator("#lessons")
    expect(dialog).to_contain_text("One setting differs: Optimizer, adam in model 1, sgd in model 2.")
    expect(dialog).to_contain_text("Which model will have more of the test images right?")
    check_with_axe(lessons)
    assert states(lessons) == ["idle", "idle"]  # nothing trains before the guess
    dialog.get_by_role("button", name="Model 2 (sgd)").click()
    expect(lessons.locator("#lesson-told")).to_have_text(f"{FIRST['question']} Watch: {FIRST['watch']}")
    expect(lessons.locator("#lessons-home")).to_be_hidden()
    expect(lessons.locator("[name='model2.optimizer']")).to_have_value("sgd")
    expect(lessons.locator("[name='model1.kernels.1']")).to_have_value("4")
    expect(lessons.locator("#lesson-next")).to_be_hidden()
    expect(lessons.locator("#state")).to_have_text("Finished")
    expect(lessons.locator("#lesson-next")).to_have_text(f"Next: {SECOND['title']}")
    found = ask(lessons, "comparison?axis=epochs")["outcomes"]
    assert found["figures"]["test_accuracy"]["higher"] == "model1"
    assert told(lessons) == ENDS["expected"]
    expect(lessons.locator("#lesson-guessed")).to_have_text("You guessed model 2, but it is model 1.")
    check_with_axe(lessons)
    lessons.reload()
    expect(lessons.locator("#lesson-told")).to_have_text(ENDS["expected"])
    lessons.click("#lesson-repeat")
    expect(lessons.locator("#repeats-count")).to_have_value("5")
    expect(lessons.locator("#repeats-start")).to_be_focused()
    lessons.click("#lesson-next")
    expect(lessons.locator("#lessons-title")).to_have_text(str(SECOND["title"]))
    expect(lessons.locator("#lesson-asks")).to_have_text(str(SECOND["guess"]))


def test_a_lesson_whose_model_breaks_off_says_so_and_compares_along_its_own_axis(lessons: Page) -> None:
    choose_lesson(lessons, SECOND, "Train without a guess")
    expect(lessons.locator("#model2 .badge")).to_have_text("failed")
    expect(lessons.locator("#model1 .badge")).to_have_text("finished")
    expect(lessons.locator("#lesson-told")).to_have_text(ENDS["failed"])
    expect(lessons.locator("#lesson-guessed")).to_be_hidden()
    expect(lessons.locator("[data-view='axis'][value='seconds']")).to_be_checked()


def test_a_lesson_that_is_stopped_or_steered_leaves_its_question_open(lessons: Page) -> None:
    slow = FIRST | {name: FIRST[name] | {"epochs": 500} for name in ("model1", "model2")}
    lessons.goto(f"/#lessons={quote(json.dumps({'lessons': [slow]}))}")
    lessons.locator("#lessons").get_by_role("button", name="Too close to call").click()
    badges(lessons, "running")
    stop_training(lessons)
    expect(lessons.locator("#lesson-told")).to_have_text(ENDS["stopped"])
    expect(lessons.locator("#lesson-guessed")).to_be_hidden()


@pytest.mark.parametrize(
    ("ended", "higher", "figure", "expected"),
    [
        ("live", None, "test_accuracy", None),
        ("changed", None, "test_accuracy", {"text": "Changed."}),
        ("finished", "model1", "test_accuracy", {"text": "Expected.", "leader": "model1"}),
        ("finished", "model2", "test_accuracy", {"text": "Other.", "leader": "model2"}),
        ("finished", None, "test_accuracy", {"text": "Close.", "leader": None}),
        ("finished", "model1", "overfitting", {"text": "By 3 points. Expected.", "leader": "model1"}),
        ("finished", None, None, None),
    ],
)
def test_what_came_of_a_lesson_follows_from_the_servers_outcomes(
    modules: Page, ended: str, higher: str | None, figure: str | None, expected: dict[str, Any] | None
) -> None:
    ends = {"expected": "Expected.", "other": "Other.", "close": "Close.", "changed": "Changed."}
    lesson = {"expects": {"figure": figure or "test_accuracy", "model": "model1"}, "ends": ends}
    figures = {figure: {"higher": higher, "text": "By 3 points."}} if figure and ended == "finished" else {}
    question = f"m.ending({json.dumps(lesson)}, {json.dumps({'ended': ended, 'figures': figures})})"
    assert run_in(modules, "run/lesson", question) == expected


# While something trains


def test_a_lesson_chosen_while_one_trains_waits_and_kills_nothing(lessons: Page) -> None:
    tell(lessons, "start", LONG)
    badges(lessons, "running")
    lessons.get_by_role("button", name="Lessons", exact=True).click()
    lessons.locator("#lessons .lesson-card").first.click()
    expect(lessons.locator("#lesson-delay")).to_have_text(
        "Nothing is stopped: the lesson starts when what trains now has ended."
    )
    lessons.locator("#lessons").get_by_role("button", name="Too close to call").click()
    waits = lessons.locator("#lesson-waits")
    expect(waits).to_contain_text("“Adam or SGD?” starts when what trains now has ended")
    check_with_axe(lessons)
    run = ask(lessons, "metrics")["run"]
    tell(lessons, "queue", TWO_SMALL)
    expect(waits).to_contain_text("starts when what trains now and the 1 in line have ended")
    [item] = ask(lessons, "queue")["items"]
    tell(lessons, f"queue/{item['id']}/delete", {})
    expect(waits).to_contain_text("starts when what trains now has ended")
    lessons.wait_for_timeout(2500)  # a poll must not start it
    assert (ask(lessons, "metrics")["run"], states(lessons)) == (run, ["running", "running"])
    lessons.get_by_role("button", name="Do not start it").click()
    expect(waits).to_be_hidden()
    lessons.get_by_role("button", name="Lessons", exact=True).click()
    lessons.locator("#lessons .lesson-card").first.click()
    lessons.locator("#lessons").get_by_role("button", name="Model 1 (adam)").click()
    lessons.get_by_role("button", name="Stop and start it now").click()
    expect(lessons.locator("#lesson-told")).to_have_text(ENDS["expected"])
    expect(lessons.locator("#lesson-guessed")).to_have_text("You guessed model 1, and you were right.")
    assert run in [each["id"] for each in ask(lessons, "runs")["runs"]]


def test_what_was_typed_comes_back_when_the_lesson_has_ended(lessons: Page) -> None:
    lessons.locator("[name='model2.dropout']").fill("0.1")
    choose_lesson(lessons, FIRST, "Train without a guess")
    expect(lessons.locator("#state")).to_have_text("Finished")
    expect(lessons.locator("[name='model2.dropout']")).to_have_value("0.1")
    expect(lessons.locator("[name='model2.optimizer']")).to_have_value("adam")


# A link


def test_a_link_opens_its_lesson_beside_the_others(lessons: Page) -> None:
    given = FIRST | {"id": "third", "title": "50 % + 1 <b>?"}
    lessons.goto(f"/#lessons={quote(json.dumps({'lessons': [given]}))}")
    expect(lessons.locator("#lessons-title")).to_have_text(str(given["title"]))
    lessons.get_by_role("button", name="All lessons").click()
    titles = lessons.locator("#lessons .lesson-card > b")
    expect(titles).to_have_text([str(each["title"]) for each in (given, FIRST, SECOND)])
    lessons.keyboard.press("Escape")
    expect(lessons.locator("#lessons-home .lesson-card")).to_have_count(3)


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        (
            quote(json.dumps({"lessons": [FIRST | {"model2": TINY}]})),
            "lessons[0].model2: model1 and model2 must differ in exactly one setting that both use, got none",
        ),
        ("%7B", "The link's lessons cannot be used: it holds no JSON."),
        ("%", "The link's lessons cannot be used: it holds no JSON."),
    ],
)
def test_a_bad_link_is_refused_with_what_was_expected(
    lessons: Page, faults: Faults, fragment: str, message: str
) -> None:
    faults.expected = re.compile("400")
    lessons.goto(f"/#lessons={fragment}")
    expect(lessons.locator("#banner")).to_contain_text(message)
    expect(lessons.locator(".lesson-card")).to_have_count(2)


# Room


@pytest.mark.parametrize("width", [1280, 390])
def test_cards_and_dialog_fit_every_screen(lessons: Page, width: int) -> None:
    lessons.set_viewport_size({"width": width, "height": 800})
    assert not is_wider_than_screen(lessons)
    lessons.locator(".lesson-card").first.click()
    box = lessons.locator("#lessons").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width


# Beside the lessons


def test_twins_start_only_after_a_warning(page: Page) -> None:
    set_quick_models(page)
    page.locator("[name='model2.kernels.1']").fill("4")
    before = ask(page, "metrics")["run"]
    page.locator("[name='model2.epochs']").press("Enter")
    dialog = page.locator("#confirm")
    expect(dialog).to_contain_text("Both models are set alike")
    expect(dialog.get_by_role("button", name="Change one setting")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("[name='model2.optimizer']")).to_be_focused()
    assert ask(page, "metrics")["run"] == before
    page.click("#start")
    dialog.get_by_role("button", name="Start all the same").click()
    badges(page, "running")


def test_two_models_that_differ_in_one_setting_start_at_once(page: Page) -> None:
    set_quick_models(page)
    start(page)
    expect(page.locator("#confirm")).to_be_hidden()


def test_the_preset_that_changes_two_settings_offers_the_lesson_that_changes_one(page: Page) -> None:
    set_quick_models(page)  # unfolds the forms
    page.select_option("#preset", label="Deep vs Shallow")
    expect(page.locator("#preset-lesson")).to_be_hidden()
    page.select_option("#preset", label="Optimizer Impact")
    expect(page.locator("#preset-about")).to_contain_text("two settings differ")
    page.click("#preset-lesson")
    expect(page.locator("#lessons-title")).to_have_text("Which optimizer?")
    page.keyboard.press("Escape")
    expect(page.locator("#lessons")).to_be_hidden()
