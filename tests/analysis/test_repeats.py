"""What the pairs of a series tell: held to statsmodels and scipy."""

import json
import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.repeats import confidence, mean_curves, pair_state, result, student_interval


@given(st.lists(st.integers(-500, 500), min_size=2, max_size=20))
def test_interval_is_students_whatever_the_differences(counts: list[int]) -> None:
    differences = [count / 10_000 for count in counts]
    found = student_interval(differences)
    if len(set(counts)) == 1:
        assert found is None
        return
    expected = stats.t.interval(confidence(len(counts)), len(counts) - 1, np.mean(differences), stats.sem(differences))
    assert found is not None
    assert found[:2] == pytest.approx(expected)
    assert found[2] == pytest.approx(stats.ttest_rel(differences, np.zeros(len(counts))).pvalue)


def told(differences: Sequence[float], ended: bool = True, **about: Any) -> dict[str, Any]:
    """Return the result, which must be strict JSON, and say "better" only where it claims something."""
    found = result(differences, ended, **about)
    assert found is not None
    json.dumps(found, allow_nan=False)
    assert ("better" in found["text"]) == (found["claim"] is not None), found["text"]
    assert found["wins1"] + found["wins2"] + found["ties"] == found["pairs"] == len(differences)
    return found


CLEAR = (-0.01, -0.012, -0.009, -0.011, -0.01)


def test_no_pair_says_nothing_and_few_say_nothing_of_the_settings() -> None:
    assert result((), ended=True) is None
    one = told((0.01,))
    assert (one["mean"], one["low"], one["high"], one["wins1"]) == (0.01, None, None, 1)
    for count in (1, 3, 4):
        assert told((0.01, 0.011, 0.012, 0.011)[:count])["text"].startswith(f"Only {count} pair")
        assert "at least 5 are needed" in told((0.01, 0.011, 0.012, 0.011)[:count])["text"]


def test_enough_pairs_say_which_settings_are_better_or_that_it_cannot_be_told() -> None:
    better = told(CLEAR)
    assert better["claim"] == "model2"
    assert better["text"].startswith("Model 2's settings are better: over 5 pairs of seeds, −1.04 points")
    assert "(99 % interval −1.27 to −0.81, model 1 minus model 2)" in better["text"]
    assert "(98.7 % interval" in told(2 * CLEAR)["text"]
    assert better["high"] < 0
    unclear = told((-0.01, 0.012, -0.009, 0.011, 0.0))
    assert unclear["text"].startswith("Too close to call: over 5 pairs of seeds, +0.08 points")
    assert (unclear["wins1"], unclear["wins2"], unclear["ties"]) == (2, 2, 1)
    assert unclear["mean"] == pytest.approx(fmean((-0.01, 0.012, -0.009, 0.011, 0.0)))


@pytest.mark.parametrize(
    ("about", "start", "says"),
    [
        ({"ended": False}, "5 pairs so far: −1.04 points", "A claim takes at least 5 pairs, and the end of the series"),
        ({"ended": False, "stopped": True}, "Stopped early, after 5 pairs: −1.04 points", "takes all pairs"),
        ({"ended": True, "missing": 1}, "No claim: 1 pair of the series is missing", "can choose the winner"),
        ({"ended": True, "missing": 3}, "No claim: 3 pairs of the series are missing", "can choose the winner"),
    ],
)
def test_only_a_whole_series_that_has_ended_as_planned_claims_something(
    about: dict[str, Any], start: str, says: str
) -> None:
    assert told(CLEAR)["claim"] == "model2"
    found = told(CLEAR, **about)
    assert found["claim"] is None
    assert found["text"].startswith(start)
    assert says in found["text"]
    assert found["high"] < 0  # the interval is shown all the same


def test_so_far_is_said_only_of_a_series_that_goes_on() -> None:
    assert "so far" in told(CLEAR[:3], ended=False)["text"]
    assert "so far" not in told(CLEAR[:3], ended=True)["text"]


LOST1, LOST2, BOTH = -math.inf, math.inf, math.nan


@pytest.mark.parametrize(
    ("differences", "p", "claim"),
    [
        ((LOST1,) * 8, 0.0078, "model2"),  # eight failed trainings are no "All 8 pairs have finished"
        ((LOST2,) * 6, 0.0312, "model1"),
        ((LOST2,) * 5, 0.0625, None),  # five decided pairs cannot reach 5 %
        ((LOST1, 0.01, 0.011, 0.012, 0.01, 0.01), 0.219, None),  # one failed: it loses its pair, and no mean is known
        ((LOST1, 0.01, 0.011, 0.012, 0.01, 0.01, 0.01, 0.01, 0.01), 0.039, "model1"),
        ((BOTH,) * 8, 1.0, None),
        ((LOST2, 0.01, 0.01, 0.01, 0.01, BOTH, 0.0), 0.0625, None),  # ties decide nothing
    ],
)
def test_failed_training_loses_its_pair(differences: tuple[float, ...], p: float, claim: str | None) -> None:
    found = told(differences)
    assert (found["claim"], found["mean"], found["low"], found["high"]) == (claim, None, None, None)
    assert found["p"] == pytest.approx(p, rel=0.01)
    lost1 = sum(one == LOST1 or math.isnan(one) for one in differences)
    lost2 = sum(one == LOST2 or math.isnan(one) for one in differences)
    assert (found["failed1"], found["failed2"]) == (lost1, lost2)
    assert "a failed training loses its pair" in found["text"]
    assert (f"model 1 failed in {lost1}" in found["text"]) == (lost1 > 0)
    assert (f"model 2 failed in {lost2}" in found["text"]) == (lost2 > 0)


def test_pairs_that_all_differ_alike_have_no_interval_and_are_counted() -> None:
    assert told((0.0,) * 5)["text"].startswith("Too close to call: over 5 pairs of seeds, +0.00 points")
    assert told((-0.0,) * 20)["claim"] is None
    assert told((0.01,) * 5)["claim"] is None
    alike = told([(9000 + number) / 10_000 - (8900 + number) / 10_000 for number in range(6)])  # but for rounding
    assert (alike["low"], alike["claim"]) == (None, "model1")
    assert "+1.00 points of test accuracy in each, model 1 minus model 2 (sign test, p = 0.031)" in alike["text"]


def test_curves_are_averaged_where_all_runs_were_evaluated() -> None:
    curves = [{"epoch": [0.5, 1.0, 2.0], "accuracy": [0.5, 0.7, 0.9]}, {"epoch": [0.5, 1.0], "accuracy": [0.7, 0.8]}]
    found = mean_curves(curves)
    assert found["epoch"] == [0.5, 1.0]
    assert found["mean"] == pytest.approx([0.6, 0.75])
    assert (found["low"], found["high"]) == ([0.5, 0.7], [0.7, 0.8])
    assert mean_curves([]) == {"epoch": [], "mean": [], "low": [], "high": []}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("running", "finished"), "running"),
        (("stopped", "paused"), "running"),
        (("stopped", "finished"), "stopped"),
        (("failed", "finished"), "failed"),
        (("finished", "finished"), "finished"),
    ],
)
def test_state_of_a_pair(states: tuple[str, str], expected: str) -> None:
    assert pair_state(states) == pair_state(states[::-1]) == expected
