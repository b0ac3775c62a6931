"""The rows of figures, and which of two is marked better."""

import math
import random
from typing import Any

import pytest
from entrants import COSTS, compared, entrant, note_ids, row

from analysis import figures
from config import ModelConfig
from history.records import Recent


def test_every_row_explains_itself_and_has_its_sources() -> None:
    result = compared(entrant(), entrant())
    keys = [row["key"] for row in result["rows"]]
    assert len(keys) == len(set(keys)) == len(figures.FIGURES) - 1
    for one in result["rows"]:
        assert list(one) == [
            *("key", "title", "unit", "better", "lower_is_better", "model1", "model2", "text1", "text2"),
            *("help", "source", "caveat"),
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


def test_looks_within_an_epoch_call_no_model_the_faster_one() -> None:
    one, two = entrant([0.8, 0.86, 0.86]), entrant([0.8, 0.84, 0.86])
    for each in (one, two):
        each["evaluations"]["epoch"] = [1.0, 1.5, 2.0]
    assert row(compared(one, two), "epochs_to_target")["text1"] == "1.50"
    two["evaluations"]["accuracy"][2] = 0.84
    assert row(compared(one, two), "epochs_to_target")["better"] is None
    assert row(compared(one, two), "seconds_to_target")["better"] is None


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
    speeds = [entrant([0.9], epoch_seconds=10 / speed, images_per_second=speed) for speed in (1000.1, 1000.2)]
    assert row(compared(*speeds), "images_per_second")["better"] is None


@pytest.mark.parametrize(
    ("now", "so_far", "better"),
    [
        (1040.0, 1100.0, None),  # nearer to each other than two equal models may be
        (1100.0, 1040.0, None),
        (1100.0, 900.0, None),
        (1100.0, 1100.0, "model2"),
    ],
)
@pytest.mark.parametrize("key", ["images_per_second", "batches_per_second", "achieved_flops"])
def test_a_speed_is_better_only_where_it_was_over_the_whole_training(
    now: float, so_far: float, better: str | None, key: str
) -> None:
    one, two = (
        entrant([0.9], epoch_seconds=55_000 / mean, images_per_second=speed, batches_per_second=speed / 64)
        for speed, mean in ((1000.0, 1000.0), (now, so_far))
    )
    assert row(compared(one, two), key)["better"] == better


@pytest.mark.parametrize(("accuracies", "better"), [([0.90, 0.895], None), ([0.90, 0.88], "model1")])
def test_drawdowns_within_a_point_have_no_better_one(accuracies: list[float], better: str | None) -> None:
    assert row(compared(entrant([0.8, 0.9]), entrant(accuracies)), "drawdown")["better"] == better


def test_batches_a_second_compare_only_between_equal_batches() -> None:
    one = entrant([0.9], epoch_seconds=20, batches_per_second=10.0, images_per_second=640.0)
    fast = {"epoch_seconds": 10, "batches_per_second": 20.0}
    assert (
        row(compared(one, entrant([0.9], **fast, images_per_second=1280.0)), "batches_per_second")["better"] == "model2"
    )
    unequal = compared(one, entrant([0.9], **fast, images_per_second=160.0, settings={"batch_size": 8}))
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
