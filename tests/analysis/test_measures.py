"""Every figure against values worked out by hand, or against the library that has it."""

import itertools
import math
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from analysis import measures, notes, significance
from analysis.measures import Blocks
from analysis.notes import Note
from analysis.significance import mcnemar
from config import ModelConfig
from data import Batches

NAN = math.nan
CONFIG = ModelConfig().model_dump(mode="json")


def evaluations(
    accuracies: Sequence[float | None], epochs: Sequence[float] | None = None, **columns: Any
) -> dict[str, Any]:
    """Return evaluations at the ends of epochs 1, 2, 3, …, 10 seconds apart, in the form of /api/metrics."""
    epochs = list(range(1, len(accuracies) + 1)) if epochs is None else epochs
    return {
        "step": [round(860 * epoch) for epoch in epochs],
        "epoch": list(epochs),
        "seconds": [10.0 * epoch for epoch in epochs],
        "loss": [0.5] * len(epochs),
        "accuracy": list(accuracies),
    } | columns


def model(accuracies: Sequence[float | None] = (), **news: Any) -> dict[str, Any]:
    known = {
        "state": "running",
        "error": None,
        "config": CONFIG,
        "epoch": 1.0,
        "accuracy": None,
        "val_accuracy": accuracies[-1] if accuracies else None,
        "evaluations": evaluations(accuracies),
    }
    return known | news


def configured(**settings: Any) -> dict[str, Any]:
    return CONFIG | settings


def test_measures_are_there_without_torch_or_scipy() -> None:
    root = Path(__file__).resolve().parents[2]
    check = "import analysis.measures, sys; sys.exit(bool({'torch', 'scipy', 'config'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], cwd=root, timeout=60, check=False).returncode == 0


# Where on the axis, and who is ahead there


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        ("epochs", [0.25, 2.0]),
        ("seconds", [2.5, 20.0]),
        ("images", [13_750, 110_000]),
        ("flops", [13_750e6, 110_000e6]),
    ],
)
def test_evaluations_have_a_place_on_every_axis(axis: str, expected: list[float]) -> None:
    columns = evaluations([0.7, 0.8], [0.25, 2.0])
    assert measures.positions(columns, axis, 55_000, 1e6) == pytest.approx(expected)


def test_flops_have_no_place_before_they_are_known() -> None:
    assert measures.positions(evaluations([0.7]), "flops", 55_000, None) == []
    assert measures.positions(evaluations([]), "epochs", 55_000, None) == []


@pytest.mark.parametrize(
    ("x", "expected"),
    [(1, 10.0), (1.5, 15.0), (2, 20.0), (3.25, 22.5), (4.5, 25.0), (0.99, None), (4.6, None)],
)
def test_curve_runs_straight_between_its_points_and_nowhere_else(x: float, expected: float | None) -> None:
    assert measures.interpolate([1, 2, 4.5], [10, 20, 25], x) == pytest.approx(expected)


def test_curve_of_one_point_is_known_there_alone() -> None:
    assert measures.interpolate([1], [10], 1) == 10
    assert measures.interpolate([1], [10], 1.1) is None
    assert measures.interpolate([], [], 1) is None


@pytest.mark.parametrize("gap", [None, NAN, math.inf])
def test_curve_passes_over_heights_that_are_not_known(gap: float | None) -> None:
    assert measures.interpolate([1, 2, 3], [10, gap, 30], 2) == 20
    assert measures.interpolate([1, 2], [10, gap], 2) is None


def test_models_meet_at_the_largest_x_that_both_have_reached() -> None:
    assert measures.at_equal_position([1, 2, 3], [10, 20, 30], [0.5, 1.5, 2.5], [1, 2, 3]) == (2.5, 25, 3)
    assert measures.at_equal_position([0.5, 1.5, 2.5], [1, 2, 3], [1, 2, 3], [10, 20, 30]) == (2.5, 3, 25)


