"""What the comparison says, from models as `/api/metrics` shows them."""

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from analysis import figures, measures, verdict
from analysis.measures import AXES, TARGETS
from config import ModelConfig
from history.log import MetricsLog
from history.records import Evaluation, Event, Point, Recent, Status
from training.cost import describe_model

COSTS = {name: describe_model(ModelConfig()) for name in ("model1", "model2")}
NO_RECENT: dict[str, Recent] = {}


def entrant(
    accuracies: Sequence[float] = (), *, epoch_seconds: float = 10.0, losses: Sequence[float] = (), **news: Any
) -> dict[str, Any]:
    """Return a model as /api/metrics shows it, evaluated at the ends of epochs 1, 2, 3, …"""
    log = MetricsLog(["model1"])
    config = ModelConfig(**news.pop("settings", {}))
    status = Status(
        "running",
        config=config.model_dump(mode="json"),
        parameters=422_026,
        epoch=float(len(accuracies)),
        step=860 * len(accuracies),
        elapsed_seconds=epoch_seconds * len(accuracies),
        steps_per_epoch=860,
    )
    rows = [
        Evaluation(860 * epoch, epoch, epoch_seconds * epoch, loss, accuracy)
        for epoch, (accuracy, loss) in enumerate(
            zip(accuracies, losses or [1 - accuracy for accuracy in accuracies], strict=True), 1
        )
    ]
    log.publish("model1", status, [Point(1, 1 / 860, 0.1, 2.3, 0.1)], rows)
    return log.view()[1]["model1"] | news


def compared(one: dict[str, Any], two: dict[str, Any], axis: str = "epochs", **rest: Any) -> dict[str, Any]:
    models = {"model1": one, "model2": two}
    result = verdict.compare("r1", models, axis, **({"recent": NO_RECENT, "descriptions": COSTS} | rest))
    json.dumps(result, allow_nan=False)
    return result


def bits(*right: Sequence[bool]) -> list[bytes | None]:
    """Return which images each of several evaluations had right as Evaluation keeps it."""
    return [np.packbits(np.array(each)).tobytes() for each in right]


def having_right(count: int, first: int = 0, of: int = 5_000) -> list[bool]:
    """Return answers of which so many are right from image `first` on."""
    return [first <= image < first + count for image in range(of)]


def row(result: dict[str, Any], key: str) -> dict[str, Any]:
    return next(row for row in result["rows"] if row["key"] == key)


def note_ids(result: dict[str, Any]) -> list[str]:
    return [note["id"] for note in result["notes"]]


# Who leads


def test_leader_in_accuracy_and_loss_is_told_at_equal_epochs() -> None:
    result = compared(entrant([0.80, 0.90, 0.92]), entrant([0.80, 0.88]))
    assert result["verdict"]["accuracy"] == {
        "leader": "model1",
        "gap": pytest.approx(0.02),
        "at": 2,
        "model1": 0.90,
        "model2": 0.88,
        "noise": None,
        "within_noise": False,
        "text": result["verdict"]["first"],
    }
    assert result["verdict"]["loss"]["leader"] == "model1"
    assert result["verdict"]["loss"]["text"] == "Loss 0.100 against 0.120"
    assert result["verdict"]["first"].startswith("Model 1 leads by 2.0 points so far at equal epochs (noise of")
    assert result["verdict"]["text"] == f"{result['verdict']['first']} {result['verdict']['second']}"
    assert (result["verdict"]["leader"], result["verdict"]["gap"]) == ("model1", pytest.approx(0.02))
    assert result["verdict"]["axis_text"] == "at equal epochs (2.00)"


def test_loss_and_accuracy_may_have_different_leaders() -> None:
    result = compared(entrant([0.8], losses=[0.4]), entrant([0.9], losses=[0.5]))
    assert result["verdict"]["text"].startswith("Model 2 leads by 10.0 points so far")
    assert (result["verdict"]["accuracy"]["leader"], result["verdict"]["loss"]["leader"]) == ("model2", "model1")
    assert "oss" not in result["verdict"]["text"]


def test_equal_models_have_no_leader() -> None:
    result = compared(entrant([0.8, 0.9]), entrant([0.8, 0.9]))
    assert (result["verdict"]["accuracy"]["leader"], result["verdict"]["loss"]["leader"]) == (None, None)
    assert result["verdict"]["first"] == "Too close to call so far: neither leads at equal epochs."


