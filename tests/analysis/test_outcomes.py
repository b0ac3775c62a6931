"""Outcomes: how a pair ended, and who has more of the figure that a lesson is about."""

from typing import Any

import pytest
from entrants import bits, compared, entrant, having_right

from history.events import say_rates
from history.records import Event

COUNTS = {"both_right": 8_500, "only1": 300, "only2": 200, "both_wrong": 1_000, "p_value": 0.00001}


def ended(**news: Any) -> dict[str, Any]:
    """Return a finished model of one epoch that has 90 % of the validation images right."""
    return entrant([0.9], state="finished", **news)


def trained(accuracy: float) -> dict[str, Any]:
    """Return a finished model, with its accuracy on the training images at the end."""
    model = ended()
    return model | {"evaluations": model["evaluations"] | {"train_accuracy": [accuracy]}}


@pytest.mark.parametrize(
    ("one", "two", "word"),
    [
        ("running", "failed", "live"),
        ("idle", "idle", "live"),
        ("failed", "finished", "failed"),
        ("stopped", "finished", "stopped"),
        ("interrupted", "stopped", "stopped"),
        ("finished", "finished", "finished"),
    ],
)
def test_a_pair_ended_in_one_word_and_has_figures_only_when_finished(one: str, two: str, word: str) -> None:
    outcomes = compared(entrant([0.9], state=one), entrant([0.8], state=two))["outcomes"]
    assert outcomes["ended"] == word
    assert bool(outcomes["figures"]) == (word == "finished")


def test_a_pair_that_was_steered_no_longer_shows_one_change() -> None:
    steered = {"model1": [Event("steered", 5, 0.1, 1.0, say_rates(0.001, 0.01))]}
    assert compared(ended(), ended(), events=steered)["outcomes"] == {"ended": "changed", "figures": {}}


def test_the_test_images_tell_who_is_ahead_only_beyond_chance() -> None:
    def found(**news: Any) -> dict[str, Any]:
        answer = compared(ended(), ended(), significance=COUNTS | news)
        assert answer["outcomes"]["figures"]["test_accuracy"]["text"] == answer["verdict"]["first"]
        return answer["outcomes"]["figures"]["test_accuracy"]

    assert found()["higher"] == "model1"
    assert found(p_value=0.2)["higher"] is None
    assert "test_accuracy" not in compared(ended(), ended())["outcomes"]["figures"]


def test_the_validation_accuracy_is_that_at_an_equal_place() -> None:
    right = {"model1": bits(having_right(4500)), "model2": bits(having_right(4000))}
    two = entrant([0.8], state="finished", epoch_seconds=5)
    found = compared(ended(), two, right_images=right)["outcomes"]["figures"]["validation_accuracy"]
    assert found["higher"] == "model1"
    assert found["text"].startswith("Model 1 leads by 10.0 points at equal epochs")
    near = {"model1": bits(having_right(4500)), "model2": bits(having_right(4500, first=400))}
    close = compared(ended(), ended(), right_images=near)["outcomes"]["figures"]["validation_accuracy"]
    assert close["higher"] is None


@pytest.mark.parametrize(("accuracy", "higher"), [(0.92, None), (0.99, "model2")])
def test_overfitting_differs_only_beyond_what_chance_makes_of_the_images(accuracy: float, higher: str | None) -> None:
    found = compared(trained(0.91), trained(accuracy))["outcomes"]["figures"]["overfitting"]
    assert found["higher"] == higher
    gap = 100 * (accuracy - 0.9)
    assert f"model 1 by 1.0 points, model 2 by {gap:.1f} points" in found["text"]
    assert ("more than chance" in found["text"]) == (higher is not None)


def test_overfitting_is_not_told_where_the_training_images_were_not_looked_at() -> None:
    assert "overfitting" not in compared(ended(), trained(0.99))["outcomes"]["figures"]