@pytest.mark.parametrize(
    ("xs1", "ys1"),
    [([], []), ([5, 6], [1, 2]), ([1, 2], [None, NAN])],
    ids=["no points", "begins after the other ends", "no finite height"],
)
def test_models_that_share_no_x_do_not_meet(xs1: list[float], ys1: list[float | None]) -> None:
    assert measures.at_equal_position(xs1, ys1, [1, 2], [1, 2]) is None
    assert measures.at_equal_position([1, 2], [1, 2], xs1, ys1) is None


def test_broken_end_of_a_curve_does_not_count_as_reached() -> None:
    assert measures.at_equal_position([1, 2, 3], [1, 2, NAN], [1, 2, 3], [4, 5, 6]) == (2, 2, 5)


@pytest.mark.parametrize(("target", "index"), [(0.5, 0), (0.8, 1), (0.85, 3), (0.90, 3), (0.901, None)])
def test_target_is_reached_at_the_first_evaluation_that_has_it(target: float, index: int | None) -> None:
    assert measures.time_to_accuracy(evaluations([0.7, 0.8, 0.79, 0.9, 0.6]), target) == index


@pytest.mark.parametrize("accuracies", [[], [None], [NAN]])
def test_target_is_not_reached_without_an_accuracy(accuracies: list[float | None]) -> None:
    assert measures.time_to_accuracy(evaluations(accuracies), 0.8) is None


def test_evaluation_interval_is_the_distance_to_the_one_before() -> None:
    columns = evaluations([0.1] * 5, [0.25, 0.5, 0.75, 1, 2])
    assert measures.evaluation_interval(columns) == 1
    assert [measures.evaluation_interval(columns, index) for index in range(5)] == [0.25, 0.25, 0.25, 0.25, 1]
    assert measures.evaluation_interval(evaluations([0.1], [0.25])) == 0.25
    assert measures.evaluation_interval(evaluations([])) is None


# Blocks and smoothing


def cut(size: int, images: int = 55_000) -> Batches:
    return Batches(images, size)


@pytest.mark.parametrize(
    ("one", "two", "images"),
    [
        (64, 256, 256),
        (1, 8, 32),
        (12, 12, 36),
        (64, 96, 192),
        (50, 64, 1_600),
        (250, 275, 2_750),
        (63, 64, None),
        (100, 8192, None),
        (8192, 8192, 8_192),
        (3_000, 3_000, 3_000),
    ],
)
def test_blocks_are_a_common_multiple_of_both_batch_sizes_or_there_are_none(
    one: int, two: int, images: int | None
) -> None:
    assert measures.block_images(cut(one), cut(two)) == measures.block_images(cut(two), cut(one)) == images


def test_blocks_average_whole_groups_of_steps() -> None:
    blocks = measures.average_blocks([1, 3, 5, 7, 9], 5, cut(64), 128)
    assert blocks.loss == [2, 6]  # the fifth step waits for the sixth
    assert blocks.epoch == pytest.approx([128 / 55_000, 256 / 55_000])
    assert (blocks.steps, blocks.images) == (2, 128)


