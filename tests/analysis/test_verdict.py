"""What the comparison says, from models as `/api/metrics` shows them."""

import math
import random
import time
from collections.abc import Callable

import pytest
from entrants import COSTS, compared, entrant, note_ids
from evaluated import smooth

from analysis.measures import TARGETS
from history.records import Event, Recent

# State, targets, test


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ("idle", "idle", "idle"),
        ("running", "paused", "running"),
        ("paused", "finished", "paused"),
        ("finished", "finished", "finished"),
        ("finished", "failed", "failed"),
        ("stopped", "finished", "stopped"),
        ("interrupted", "finished", "interrupted"),
    ],
)
def test_state_is_that_of_the_model_still_on_else_the_worse_end(one: str, two: str, expected: str) -> None:
    assert compared(entrant(state=one), entrant(state=two))["state"] == expected
    assert compared(entrant(state=two), entrant(state=one))["state"] == expected


def test_targets_tell_when_each_accuracy_was_first_reached() -> None:
    result = compared(entrant([0.79, 0.86, 0.91]), entrant([0.81], epoch_seconds=5))
    assert [target["accuracy"] for target in result["targets"]] == list(TARGETS)
    at80, at85, at88, at90, at92 = result["targets"]
    assert at80["model1"] == at85["model1"]
    assert (at80["model2"]["epochs"], at80["model2"]["seconds"]) == (1, 5)
    assert at85["model1"]["images"] == 110_000
    assert at85["model1"]["flops"] == 110_000 * COSTS["model1"]["training_flops_per_image"]
    assert at88["model1"] == at90["model1"]
    assert (at85["model2"], at92["model1"]) == (None, None)
    assert result["interval"] == {"model1": 1, "model2": 1}


def test_the_interval_is_that_at_which_evaluations_come_from_now_on() -> None:
    ended = entrant([0.8, 0.9])
    ended["evaluations"]["epoch"] = [2.5, 3.0]
    goes_on = ended | {"next_evaluation_step": 4 * 860, "state": "running"}
    assert compared(ended, goes_on)["interval"] == {"model1": 0.5, "model2": 1}
    assert compared(ended, goes_on | {"state": "stopped"})["interval"] == {"model1": 0.5, "model2": 0.5}


def test_test_accuracy_comes_with_its_interval_at_the_end() -> None:
    result = compared(entrant([0.9], test_accuracy=0.91, state="finished"), entrant([0.9]))
    assert result["test"]["model2"] is None
    assert result["test"]["model1"] == {
        "accuracy": 0.91,
        "low": pytest.approx(0.9042, abs=1e-4),
        "high": pytest.approx(0.9155, abs=1e-4),
    }


def test_attribution_names_what_differs() -> None:
    result = compared(entrant(), entrant(settings={"optimizer": "sgd"}))
    said = "One setting differs (optimizer)."
    assert result["attribution"] == {"differing": ["optimizer"], "text": said, "pairing": None}


# What happened on the way


def steering(was: float, now: float, step: int = 10) -> Event:
    return Event("steered", step, 0.1, 1.0, f"learning rate {was:g} → {now:g}")


def test_model_that_was_steered_there_and_back_is_steered() -> None:
    events = {"model1": [steering(0.001, 0.1), steering(0.1, 0.001, 20)]}
    text = compared(entrant([0.9], learning_rate=0.001), entrant(), events=events)["attribution"]["text"]
    assert "Model 1's learning rate was changed on the way, from 0.001 to 0.1, then to 0.001." in text
    undone = {"model1": [steering(0.001, 0.1)._replace(kind="undone")]}
    assert "changed" not in compared(entrant(), entrant(), events=undone)["attribution"]["text"]


def test_steering_that_no_batch_has_seen_yet_is_none() -> None:
    one = entrant([0.9], learning_rate=0.1)
    late = {"model1": [steering(0.001, 0.1, one["step"])]}
    assert "changed" not in compared(one, entrant(), events=late)["attribution"]["text"]