def test_winner_can_flip_between_epochs_and_seconds() -> None:
    slow, fast = entrant([0.80, 0.90], epoch_seconds=30), entrant([0.78, 0.86, 0.88, 0.89, 0.90, 0.91])
    by_epochs, by_seconds = compared(slow, fast), compared(slow, fast, "seconds")
    assert by_epochs["verdict"]["accuracy"]["leader"] == "model1"
    assert by_seconds["verdict"]["accuracy"]["leader"] == "model2" or by_seconds["verdict"]["accuracy"]["within_noise"]
    assert by_seconds["verdict"]["axis_text"] == "at equal seconds (60.0 s)"
    faster = entrant([0.78, 0.86, 0.88, 0.89, 0.90, 0.93])
    assert "flip" in note_ids(compared(slow, faster))


def test_loss_that_broke_is_compared_where_it_last_was_whole() -> None:
    result = compared(entrant([0.8, 0.8], losses=[0.5, math.nan]), entrant([0.8, 0.9]))
    assert result["verdict"]["loss"]["at"] == 1
    assert result["verdict"]["accuracy"]["at"] == 2


@pytest.mark.parametrize("axis", AXES)
def test_nothing_is_said_before_both_have_an_evaluation(axis: str) -> None:
    for one, two in ((entrant(), entrant()), (entrant([0.8]), entrant())):
        result = compared(one, two, axis)["verdict"]
        assert {*result["accuracy"].values(), *result["loss"].values()} == {None}
        assert (result["text"], result["axis_text"]) == (None, None)


@pytest.mark.parametrize(
    ("axis", "value", "text"),
    [
        ("epochs", 1.5, "epochs (1.50)"),
        ("seconds", 12.34, "seconds (12.3 s)"),
        ("images", 82_500, "images (82,500)"),
        ("flops", 4.93e12, "FLOPs (4.93 TFLOP)"),
        ("flops", 1.2e15, "FLOPs (1.2 PFLOP)"),
        ("flops", 12, "FLOPs (12)"),
    ],
)
def test_places_on_an_axis_read_naturally(axis: str, value: float, text: str) -> None:
    assert verdict.axis_text(axis, value) == text


def test_models_of_different_work_meet_at_equal_flops() -> None:
    costs = {"model1": COSTS["model1"], "model2": describe_model(ModelConfig(kernels=(16, 32, 64, 128)))}
    one, two = entrant([0.80, 0.90]), entrant([0.7, 0.8, 0.85, 0.88, 0.90, 0.91, 0.92])
    work = [55_000 * cost["training_flops_per_image"] for cost in costs.values()]
    result = compared(one, two, "flops", descriptions=costs)["verdict"]["accuracy"]
    assert result["at"] == pytest.approx(min(2 * work[0], 7 * work[1]))


def test_flops_are_not_compared_before_they_are_known() -> None:
    result = compared(entrant([0.8]), entrant([0.9]), "flops", descriptions={})
    assert result["verdict"]["text"] is None
    assert result["targets"][0]["model1"] == {
        "epochs": 1,
        "seconds": 10,
        "images": 55_000,
        "flops": None,
        "interval": 1,
    }
    assert row(result, "memory")["model1"] is row(result, "flops_per_image")["model2"] is None
    assert row(result, "parameters")["model1"] == 422_026  # the run itself has told


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
    assert result["attribution"] == {"differing": ["optimizer"], "text": "One setting differs (optimizer)."}


# Noise


def test_lead_is_held_to_the_noise_of_the_same_images() -> None:
    one, two = entrant([0.80, 0.905]), entrant([0.80, 0.90])
    rights = {
        "model1": bits(having_right(4000), having_right(4525)),
        "model2": bits(having_right(4000), having_right(4500)),
    }
    close = compared(one, two)["verdict"]["accuracy"]
    assert (close["noise"], close["within_noise"]) == (None, True)  # whichever images they were
    told = compared(one, two, right_images=rights)["verdict"]["accuracy"]
    assert told["noise"] == pytest.approx(1.96 * math.sqrt(25 - 25**2 / 5_000) / 5_000, rel=1e-4)
    assert told["within_noise"] is False  # all that the second has right, the first has, too
    rights["model2"] = bits(having_right(4000), having_right(4500, first=500))
    assert compared(one, two, right_images=rights)["verdict"]["accuracy"]["within_noise"] is True