@pytest.mark.parametrize("size", [64, 96])
def test_blocks_of_two_batch_sizes_hold_the_same_images(size: int) -> None:
    """The loss of an image is its place in the run, so that a block's mean tells which images it holds."""
    batches = cut(size)
    places = [(batches.seen(step - 1) + batches.seen(step) - 1) / 2 for step in range(1, 2 * batches.steps + 1)]
    blocks = measures.average_blocks(places, len(places), batches, 192)
    starts = [epoch * 55_000 + block * 192 for epoch in range(2) for block in range(55_000 // 192)]
    assert blocks.loss == pytest.approx([start + 191 / 2 for start in starts])
    assert blocks.epoch == pytest.approx([(start + 192) / 55_000 for start in starts])
    assert blocks.images == 192


def test_blocks_stay_the_same_when_the_window_moves_on() -> None:
    losses = [random.Random(0).random() for _ in range(40)]
    batches = cut(10, 145)  # 15 steps an epoch, the last of 5 images: three blocks of 4 steps in each
    whole = measures.average_blocks(losses, 40, batches, 40)
    assert [round(145 * epoch) for epoch in whole.epoch] == [40, 80, 120, 185, 225, 265, 330, 370]
    for first, last in itertools.product(range(1, 20), range(25, 41)):
        part = measures.average_blocks(losses[first - 1 : last], last, batches, 40)
        assert set(zip(part.epoch, part.loss, strict=True)) <= set(zip(whole.epoch, whole.loss, strict=True))
        ends = [4, 8, 12, 19, 23, 27, 34, 38]
        assert len(part.loss) == sum(first <= end - 3 and end <= last for end in ends)


def test_blocks_of_single_batches_are_the_losses() -> None:
    assert measures.average_blocks([1, 2, 3], 7, cut(64), 64).loss == [1, 2, 3]


def test_blocks_of_batches_larger_than_wanted_are_single_batches() -> None:
    assert measures.average_blocks([1, 2, 3], 3, cut(512), 64).loss == [1, 2, 3]


def test_last_batch_of_an_epoch_is_in_no_block_unless_it_is_whole() -> None:
    assert measures.average_blocks([1, 2, 9, 3, 4, 9], 6, cut(40, 100), 40).loss == [1, 2, 3, 4]
    assert measures.average_blocks([1, 2, 3, 4], 4, cut(50, 100), 50).loss == [1, 2, 3, 4]
    assert measures.average_blocks([1, 2], 2, Batches(4, 3, 2), 3).loss == []  # two epochs of one batch of four


def test_blocks_that_hold_a_broken_loss_are_left_out() -> None:
    blocks = measures.average_blocks([1, 1, NAN, 1, 3, 3, math.inf, 3], 8, cut(32), 64)
    assert blocks.loss == [1, 3]
    assert blocks.epoch == pytest.approx([64 / 55_000, 192 / 55_000])


def test_no_losses_make_no_blocks() -> None:
    assert measures.average_blocks([], 0, cut(64), 64).loss == []


def test_smoothing_is_the_debiased_average_by_its_definition() -> None:
    values, beta = [2.0, 4.0, 1.0], math.exp(-64 / 2750)
    expected = []
    for count in range(1, 4):
        weights = [(1 - beta) * beta ** (count - 1 - index) for index in range(count)]
        expected.append(sum(w * v for w, v in zip(weights, values, strict=False)) / (1 - beta**count))
    assert measures.smooth(values, 64) == pytest.approx(expected)


@given(st.lists(st.floats(0, 100), min_size=1), st.integers(1, 8192))
def test_smoothed_values_stay_between_the_lowest_and_the_highest(values: list[float], images: int) -> None:
    smoothed = [value for value in measures.smooth(values, images) if value is not None]
    assert len(smoothed) == len(values)
    assert smoothed[0] == pytest.approx(values[0])
    assert min(values) - 1e-9 <= min(smoothed) <= max(smoothed) <= max(values) + 1e-9


def test_smoothing_is_equal_in_images_for_two_batch_sizes() -> None:
    course = [0.1 + math.exp(-images / 20_000) for images in range(100, 55_001, 100)]
    small, large = measures.smooth(course, 100)[-1], measures.smooth(course[9::10], 1000)[-1]
    assert small == pytest.approx(large, rel=0.01)


def test_smoothing_passes_over_a_broken_value() -> None:
    assert measures.smooth([1, NAN, 1], 64) == [1, None, 1]
    assert measures.smooth([], 64) == []


# The course of the loss


def falling(rate: float, steps: int = 860, batch: int = 64) -> Blocks:
    losses = [2 * math.exp(-rate * step / 860) for step in range(1, steps + 1)]
    return measures.average_blocks(losses, steps, cut(batch), batch)


def test_loss_reduction_rate_is_the_logarithm_of_two_whole_epochs() -> None:
    assert measures.loss_reduction_rate([0.9, 0.4, 0.2]) == pytest.approx(math.log(2))
    assert measures.loss_reduction_rate([0.2, 0.4]) == pytest.approx(-math.log(2))
    assert measures.loss_reduction_rate([0.3, 0.3]) == 0


@pytest.mark.parametrize("means", [[], [0.5], [0.0, 0.5], [0.5, 0.0], [NAN, 0.5], [0.5, NAN], [0.5, math.inf]])
def test_loss_reduction_rate_is_not_known_without_two_whole_epochs(means: list[float]) -> None:
    assert measures.loss_reduction_rate(means) is None


def epochs_rising_within(means: Sequence[float], steps: int = 860) -> list[float]:
    """Return losses that rise by a fifth within each epoch and fall at its border, around a mean for each epoch."""
    return [mean * (0.9 + 0.2 * (step + 0.5) / steps) for mean in means for step in range(steps)]


def test_rise_within_an_epoch_does_not_turn_the_sign_of_a_falling_loss() -> None:
    means = [0.135 * (0.104 / 0.135) ** (epoch / 7) for epoch in range(8)]  # as once seen, and called rising
    assert measures.loss_reduction_rate(means) == pytest.approx(math.log(0.135 / 0.104) / 7)
    course = epochs_rising_within(means)[-860:]
    assert measures.instability(measures.average_blocks(course, 8 * 860, cut(64), 64).loss) is not None
    assert course[-1] > course[0]


@pytest.mark.parametrize("size", [1, 64, 4096])
@pytest.mark.parametrize("epochs", [0.5, 0.8, 1, 1.3, 1.9])
@pytest.mark.parametrize("rate", [1.0, 0.1, -0.3, 0.0])
def test_early_rate_is_that_of_an_exponential_course(size: int, epochs: float, rate: float) -> None:
    batches = cut(size)
    last = math.ceil(epochs * batches.steps)
    borders = [batches.epoch(step) for step in range(max(0, last - batches.steps), last + 1)]
    means = [
        (math.exp(-rate * start) - math.exp(-rate * end)) / (rate * (end - start)) if rate else 1.0
        for start, end in itertools.pairwise(borders)
    ]
    assert measures.early_loss_reduction_rate(means, last, batches) == pytest.approx(rate, rel=0.04, abs=1e-9)


def test_early_rate_by_hand() -> None:
    # 100 images in batches of 20: of 70 seen, the third quarter is images 35 to 52.5, the last 52.5 to 70
    batches = cut(20, 100)
    third = 5 * 3.0 + 12.5 * 2.0
    last = 7.5 * 2.0 + 10 * 1.0
    counts = measures.early_loss_reduction_rate([9, 3, 2, 1], 4, Batches(70, 20))  # a last batch of 10
    assert counts == pytest.approx(math.log(third / last) / 0.25)
    assert measures.early_loss_reduction_rate([9, 3, 2, 1], 4, batches) == pytest.approx(math.log(2) / 0.2)


@pytest.mark.parametrize(
    ("losses", "last_step"),
    [([], 0), ([1.0] * 429, 429), ([1.0] * 860, 1720), ([0.0] * 860, 860), ([1.0] * 299, 600), ([NAN] * 860, 860)],
    ids=["nothing", "under half an epoch", "two epochs", "no loss", "some missing", "broken"],
)
def test_early_rate_is_for_half_an_epoch_to_two(losses: list[float], last_step: int) -> None:
    assert measures.early_loss_reduction_rate(losses, last_step, cut(64)) is None


def test_half_life_is_ln_2_over_the_rate() -> None:
    assert measures.half_life(math.log(2)) == 1
    assert measures.half_life(0.1) == pytest.approx(6.931, abs=0.001)


@pytest.mark.parametrize("rate", [None, 0, -0.1])
def test_a_loss_that_does_not_fall_has_no_half_life(rate: float | None) -> None:
    assert measures.half_life(rate) is None


def test_instability_is_std_of_differences_over_mean() -> None:
    # differences 1, −2, 3, −1 with mean 0.25: squared distances 0.5625 + 5.0625 + 7.5625 + 1.5625; mean loss 1.6
    assert measures.instability([1, 2, 0, 3, 2]) == pytest.approx(math.sqrt(14.75 / 4) / 1.6)


def test_steady_fall_is_perfectly_stable() -> None:
    assert measures.instability([10 - 0.5 * step for step in range(10)]) == pytest.approx(0, abs=1e-9)


def test_instability_does_not_depend_on_the_height_of_the_loss() -> None:
    losses = [1, 1.2, 0.9, 1.1, 1.0, 0.8]
    assert measures.instability([10 * loss for loss in losses]) == pytest.approx(measures.instability(losses))


@pytest.mark.parametrize("losses", [[], [1], [1, 2, 3, 4], [0, 0, 0, 0, 0, 0]])
def test_instability_of_too_little_is_not_known(losses: list[float]) -> None:
    assert measures.instability(losses) is None


def test_batch_sizes_compare_in_instability_after_averaging() -> None:
    noisy = random.Random(1)
    images = [1 + noisy.gauss(0, 1) for _ in range(55_000)]
    losses = {size: [sum(images[i : i + size]) / size for i in range(0, 55_000 - size, size)] for size in (50, 200)}
    blocks = {size: measures.average_blocks(each, len(each), cut(size), 200) for size, each in losses.items()}
    raw = [measures.instability(each) or 0 for each in losses.values()]
    fair = [measures.instability(each.loss) or 0 for each in blocks.values()]
    assert raw[0] > 1.8 * raw[1]
    assert fair[0] == pytest.approx(fair[1], rel=0.01)


def test_spikes_are_counted_per_thousand_after_the_warm_up() -> None:
    noisy = random.Random(2)
    losses = [1 + noisy.uniform(-0.1, 0.1) for _ in range(520)]
    assert measures.spikes_per_thousand(losses, 64) == 0
    losses[100] = losses[300] = 3
    assert measures.spikes_per_thousand(losses, 64) == 1000 * 2 / 500


def test_drops_and_early_jumps_are_no_spikes() -> None:
    noisy = random.Random(3)
    losses = [1 + noisy.uniform(-0.1, 0.1) for _ in range(520)]
    losses[200], losses[5] = 0.1, 3
    assert measures.spikes_per_thousand(losses, 64) == 0


def test_spikes_follow_their_definition_step_by_step() -> None:
    noisy = random.Random(4)
    losses = [1 + noisy.gauss(0, 0.1) + (0.5 if i % 37 == 0 else 0) for i in range(200)]
    spikes, squares = 0, [0.0]
    for t in range(1, 200):
        average = measures.smooth(losses[:t], 64)[-1]
        assert average is not None
        variance = measures.smooth(squares[1:], 64)[-1] if t > 1 else 0.0
        if t >= 20 and losses[t] > average + 4 * math.sqrt(variance or 0):
            spikes += 1
        squares.append((losses[t] - average) ** 2)
    assert spikes > 0
    assert measures.spikes_per_thousand(losses, 64) == pytest.approx(1000 * spikes / 180)


@pytest.mark.parametrize("count", [0, 1, 20])
def test_spikes_are_not_known_before_the_spread_is(count: int) -> None:
    assert measures.spikes_per_thousand([1.0] * count, 64) is None


def test_constant_loss_has_no_spikes_and_large_batches_are_no_spikes_in_themselves() -> None:
    assert measures.spikes_per_thousand([1.0] * 100, 64) == 0
    noisy = random.Random(5)
    assert measures.spikes_per_thousand([1 + noisy.uniform(-0.1, 0.1) for _ in range(300)], 8192) == 0


def test_latest_jump_is_where_the_loss_rose_by_half() -> None:
    blocks = Blocks([2.0, 1.0, 1.6, 1.5, 1.0, 1.4, 2.2, 1.0], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], 31, 1984)
    assert notes.latest_jump(blocks) == 0.6
    assert notes.latest_jump(falling(1)) is None
    assert notes.latest_jump(Blocks([], [], 1, 64)) is None


# The course of the validation accuracy


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [([0.8, 0.9, 0.87], 0.03), ([0.8, 0.9], 0), ([0.9], 0), ([], None), ([0.9, None, 0.8, NAN], 0.1)],
)
def test_drawdown_is_best_less_current(accuracies: list[float | None], expected: float | None) -> None:
    assert measures.drawdown(evaluations(accuracies)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([], None),
        ([0.8], 0),
        ([0.8, 0.9], 0),
        ([0.80, 0.85, 0.88, 0.90, 0.91], 0),
        ([0.80, 0.88, 0.90, 0.90, 0.90, 0.90], 3),
        ([0.80, 0.88, 0.90, 0.9005, 0.9008, 0.9009], 3),
        ([0.80, 0.88, 0.90, 0.901, 0.903, 0.905], 0),
        ([0.80, 0.88, 0.90, 0.89, 0.95, 0.89, 0.90], 3),  # one stray value is no improvement
        ([0.80, 0.90, 0.88, 0.86, 0.84], 3),
        ([0.80, None, 0.80, NAN], 2),
    ],
)
def test_epochs_without_improvement_count_from_the_last_rise(
    accuracies: list[float | None], expected: float | None
) -> None:
    assert measures.epochs_without_improvement(evaluations(accuracies)) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_epochs_without_improvement_are_never_more_than_there_were(accuracies: list[float]) -> None:
    flat = measures.epochs_without_improvement(evaluations(accuracies))
    assert flat is not None
    assert 0 <= flat <= len(accuracies) - 1