def test_steering_without_events_shows_in_the_values() -> None:
    text = compared(entrant(), entrant(learning_rate=0.1))["attribution"]["text"]
    assert "Model 2's learning rate was changed on the way, from 0.001 to 0.1." in text


def test_what_a_fork_changed_is_the_difference_and_what_came_before_it_is_none() -> None:
    before = steering(0.01, 0.001)
    fork = Event("forked", 50, 0.5, 5.0, "from model 1: dropout 0.5 → 0.2")
    events = {"model1": [before], "model2": [before, fork]}
    one, two = entrant([0.9], learning_rate=0.001), entrant([0.8], learning_rate=0.001, settings={"dropout": 0.2})
    text = compared(one, two, events=events)["verdict"]["second"]
    assert text == "This can still change. Model 2 is a copy of model 1 with one change (dropout 0.5 → 0.2)."
    events["model2"].append(steering(0.001, 0.1, 60))
    two |= {"learning_rate": 0.1}
    text = compared(one, two, events=events)["verdict"]["second"]
    assert text.endswith("Model 2's learning rate was changed on the way, from 0.001 to 0.1.")


# The notes


def test_notes_come_with_the_most_important_first() -> None:
    broken = entrant([0.90, 0.90, 0.90, 0.90], state="failed", error="NaN", settings={"epochs": 4})
    other = entrant([0.901, 0.901, 0.901, 0.901], accuracy=0.8, val_accuracy=0.901, state="finished")
    result = compared(broken, other, recent={"model1": Recent(3, [1.0, 2.0, math.nan]), "model2": Recent(0, [])})
    assert note_ids(result) == [
        *("failure-model1", "plateau-model1", "plateau-model2", "dropout"),
    ]
    assert result["notes"][0]["model"] == "model1"
    assert set(result["notes"][0]) == {"id", "model", "text"}


def test_no_note_contradicts_what_the_test_images_have_decided() -> None:
    slow = entrant([0.80, 0.90], epoch_seconds=30)
    fast = entrant([0.78, 0.86, 0.88, 0.89, 0.90, 0.93])
    test = {"both_right": 8900, "only1": 300, "only2": 290, "both_wrong": 510, "p_value": 0.71, "method": "chi2"}
    assert "flip" in note_ids(compared(slow, fast))
    assert "flip" not in note_ids(compared(slow, fast, significance=test))


def test_jump_of_the_loss_is_found_among_the_recent_losses() -> None:
    losses = [0.5] * 400 + [1.5] * 100
    result = compared(entrant(), entrant(), recent={"model1": Recent(860 + 500, losses)})
    (note,) = result["notes"]
    assert note["text"] == "Model 1's loss jumped at epoch 1.5: its learning rate may be too high"


def test_ordinary_models_at_the_start_get_no_notes() -> None:
    assert compared(entrant(), entrant())["notes"] == []


@pytest.mark.parametrize("batch_sizes", [(64, 64), (1, 1), (1, 64), (100, 8192)])
def test_comparison_takes_less_than_smoothing_an_epoch_of_single_images(batch_sizes: tuple[int, int]) -> None:
    """About 15 ms where that takes 45: each poll waits for it."""
    noisy = random.Random(0)
    accuracies = [0.9 + noisy.uniform(-0.01, 0.01) for _ in range(500)]
    one, two = (entrant(accuracies, settings={"batch_size": size}) for size in batch_sizes)
    recent = {
        name: Recent(10**6, [noisy.random() for _ in range(-(-55_000 // size))])
        for name, size in zip(("model1", "model2"), batch_sizes, strict=True)
    }
    losses = [noisy.random() for _ in range(110_000)]

    def thread_time(work: Callable[[], object]) -> float:
        start = time.thread_time()
        work()
        return time.thread_time() - start

    took = [thread_time(lambda: compared(one, two, recent=recent)) for _ in range(5)]
    assert min(took) < min(thread_time(lambda: smooth(losses, 1)) for _ in range(5))
