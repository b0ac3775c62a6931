"""What chance may do, against the libraries that have it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from analysis import significance
from analysis.significance import mcnemar


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