def test_overfitting_is_the_latest_gap_between_training_and_validation() -> None:
    columns = evaluations([0.7, 0.90, 0.91, 0.92], train_accuracy=[None, 0.92, 0.95, None])
    assert measures.overfitting(columns) == pytest.approx(0.04)


@pytest.mark.parametrize("training", [{}, {"train_accuracy": [None]}, {"train_accuracy": [NAN]}])
def test_overfitting_is_not_known_without_a_training_accuracy(training: dict[str, Any]) -> None:
    assert measures.overfitting(evaluations([0.9], **training)) is None


# What is chance


@pytest.mark.parametrize("count", [1, 10, 5_000, 10_000])
@pytest.mark.parametrize("accuracy", [0, 0.1, 0.5, 0.9123, 1])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_interval_is_that_of_scipy(count: int, accuracy: float, confidence: float) -> None:
    correct = round(accuracy * count)
    expected = binomtest(correct, count).proportion_ci(confidence, method="wilson")
    assert significance.wilson_interval(accuracy, count, confidence) == pytest.approx((expected.low, expected.high))


def test_wilson_interval_of_91_percent_of_10000_by_hand() -> None:
    assert significance.wilson_interval(0.91, 10_000) == pytest.approx((0.9042, 0.9155), abs=1e-4)


