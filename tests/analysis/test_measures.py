"""Figures against values worked out by hand, or against the library that has them."""

import itertools
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from evaluated import NAN, cut, evaluations, smooth
from hypothesis import given
from hypothesis import strategies as st

from analysis import measures
from data import Batches


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
    assert smooth(values, 64) == pytest.approx(expected)


@given(st.lists(st.floats(0, 100), min_size=1), st.integers(1, 8192))
def test_smoothed_values_stay_between_the_lowest_and_the_highest(values: list[float], images: int) -> None:
    smoothed = [value for value in smooth(values, images) if value is not None]
    assert len(smoothed) == len(values)
    assert smoothed[0] == pytest.approx(values[0])
    assert min(values) - 1e-9 <= min(smoothed) <= max(smoothed) <= max(values) + 1e-9


def test_smoothing_is_equal_in_images_for_two_batch_sizes() -> None:
    course = [0.1 + math.exp(-images / 20_000) for images in range(100, 55_001, 100)]
    small, large = smooth(course, 100)[-1], smooth(course[9::10], 1000)[-1]
    assert small == pytest.approx(large, rel=0.01)


def test_smoothing_passes_over_a_broken_value() -> None:
    assert smooth([1, NAN, 1], 64) == [1, None, 1]
    assert smooth([], 64) == []


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
