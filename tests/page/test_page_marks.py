"""Marks of what happened, and their labels: what the figure's pure functions return, evaluated in the browser."""

import json
from typing import Any

import pytest
from browser import run_in
from playwright.sync_api import Page


def test_marks_of_both_models_at_one_place_are_one(modules: Page) -> None:
    events = "(at) => ({kind: ['running', 'paused', 'finished'], epoch: [0, 1, at], seconds: [0, 1, at]})"
    models = f"{{model1: {{events: ({events})(3), points: {{epoch: [3]}}}}, model2: {{events: ({events})(2)}}}}"
    marks = run_in(modules, "figure/marks", f"m.marks({{models: {models}}}, {{x: 'epochs', imagesPerEpoch: 9}})")
    assert [(mark["kind"], mark["x"], len(mark["models"])) for mark in marks] == [
        ("paused", 1, 2),
        ("finished", 2, 1),
        ("finished", 3, 1),
    ]


def test_an_interruption_is_a_mark_also_where_all_was_lost_and_what_was_undone_is_none(modules: Page) -> None:
    events = "{kind: ['running', 'undone', 'interrupted'], epoch: [0, 1, 0], detail: [null, 'paused', 'at epoch 1.00']}"
    models = f"{{model1: {{events: {events}, points: {{epoch: [3]}}}}}}"
    marks = run_in(modules, "figure/marks", f"m.marks({{models: {models}}}, {{x: 'epochs', imagesPerEpoch: 9}})")
    assert [(mark["kind"], mark["x"], mark["detail"]) for mark in marks] == [("interrupted", 0, "at epoch 1.00")]


def test_a_fork_is_one_mark_on_every_axis(modules: Page) -> None:
    one = "{kind: ['running', 'stopped'], step: [0, 90], epoch: [0, 1], seconds: [0, 5.25], detail: [null, null]}"
    two = "{kind: ['running', 'stopped', 'forked'], step: [0, 90, 90], epoch: [0, 1, 1], seconds: [0, 5.25, 5], detail: [null, null, 'x']}"
    models = f"{{model1: {{events: {one}, points: {{epoch: [2], seconds: [9]}}}}, model2: {{events: {two}}}}}"
    for axis in ("epochs", "seconds"):
        marks = run_in(modules, "figure/marks", f"m.marks({{models: {models}}}, {{x: '{axis}', imagesPerEpoch: 9}})")
        assert [mark["kind"] for mark in marks] == ["forked"]


def drawn_marks(modules: Page, *happened: tuple[str, float] | tuple[str, float, str], width: int = 900) -> Any:
    """Return what is drawn for events of model 1, each with its epoch of five, above a plot of so many pixels."""
    kinds, epochs, details = zip(*((*each, None)[:3] for each in happened), strict=True)
    events = json.dumps({"kind": kinds, "epoch": epochs, "step": [1] * len(kinds), "detail": details})
    history = f"{{models: {{model1: {{events: {events}, points: {{epoch: [5]}}}}}}}}"
    return run_in(modules, "figure/marks", f"m.drawMarks({history}, {{x: 'epochs'}}, {width})")


def test_what_happened_at_one_place_is_said_in_its_order_by_one_label(modules: Page) -> None:
    drawn = drawn_marks(modules, ("paused", 1), ("stopped", 1), ("continued", 1), ("paused", 2), ("paused", 2.01))
    said = [label["text"].replace("<br>", " ") for label in drawn["annotations"]]
    assert said == ["Model 1 paused, stopped, continued", "Model 1 paused"]


def test_epochs_of_a_label_have_two_digits_and_rates_at_most_four(modules: Page) -> None:
    lost = ("interrupted", 1, "at epoch 5.10, continued from 5.00")
    drawn = drawn_marks(modules, lost, ("steered", 3, "learning rate 0.00065748 → 0.001"))
    assert [label["text"].replace("<br>", " ") for label in drawn["annotations"]] == [
        "Model 1 interrupted at epoch 5.10, continued from 5.00",
        "Model 1 rate 0.0006575 → 0.001",
    ]


def test_a_label_without_room_for_all_that_it_says_is_short(modules: Page) -> None:
    change = ("forked", 2.2, "from model 1: dropout 0.5 → 0.2")
    [label] = drawn_marks(modules, change, width=900)["annotations"]
    assert label["text"].replace("<br>", " ") == "Model 1 forked from model 1: dropout 0.5 → 0.2"
    [label] = drawn_marks(modules, change, width=250)["annotations"]
    assert label["text"] == "Model 1 forked"


def test_labels_of_many_marks_stay_low_and_count_those_that_have_none(modules: Page) -> None:
    pauses = [("paused", 0.5 + number / 10) for number in range(41)]
    drawn = drawn_marks(modules, *pauses, ("stopped", 2.52), ("continued", 2.52))
    texts = [label["text"].replace("<br>", " ") for label in drawn["annotations"]]
    assert drawn["height"] <= 28
    assert any("stopped, continued" in text for text in texts)
    left_out = sum(int(text.partition("+")[2] or 0) for text in texts)
    named = sum(text.partition(" +")[0].count(",") + 1 for text in texts)
    assert left_out > 0
    assert named + left_out == len(drawn["shapes"])
    for row in {label["yshift"] for label in drawn["annotations"]}:
        places = [label["x"] for label in drawn["annotations"] if label["yshift"] == row]
        assert places == sorted(places)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("finished", ["finished"]),
        ("a bc def", ["a bc", "def"]),
        ("unbreakable a b", ["unbreakable", "a b"]),
    ],
)
def test_labels_are_wrapped_at_words(modules: Page, text: str, lines: list[str]) -> None:
    assert run_in(modules, "figure/marks", f"m.wrap('{text}', 5)") == lines
