"""Figures of the course of the loss, against values worked out by hand."""

import itertools
import math
import random
from collections.abc import Sequence

import pytest
from evaluated import NAN, cut, smooth

from analysis import measures, notes
from analysis.measures import Blocks
from data import Batches


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
        average = smooth(losses[:t], 64)[-1]
        assert average is not None
        variance = smooth(squares[1:], 64)[-1] if t > 1 else 0.0
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