@given(st.integers(0, 400), st.integers(0, 400))
def test_noise_is_the_paired_interval_of_statsmodels(only1: int, only2: int) -> None:
    """Wald's interval of the mean of the differences of each image: +1, −1 or 0."""
    differences = np.repeat([1.0, -1.0, 0.0], [only1, only2, 5_000 - only1 - only2])
    expected = 1.96 * differences.std() / math.sqrt(5_000)
    assert significance.noise(only1, only2, 5_000) == pytest.approx(expected, rel=1e-4, abs=1e-12)


def test_noise_agrees_with_mcnemar_where_the_unpaired_one_did_not() -> None:
    assert significance.noise(324, 276, 10_000) == pytest.approx(0.0048, abs=1e-5)  # 6 % of the images apart
    assert significance.widest_noise(0.9, 0.9, 10_000) > 0.0083  # the unpaired one
    for lead in (30, 45, 47, 50, 55, 80):
        only1, only2 = (600 + lead) // 2, (600 - lead) // 2
        beyond = (only1 - only2) / 10_000 >= significance.noise(only1, only2, 10_000)
        assert beyond == (mcnemar(only1, only2)[0] < 0.05) or abs(lead - 49) <= 2


def test_alike_networks_differ_by_more_than_the_noise_once_in_twenty() -> None:
    chance = np.random.default_rng(6)
    only1, only2, _ = chance.multinomial(5_000, [0.03, 0.03, 0.94], 4_000).T
    beyond = [abs(b - c) / 5_000 >= significance.noise(b, c, 5_000) for b, c in zip(only1, only2, strict=True)]
    assert np.mean(beyond) == pytest.approx(0.05, abs=0.015)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_widest_noise_is_never_below_the_noise(right: list[tuple[bool, bool]]) -> None:
    one, two = (np.array(each) for each in zip(*right, strict=True))
    only1, only2 = significance.count_apart(np.packbits(one).tobytes(), np.packbits(two).tobytes())
    assert (only1, only2) == (int((one & ~two).sum()), int((two & ~one).sum()))
    widest = significance.widest_noise(one.mean(), two.mean(), len(right))
    assert significance.noise(only1, only2, len(right)) <= widest + 1e-9