def test_between_two_evaluations_the_noise_is_that_of_the_one_before() -> None:
    slow, fast = entrant([0.80, 0.90], epoch_seconds=10), entrant([0.70, 0.90], epoch_seconds=14)
    rights = {
        "model1": bits(having_right(4000), having_right(4500)),
        "model2": bits(having_right(3500), having_right(4500)),
    }
    accuracy = compared(slow, fast, "seconds", right_images=rights)["verdict"]["accuracy"]
    assert accuracy["at"] == 20
    assert accuracy["noise"] == pytest.approx(1.96 * math.sqrt(1000 - 1000**2 / 5_000) / 5_000, rel=1e-4)


def test_marks_say_what_the_statement_says() -> None:
    one, two = ({"accuracies": [value], "state": "finished", "test_accuracy": value} for value in (0.93, 0.90))
    close = {"both_right": 8900, "only1": 300, "only2": 290, "both_wrong": 510, "p_value": 0.71, "method": "chi2"}
    sure = close | {"only1": 400, "p_value": 0.0001}
    other = close | {"only2": 400, "p_value": 0.0001}
    expected = {"too": (close, None, None), "more": (sure, "model1", "model1"), "less": (other, None, "model2")}
    for significance, best, test in expected.values():
        result = compared(entrant(**one), entrant(**two), significance=significance)
        assert [row(result, key)["better"] for key in ("best_accuracy", "test_accuracy")] == [best, test]
        assert result["verdict"]["leader"] == test
        assert result["significance"]["leader"] == test
        assert result["significance"]["text"] == result["verdict"]["first"]


def test_claim_of_the_repeats_leads_the_statement_and_a_pair_that_differs_marks_nobody() -> None:
    one, two = ({"accuracies": [value], "state": "finished", "test_accuracy": value} for value in (0.93, 0.90))
    test = {"both_right": 8900, "only1": 400, "only2": 290, "both_wrong": 410, "p_value": 0.0001, "method": "chi2"}
    repeats = {"pairs": 10, "claim": "model2", "text": "Model 2's settings are better: by 0.4 points."}
    two |= {"settings": {"dropout": 0.3}}
    result = compared(entrant(**one), entrant(**two), significance=test, repeats=repeats)
    assert result["verdict"]["text"].startswith(
        "Model 2's settings are better: by 0.4 points. The difference is due to dropout"
    )
    assert "This pair goes the other way" in result["verdict"]["text"]
    assert [row(result, key)["better"] for key in ("best_accuracy", "test_accuracy")] == [None, None]


# What happened on the way


def steering(was: float, now: float, step: int = 10) -> Event:
    return Event("steered", step, 0.1, 1.0, f"learning rate {was:g} → {now:g}")


def test_model_that_was_steered_there_and_back_is_steered() -> None:
    events = {"model1": [steering(0.001, 0.1), steering(0.1, 0.001, 20)]}
    text = compared(entrant(learning_rate=0.001), entrant(), events=events)["attribution"]["text"]
    assert "Model 1's learning rate was changed on the way, from 0.001 to 0.1, then to 0.001." in text
    undone = {"model1": [steering(0.001, 0.1)._replace(kind="undone")]}
    assert "changed" not in compared(entrant(), entrant(), events=undone)["attribution"]["text"]


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


# The table


def test_every_row_explains_itself_and_has_its_sources() -> None:
    result = compared(entrant(), entrant())
    keys = [row["key"] for row in result["rows"]]
    assert len(keys) == len(set(keys)) == len(figures.FIGURES) - 1
    for one in result["rows"]:
        assert list(one) == [
            *("key", "title", "unit", "better", "lower_is_better", "model1", "model2", "text1", "text2"),
            *("help", "source"),
        ]
        assert one["title"]
        assert one["help"].endswith(".")
        assert one["source"]


def test_gpu_use_stands_in_the_table_only_where_there_is_a_gpu() -> None:
    assert "gpu_use" not in [row["key"] for row in compared(entrant(), entrant())["rows"]]
    shared = row(compared(entrant(), entrant(), gpu_use=0.83), "gpu_use")
    assert (shared["text1"], shared["text2"], shared["unit"], shared["better"]) == ("83", "83", "%", None)


def test_rows_of_models_that_have_not_started_are_dashes() -> None:
    result = compared(entrant(step=0), entrant(step=0))
    known = [row["key"] for row in result["rows"] if row["text1"] != "–"]
    assert known == ["parameters", "flops_per_image", "training_flops_per_image", "memory"]
    assert {row["better"] for row in result["rows"]} == {None}


