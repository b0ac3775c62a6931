"""Means over seeds and their differences, against scipy and by hand."""

import random

import pytest
from scipy import stats

from analysis.seeds import PAIRED, WELCH, Difference, Mean, difference_of, mean_of


def test_mean_has_students_interval() -> None:
    values = [0.9, 0.91, 0.93, 0.88]
    mean, interval, n = mean_of(values)
    assert (mean, n) == (pytest.approx(sum(values) / 4), 4)
    half = stats.t.ppf(0.975, 3) * stats.tstd(values) / 2
    assert interval == pytest.approx((mean - half, mean + half))


def test_what_has_no_spread_has_no_interval() -> None:
    assert mean_of([]) == Mean(None, None, 0)
    assert mean_of([0.5]) == Mean(0.5, None, 1)
    assert mean_of([0.5, 0.5]) == Mean(0.5, None, 2)
    assert difference_of({}, {1: 0.5}) == Difference(None, None, None, 0)
    assert difference_of({1: 0.75}, {1: 0.5}) == Difference(0.25, None, None, 1)
    assert difference_of({1: 0.5, 2: 0.5}, {3: 0.25, 4: 0.25}) == Difference(0.25, None, None, 2)


def test_shared_seeds_are_paired_and_others_left_out() -> None:
    ours, others = {1: 0.9, 2: 0.8, 3: 0.7, 9: 0.1}, {1: 0.85, 2: 0.78, 3: 0.66, 8: 0.99}
    value, interval, how, n = difference_of(ours, others)
    apart = [0.05, 0.02, 0.04]
    assert (how, n) == (PAIRED, 3)
    assert value == pytest.approx(sum(apart) / 3)
    assert interval == pytest.approx(tuple(stats.ttest_1samp(apart, 0).confidence_interval(0.95)))


def test_other_seeds_are_compared_by_welch() -> None:
    ours, others = {1: 0.9, 2: 0.8, 3: 0.7}, {1: 0.5, 5: 0.6, 6: 0.55, 7: 0.2}
    value, interval, how, n = difference_of(ours, others)
    found = stats.ttest_ind(list(ours.values()), list(others.values()), equal_var=False)
    assert (how, n) == (WELCH, 3)
    assert value == pytest.approx(0.8 - 0.4625)
    assert interval == pytest.approx(tuple(found.confidence_interval(0.95)))


@pytest.mark.parametrize("shared", [True, False])
def test_interval_holds_no_difference_about_as_often_as_it_says(shared: bool) -> None:
    chance, missed, trials = random.Random(5), 0, 1500
    for _ in range(trials):
        ours = {seed: chance.gauss(0, 1) for seed in range(5)}
        others = {seed if shared else seed + 9: chance.gauss(0, 1) for seed in range(5)}
        low, high = difference_of(ours, others).interval or (0, 0)
        missed += not low <= 0 <= high
    assert missed / trials < 0.065  # 5 %, and what 1,500 trials may add to it
