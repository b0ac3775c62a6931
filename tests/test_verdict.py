"""What the comparison says, from models as `/api/metrics` shows them."""

import json
import math
import random
import time
from collections.abc import Sequence
from typing import Any

import pytest

import verdict
from config import ModelConfig
from measures import AXES, TARGETS
from metrics import Evaluation, MetricsLog, Point, Recent, Status
from model import describe_model

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
        "noise": pytest.approx(0.01226, rel=1e-3),
        "within_noise": False,
        "text": "Model 1 leads by 2.0 points",
    }
    assert result["verdict"]["loss"]["leader"] == "model1"
    assert result["verdict"]["text"] == "Model 1 leads by 2.0 points, and its loss is lower by 0.020"
    assert result["verdict"]["axis_text"] == "at equal epochs (2.00)"


def test_loss_and_accuracy_may_have_different_leaders() -> None:
    result = compared(entrant([0.8], losses=[0.4]), entrant([0.9], losses=[0.5]))
    assert result["verdict"]["text"] == "Model 2 leads by 10.0 points; model 1's loss is lower by 0.100"


def test_equal_models_have_no_leader() -> None:
    result = compared(entrant([0.8, 0.9]), entrant([0.8, 0.9]))
    assert (result["verdict"]["accuracy"]["leader"], result["verdict"]["loss"]["leader"]) == (None, None)
    assert result["verdict"]["text"] == "Neither leads; the losses are equal"
    assert "noise" not in note_ids(result)


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
    assert result["attribution"] == {
        "differing": ["optimizer"],
        "text": "Exactly one setting differs (optimizer): the gap is due to it.",
    }


# The table


def test_every_row_explains_itself_and_has_its_sources() -> None:
    result = compared(entrant(), entrant())
    keys = [row["key"] for row in result["rows"]]
    assert len(keys) == len(set(keys)) == len(verdict.FIGURES) - 1
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


@pytest.mark.parametrize(
    ("first", "second", "better"),
    [([0.86], [0.7, 0.86], "model1"), ([0.7, 0.86], [0.7, 0.8], "model1"), ([0.7, 0.86], [0.7], None)],
    ids=["reached sooner", "reached, the other further on and not", "reached, the other not so far yet"],
)
def test_convergence_is_better_once_it_is_certain(first: list[float], second: list[float], better: str | None) -> None:
    result = row(compared(entrant(first), entrant(second)), "epochs_to_target")
    assert result["better"] == better
    mirrored = row(compared(entrant(second), entrant(first)), "epochs_to_target")
    assert mirrored["better"] == {"model1": "model2", None: None}[better]


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
    flops = COSTS["model1"]["training_flops_per_image"]
    assert row(result, "parameters")["text1"] == "422,026"
    assert row(result, "training_flops_per_image")["model1"] == pytest.approx(flops / 1e6)
    assert row(result, "achieved_flops")["text1"] == f"{flops * 2000 / 1e9:,.1f}"
    assert row(result, "memory")["text1"] == f"{COSTS['model1']['memory_bytes'] / 1e6:,.1f}"


def test_figures_of_the_loss_come_from_the_recent_losses() -> None:
    noisy = random.Random(0)
    falling = [2 * math.exp(-0.5 * step / 860) for step in range(860)]
    rough = [loss * (1 + noisy.uniform(-0.3, 0.3)) for loss in falling]
    result = compared(entrant(), entrant(), recent={"model1": Recent(860, falling), "model2": Recent(860, rough)})
    assert row(result, "loss_reduction_rate")["model1"] == pytest.approx(0.5, rel=0.05)
    assert row(result, "half_life")["model1"] == pytest.approx(math.log(2) / 0.5, rel=0.05)
    assert row(result, "instability")["better"] == "model1"
    assert row(result, "spikes")["text1"] == "0.0"


def test_negative_values_have_a_true_minus_and_zero_has_none() -> None:
    rising = [math.exp(0.5 * step / 860) for step in range(860)]
    result = compared(entrant(), entrant(), recent={"model1": Recent(860, rising), "model2": Recent(860, [1.0] * 860)})
    assert row(result, "loss_reduction_rate")["text1"].startswith("−0.4")
    assert row(result, "loss_reduction_rate")["text2"] == "0.000"
    assert row(result, "half_life")["text1"] == "–"


# The notes


def test_notes_come_with_the_most_important_first() -> None:
    broken = entrant([0.90, 0.90, 0.90, 0.90], state="failed", error="NaN", settings={"epochs": 4})
    other = entrant([0.901, 0.901, 0.901, 0.901], accuracy=0.8, val_accuracy=0.901, state="finished")
    result = compared(broken, other, recent={"model1": Recent(3, [1.0, 2.0, math.nan]), "model2": Recent(0, [])})
    assert note_ids(result) == [
        *("failure-model1", "plateau-model1", "plateau-model2", "noise", "unequal-epochs", "dropout"),
    ]
    assert result["notes"][0]["model"] == "model1"
    assert set(result["notes"][0]) == {"id", "model", "text"}


def test_what_the_test_images_have_decided_is_no_longer_doubted() -> None:
    close = entrant([0.901]), entrant([0.905])
    decided = {"leader": "model2", "text": "Model 2 is better (p = 0.010)"}
    assert "noise" in note_ids(compared(*close))
    assert "noise" not in note_ids(compared(*close, significance=decided))
    assert compared(*close, significance=decided)["significance"] == decided


def test_jump_of_the_loss_is_found_among_the_recent_losses() -> None:
    losses = [0.5] * 400 + [1.5] * 100
    result = compared(entrant(), entrant(), recent={"model1": Recent(860 + 500, losses)})
    (note,) = result["notes"]
    assert note["text"] == "Model 1's loss jumped at epoch 1.5: its learning rate may be too high"


def test_ordinary_models_at_the_start_get_no_notes() -> None:
    assert compared(entrant(), entrant())["notes"] == []


@pytest.mark.parametrize("batch_sizes", [(64, 64), (1, 1), (1, 64), (100, 8192)])
def test_comparison_takes_under_20_ms(batch_sizes: tuple[int, int]) -> None:
    noisy = random.Random(0)
    accuracies = [0.9 + noisy.uniform(-0.01, 0.01) for _ in range(500)]
    one, two = (entrant(accuracies, settings={"batch_size": size}) for size in batch_sizes)
    recent = {
        name: Recent(10**6, [noisy.random() for _ in range(-(-55_000 // size))])
        for name, size in zip(("model1", "model2"), batch_sizes, strict=True)
    }
    took = []
    for _ in range(5):
        start = time.thread_time()
        compared(one, two, recent=recent)
        took.append(time.thread_time() - start)
    assert min(took) < 0.02