@pytest.mark.parametrize("key", ["epochs_to_target", "seconds_to_target"])
@pytest.mark.parametrize(
    ("first", "second", "better"),
    [
        ([0.86], [0.7, 0.7, 0.86], "model1"),
        ([0.86], [0.7, 0.86], None),
        ([0.86], [0.86], None),
        ([0.7, 0.86], [0.7, 0.8, 0.8], "model1"),
        ([0.7, 0.86], [0.7, 0.8], None),
        ([0.7, 0.86], [0.7], None),
        ([0.7, 0.8], [0.7], None),
    ],
    ids=[
        "an interval apart",
        "in neighbouring intervals",
        "in the same interval",
        "reached, the other further on and not",
        "reached, the other just as far and not",
        "reached, the other not so far yet",
        "neither",
    ],
)
def test_convergence_is_better_only_where_the_evaluations_leave_no_doubt(
    first: list[float], second: list[float], better: str | None, key: str
) -> None:
    assert row(compared(entrant(first), entrant(second)), key)["better"] == better
    mirrored = row(compared(entrant(second), entrant(first)), key)
    assert mirrored["better"] == {"model1": "model2", None: None}[better]


def test_convergence_by_the_clock_may_be_certain_where_that_in_epochs_is_not() -> None:
    result = compared(entrant([0.7, 0.86], epoch_seconds=1), entrant([0.7, 0.86], epoch_seconds=10))
    assert row(result, "seconds_to_target")["better"] == "model1"  # from 1 to 2 s, and from 10 to 20 s
    assert row(result, "epochs_to_target")["better"] is None


def test_target_that_was_not_reached_says_so() -> None:
    result = row(compared(entrant([0.7]), entrant()), "seconds_to_target")
    assert (result["text1"], result["text2"]) == ("not reached", "–")


def test_accuracies_within_the_noise_have_no_better_one() -> None:
    assert row(compared(entrant([0.900]), entrant([0.905])), "best_accuracy")["better"] is None
    assert row(compared(entrant([0.900]), entrant([0.920])), "best_accuracy")["better"] == "model2"


def test_values_that_read_alike_have_no_better_one() -> None:
    speeds = [entrant(images_per_second=speed) for speed in (1000.1, 1000.2)]
    assert row(compared(*speeds), "images_per_second")["better"] is None


@pytest.mark.parametrize(("second", "better"), [(1040.0, None), (1100.0, "model2")])
def test_values_that_differ_by_less_than_their_noise_have_no_better_one(second: float, better: str | None) -> None:
    result = compared(entrant(images_per_second=1000.0), entrant(images_per_second=second))
    assert row(result, "images_per_second")["better"] == better


@pytest.mark.parametrize(("accuracies", "better"), [([0.90, 0.895], None), ([0.90, 0.88], "model1")])
def test_drawdowns_within_a_point_have_no_better_one(accuracies: list[float], better: str | None) -> None:
    assert row(compared(entrant([0.8, 0.9]), entrant(accuracies)), "drawdown")["better"] == better


def test_batches_a_second_compare_only_between_equal_batches() -> None:
    one = entrant(batches_per_second=10.0)
    equal = compared(one, entrant(batches_per_second=20.0))
    assert row(equal, "batches_per_second")["better"] == "model2"
    unequal = compared(one, entrant(batches_per_second=20.0, settings={"batch_size": 8}))
    assert row(unequal, "batches_per_second")["better"] is None
    assert "batch-sizes" in note_ids(unequal)


def test_training_time_is_judged_when_both_have_finished() -> None:
    one, two = ({"accuracies": [0.9], "epoch_seconds": seconds} for seconds in (10, 20))
    assert row(compared(entrant(**one), entrant(**two)), "training_time")["better"] is None
    done = compared(entrant(**one, state="finished"), entrant(**two, state="finished"))
    assert row(done, "training_time")["better"] == "model1"


def test_costs_are_shown_in_readable_units() -> None:
    result = compared(entrant(images_per_second=2000.0), entrant())
    textbook, done = (COSTS["model1"][key] for key in ("training_flops_per_image", "computed_training_flops_per_image"))
    assert row(result, "parameters")["text1"] == "422,026"
    assert row(result, "training_flops_per_image")["model1"] == pytest.approx(textbook / 1e6)
    assert row(result, "achieved_flops")["text1"] == f"{done * 2000 / 1e9:,.1f}" == "91.6"
    assert row(result, "memory")["text1"] == f"{COSTS['model1']['memory_bytes'] / 1e6:,.1f}"