# Notes


def text(note: Note | None) -> str | None:
    return note.text if note else None


def test_failure_by_nan_says_where_and_what_to_do() -> None:
    note = notes.note_failure("model2", model(state="failed", error="…", epoch=0.52), [1.0, NAN])
    assert note is not None
    assert (note.id, note.model) == ("failure-model2", "model2")
    assert note.text.startswith("Model 2 broke at epoch 0.52: its loss is no longer a number")
    assert "learning rate" in note.text


def test_failure_of_another_kind_gives_its_reason() -> None:
    assert text(notes.note_failure("model1", model(state="failed", error="Out of memory."), [1.0])) == (
        "Model 1 failed: Out of memory."
    )
    assert text(notes.note_failure("model1", model(state="failed"))) == "Model 1 failed: no reason is known"


@pytest.mark.parametrize("state", ["idle", "running", "paused", "finished", "stopped"])
def test_a_model_that_did_not_fail_gets_no_failure_note(state: str) -> None:
    assert notes.note_failure("model1", model(state=state), [NAN]) is None


@pytest.mark.parametrize(("accuracies", "holds"), [([0.1], True), ([0.8, 0.1], True), ([0.1, 0.2], False), ([], False)])
def test_guessing_is_noticed(accuracies: list[float], holds: bool) -> None:
    note = notes.note_guessing("model1", model(accuracies))
    assert bool(note) == holds
    if note:
        assert note.text.startswith("Model 1 only guesses (10% right of ten classes)")


