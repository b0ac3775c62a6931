"""Seeds: the trainings of one setting taken together, and how two settings differ over theirs.

Nothing here says that anything is better: an interval is shown, and its coverage is that of its source.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import fmean
from typing import NamedTuple

CONFIDENCE = 0.95
PAIRED, WELCH = "paired by seed", "welch"
Values = Mapping[int, float]  # a measure by seed


class Mean(NamedTuple):
    """The mean of n values with its 95 % interval; None of fewer than two, and of equal ones."""

    mean: float | None
    interval: tuple[float, float] | None
    n: int


class Difference(NamedTuple):
    """How far a value lies above another, with its 95 % interval where `how` says by which n seeds."""

    value: float | None
    interval: tuple[float, float] | None
    how: str | None
    n: int


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean with Student's t interval (Student 1908; as scipy `ttest_1samp`)."""
    if not values:
        return Mean(None, None, 0)
    return Mean(sum(values) / len(values), _student(values), len(values))


def difference_of(values: Values, others: Values) -> Difference:
    """Return how far the mean of one setting's values lies above that of another's.

    Paired where at least two seeds have both, over these alone: what a seed does to both cancels out. Else over all,
    with the interval for unequal variances where both have two or more (Welch 1947; as scipy `ttest_ind`).
    """
    shared = [seed for seed in values if seed in others]
    if len(shared) >= 2:
        apart = [values[seed] - others[seed] for seed in shared]
        return Difference(sum(apart) / len(apart), _student(apart), PAIRED, len(apart))
    mean, other = mean_of(list(values.values())), mean_of(list(others.values()))
    if mean.mean is None or other.mean is None:
        return Difference(None, None, None, 0)
    interval = _welch(list(values.values()), list(others.values())) if min(mean.n, other.n) >= 2 else None
    return Difference(mean.mean - other.mean, interval, WELCH if interval else None, min(mean.n, other.n))


def _student(values: Sequence[float]) -> tuple[float, float] | None:
    """Return x̄ ± t s/√n, t of n − 1 degrees of freedom."""
    count = len(values)
    if count < 2 or max(values) == min(values):
        return None
    return _around(fmean(values), math.sqrt(variance(values) / count), count - 1)


def _welch(values: Sequence[float], others: Sequence[float]) -> tuple[float, float] | None:
    """Return x̄ − ȳ ± t √(s²/n + r²/m), t of the degrees of freedom of Welch and Satterthwaite."""
    if max(values) == min(values) and max(others) == min(others):
        return None
    share, other = variance(values) / len(values), variance(others) / len(others)
    freedom = (share + other) ** 2 / (share**2 / (len(values) - 1) + other**2 / (len(others) - 1))
    return _around(fmean(values) - fmean(others), math.sqrt(share + other), freedom)


def variance(values: Sequence[float]) -> float:
    """Return Σ(x − x̄)² / (n − 1); the one of `statistics` is exact, and takes ten times as long."""
    mean = fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _around(centre: float, error: float, freedom: float) -> tuple[float, float]:
    half = error * _quantile(freedom)
    return centre - half, centre + half


@lru_cache(1024)
def _quantile(freedom: float) -> float:
    """Return Student's t beyond which lies half of what is outside the interval.

    scipy's own tests take 0.3 ms each, and a page of groups has hundreds of intervals.
    """
    from scipy.special import stdtrit  # 0.1 s to import

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