def test_figures_of_the_loss_come_from_the_recent_losses() -> None:
    noisy = random.Random(0)
    falling = [2 * math.exp(-0.5 * step / 860) for step in range(860)]
    rough = [loss * (1 + noisy.uniform(-0.3, 0.3)) for loss in falling]
    recent = {"model1": Recent(1720, falling, (1.0, 0.5)), "model2": Recent(1720, rough, (1.0, 0.8))}
    result = compared(entrant(), entrant(), recent=recent)
    assert row(result, "loss_reduction_rate")["model1"] == pytest.approx(math.log(2))
    assert (row(result, "loss_reduction_rate")["text1"], row(result, "half_life")["text1"]) == ("0.693", "1.00")
    assert row(result, "instability")["better"] == "model1"
    assert row(result, "spikes")["text1"] == "0.0"


@pytest.mark.parametrize("key", ["loss_reduction_rate", "half_life"])
def test_neither_loss_reduction_rate_is_called_the_better_one(key: str) -> None:
    recent = {"model1": Recent(1720, [], (1.0, 0.2)), "model2": Recent(1720, [], (1.0, 0.9))}
    result = row(compared(entrant(), entrant(), recent=recent), key)
    assert (result["better"], result["lower_is_better"]) == (None, None)


def test_loss_reduction_rate_of_the_first_epochs_says_so() -> None:
    falling = [2 * math.exp(-0.5 * step / 860) for step in range(860)]
    recent = {"model1": Recent(860, falling, (0.9,)), "model2": Recent(1, [2.3])}
    result = compared(entrant(), entrant(), recent=recent)
    assert row(result, "loss_reduction_rate")["model1"] == pytest.approx(0.5, rel=0.01)
    assert row(result, "loss_reduction_rate")["text1"] == "0.500 (early)"
    assert row(result, "half_life")["text1"] == "1.39 (early)"
    assert row(result, "loss_reduction_rate")["text2"] == "–"


def test_negative_values_have_a_true_minus_and_zero_has_none() -> None:
    recent = {"model1": Recent(1720, [], (0.5, 0.8)), "model2": Recent(1720, [], (0.5, 0.5))}
    result = compared(entrant(), entrant(), recent=recent)
    assert row(result, "loss_reduction_rate")["text1"] == "−0.470"
    assert row(result, "loss_reduction_rate")["text2"] == "0.000"
    assert row(result, "half_life")["text1"] == "–"


def stability(batch_size1: int, batch_size2: int, **settings: Any) -> dict[str, Any]:
    """Return the row of the instability for a steady model 1 and a rough model 2 after an epoch."""
    noisy = random.Random(0)
    models, recent = [], {}
    for name, size, roughness in (("model1", batch_size1, 0.0), ("model2", batch_size2, 0.3)):
        config = {"batch_size": size} | settings
        batches = ModelConfig(**config).batches(55_000)
        losses = [1 + noisy.uniform(-roughness, roughness) for _ in range(batches.steps)]
        models.append(entrant(settings=config, plain_loss_from=None if settings else 0))
        recent[name] = Recent(batches.steps, losses)
    return row(compared(*models, recent=recent), "instability")


@pytest.mark.parametrize(
    ("sizes", "better"), [((64, 64), "model1"), ((64, 96), "model1"), ((63, 64), None), ((100, 8192), None)]
)
def test_stability_is_compared_over_equal_numbers_of_images_or_not_at_all(
    sizes: tuple[int, int], better: str | None
) -> None:
    result = stability(*sizes)
    assert (result["better"], result["text1"]) == (better, "0.000")
    assert result["model2"] > 0


def test_losses_that_hold_label_smoothing_are_neither_compared_nor_passed_over() -> None:
    """Of a version that recorded the smoothed loss, which has a floor."""
    assert stability(64, 64, label_smoothing=0.1)["better"] is None
    old = entrant(settings={"label_smoothing": 0.1})
    (note,) = compared(old, entrant(), recent={"model1": Recent(860, [1.0])})["notes"]
    assert (note["id"], note["model"]) == ("smoothed-model1", "model1")
    assert "up to step 860" in note["text"]
    new = entrant(settings={"label_smoothing": 0.1}, plain_loss_from=0)
    assert compared(new, entrant(), recent={"model1": Recent(860, [1.0])})["notes"] == []


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
    assert min(took) < min(thread_time(lambda: measures.smooth(losses, 1)) for _ in range(5))
