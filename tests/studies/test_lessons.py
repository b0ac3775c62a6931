"""Lessons: what a file of them may hold, and what is said of one that cannot be used."""

import json
from pathlib import Path
from typing import Any

import pytest

from config import ModelConfig, differing_fields
from studies.lessons import MOST_LESSONS, SHIPPED, InvalidLessons, parse_lessons, read_lessons

ENDS = {"expected": "As expected.", "other": "The other way round.", "close": "Too close."}
PLAIN = {
    "id": "mine",
    "title": "Mine?",
    "question": "What does it do?",
    "watch": "the loss",
    "model2": {"optimizer": "sgd"},
    "expects": {"figure": "test_accuracy", "model": "model1"},
    "ends": ENDS,
}


def faults(given: object) -> dict[str, str]:
    with pytest.raises(InvalidLessons) as refused:
        parse_lessons(given)
    assert str(refused.value)
    return refused.value.fields


def of_one(**news: Any) -> dict[str, Any]:
    """Return a file with one lesson, changed so; None leaves a part out."""
    return {"lessons": [{key: value for key, value in (PLAIN | news).items() if value is not None}]}


def test_six_lessons_are_shipped_each_a_change_of_one_setting() -> None:
    assert [lesson.title for lesson in SHIPPED] == [
        "Which optimizer?",
        "How deep?",
        "Does dropout help?",
        "Too high a rate",
        "Big batches",
        "3×3 or 5×5?",
    ]
    for lesson in SHIPPED:
        assert differing_fields(lesson.model1, lesson.model2) == [lesson.change["key"]] != ["seed"]


def test_what_a_lesson_leaves_out_takes_its_default() -> None:
    [lesson] = parse_lessons(of_one())
    assert (lesson.model1, lesson.model2) == (ModelConfig(), ModelConfig(optimizer="sgd"))
    assert lesson.axis == "epochs"
    assert lesson.asks == "Which model will have more of the test images right?"
    assert lesson.ends.stopped == "The run was stopped before its end, so the question stays open."
    assert lesson.change == {"key": "optimizer", "title": "Optimizer", "model1": "adam", "model2": "sgd"}


@pytest.mark.parametrize(
    ("model2", "shown"),
    [
        ({"kernels": [8, 16]}, "8 16"),
        ({"batch_norm": True}, "on"),
        ({"learning_rate": 0.03}, "0.03"),
        ({"dropout": 0}, "0"),
    ],
)
def test_a_change_is_shown_as_the_page_shows_settings(model2: dict[str, Any], shown: str) -> None:
    assert parse_lessons(of_one(model2=model2))[0].change["model2"] == shown


def test_a_file_adds_its_lessons_before_those_shipped_and_takes_the_place_of_one_with_the_same_id() -> None:
    mine, shipped = of_one()["lessons"][0], [lesson.id for lesson in SHIPPED]
    ids = [lesson.id for lesson in parse_lessons({"lessons": [mine, mine | {"id": shipped[2]}]}, SHIPPED)]
    assert ids == ["mine", shipped[2], *shipped[:2], *shipped[3:]]
    assert [lesson.id for lesson in parse_lessons({"lessons": [mine], "only": True}, SHIPPED)] == ["mine"]


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        ([], "lessons", 'a lessons file must be an object {"lessons": […]}, got []'),
        ({}, "lessons", "lessons must be a list of 1 to 20 lessons, got none"),
        ({"lessons": {}}, "lessons", "lessons must be a list of 1 to 20 lessons, got {}"),
        (
            {"lessons": [{}] * (MOST_LESSONS + 1)},
            "lessons",
            "a list of 1 to 20 lessons, got 21 of them",
        ),
        (of_one() | {"only": 1}, "only", "only must be true or false, got 1"),
        (of_one() | {"more": 1}, "more", '"more" is not known here; known are lessons and only'),
        ({"lessons": [7]}, "lessons[0]", "a lesson must be an object, got 7"),
        (of_one(title=None), "lessons[0].title", "title is missing: expected a text of 1 to 60 characters"),
        (of_one(title=7), "lessons[0].title", "title must be a text of 1 to 60 characters, got 7"),
        (of_one(watch=""), "lessons[0].watch", 'watch must be a text of 1 to 300 characters, got ""'),
        (of_one(id="A b"), "lessons[0].id", 'id must be 1 to 40 small letters, digits and hyphens, got "A b"'),
        (of_one(axis="flops"), "lessons[0].axis", 'axis must be one of epochs, seconds, images, got "flops"'),
        (of_one(hint="x"), "lessons[0].hint", '"hint" is not known here; known are id, title,'),
        (
            of_one(expects={"figure": "speed", "model": "model1"}),
            "lessons[0].expects.figure",
            'figure must be one of test_accuracy, validation_accuracy, overfitting, got "speed"',
        ),
        (
            of_one(expects={"figure": "overfitting"}),
            "lessons[0].expects.model",
            "model is missing: expected one of model1, model2",
        ),
        (
            of_one(ends=ENDS | {"close": 1}),
            "lessons[0].ends.close",
            "must be a text of 1 to 500 characters, got 1",
        ),
        (of_one(ends=[]), "lessons[0].ends", "ends must be an object with expected, other and close, got []"),
        (of_one(model1=[]), "lessons[0].model1", "must be an object of settings, got []"),
        (
            of_one(model2={"dropout": 2}),
            "lessons[0].model2.dropout",
            "dropout must be a number from 0 to 0.95, got 2",
        ),
        (of_one(model1={"speed": 2}), "lessons[0].model1.speed", '"speed" is not a setting'),
    ],
)
def test_what_cannot_be_used_is_named_with_what_was_expected_and_given(given: object, place: str, message: str) -> None:
    found = faults(given)
    assert list(found) == [place]
    assert message in found[place]


@pytest.mark.parametrize(
    ("model2", "got"),
    [
        (None, "none"),
        ({"momentum": 0.5}, "none"),  # Adam has none
        ({"optimizer": "sgd", "learning_rate": 0.01}, "2 (optimizer, learning_rate)"),
    ],
)
def test_a_lesson_that_changes_no_setting_or_several_is_refused(model2: dict[str, Any] | None, got: str) -> None:
    message = f"model1 and model2 must differ in exactly one setting that both use, got {got}"
    assert faults(of_one(model2=model2)) == {"lessons[0].model2": message}


def test_every_fault_is_told_at_once_and_an_id_stands_once() -> None:
    bad = {"lessons": [PLAIN, PLAIN, PLAIN | {"id": "b", "title": "", "model1": {"seed": -1}}]}
    assert sorted(faults(bad)) == ["lessons[1].id", "lessons[2].model1.seed", "lessons[2].title"]


def test_a_file_is_read_as_it_is_written_on_any_system(tmp_path: Path) -> None:
    path = tmp_path / "lessons.json"
    path.write_text("\ufeff" + json.dumps(of_one()), encoding="utf-8")
    assert [lesson.id for lesson in read_lessons(path)] == ["mine"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file"), (b'{"lessons": [}', "must hold JSON in UTF-8"), (b"\xff{}", "UTF-8")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "lessons.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidLessons) as refused:
        read_lessons(path)
    assert str(path) in refused.value.fields["file"]
    assert message in refused.value.fields["file"]