def test_jump_of_the_loss_is_noticed_with_its_epoch() -> None:
    note = notes.note_jump("model1", Blocks([1.0, 1.0, 2.0], [1.2, 1.3, 1.4], 31, 1984))
    assert text(note) == "Model 1's loss jumped at epoch 1.3: its learning rate may be too high"
    assert notes.note_jump("model1", Blocks([1.0, 0.9, 0.8], [1.2, 1.3, 1.4], 31, 1984)) is None
    assert notes.note_jump("model1", None) is None


@pytest.mark.parametrize(("training", "holds"), [(0.931, True), (0.929, False), (0.8, False), (None, False)])
def test_overfitting_is_noticed_from_three_points(training: float | None, holds: bool) -> None:
    columns = evaluations([0.9], train_accuracy=[training])
    note = notes.note_overfitting("model2", model(evaluations=columns))
    assert bool(note) == holds
    if note and training == 0.931:
        assert note.text.startswith("Model 2 overfits: 3.1 points")


def test_plateau_is_noticed_from_three_epochs() -> None:
    flat = [0.8, 0.9, 0.9, 0.9, 0.9]
    assert notes.note_plateau("model1", model(flat[:-1])) is None
    note = notes.note_plateau("model1", model(flat))
    assert text(note) == "Model 1's validation accuracy flat for 3 epochs: plateau"
    longer = notes.note_plateau("model1", model([*flat, 0.9]))
    assert longer is not None
    assert note is not None
    assert longer.id == note.id  # once dismissed it stays so, though its words change
    assert longer.text != note.text


def test_fall_of_the_accuracy_is_noticed_from_two_points() -> None:
    assert text(notes.note_fluctuation("model1", model([0.9, 0.868]))) == (
        "Model 1's validation accuracy is 3.2 points below its best: large swings hint at instability"
    )
    assert notes.note_fluctuation("model1", model([0.9, 0.89])) is None
    assert notes.note_fluctuation("model1", model()) is None


def test_flip_of_the_winner_is_noticed() -> None:
    assert text(notes.note_flip("model1", "model2")) == (
        "Model 1 leads at equal epochs, Model 2 at equal seconds: better per image is not better per second"
    )
    assert notes.note_flip("model1", "model1") is None
    assert notes.note_flip("model1", None) is None
    assert notes.note_flip(None, None) is None


def test_dropout_is_blamed_for_training_below_validation_accuracy() -> None:
    below, above = {"accuracy": 0.85, "val_accuracy": 0.88}, {"accuracy": 0.9, "val_accuracy": 0.88}
    words = "Training accuracy below validation accuracy is dropout's doing, no error"
    note = notes.note_dropout({"model1": model(**below), "model2": model(**above)})
    assert note == Note("dropout", "model1", words)
    both = notes.note_dropout({"model1": model(**below), "model2": model(**below)})
    assert both == Note("dropout", None, words)
    without = model(**below, config=configured(dropout=0))
    assert notes.note_dropout({"model1": without, "model2": model(**above)}) is None
    assert notes.note_dropout({"model1": model(), "model2": model(config=None)}) is None


def test_larger_model_that_trains_more_slowly_is_noticed() -> None:
    note = notes.note_slower({"model1": 40e6, "model2": 10e6}, {"model1": 1000, "model2": 2500})
    assert note is not None
    assert note.model == "model1"
    assert note.text == (
        "Model 1 computes 4.0 times as much for each image and takes 2.5 times as long: larger models train more slowly"
    )


@pytest.mark.parametrize(
    ("flops", "speeds"),
    [
        ({"model1": None, "model2": 1e6}, {"model1": 1000, "model2": 2500}),
        ({"model1": 4e6, "model2": 1e6}, {"model1": None, "model2": 2500}),
        ({"model1": 4e6, "model2": 1e6}, {"model1": 1000, "model2": 1100}),
        ({"model1": 1e6, "model2": 4e6}, {"model1": 1000, "model2": 2500}),
    ],
    ids=["work not known", "speed not known", "about as fast", "larger and yet faster"],
)
def test_no_word_about_size_where_it_explains_nothing(
    flops: dict[str, float | None], speeds: dict[str, float | None]
) -> None:
    assert notes.note_slower(flops, speeds) is None


def test_different_batch_sizes_are_noticed() -> None:
    assert notes.note_batch_sizes(CONFIG, CONFIG) is None
    assert text(notes.note_batch_sizes(CONFIG, configured(batch_size=256))) == (
        "Batch sizes differ, so batches/s do not compare: look at images/s"
    )
