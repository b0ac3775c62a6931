"""Seeds: the trainings of one setting taken together, and how two settings differ over theirs.

Nothing here says that anything is better: an interval is shown, and its coverage is that of its source.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
    """Return the mean with Student's t interval (Student 1908; scipy `ttest_1samp`)."""
    if not values:
        return Mean(None, None, 0)
    return Mean(sum(values) / len(values), _student(values), len(values))


def difference_of(values: Values, others: Values) -> Difference:
    """Return how far the mean of one setting's values lies above that of another's.

    Paired where at least two seeds have both, over these alone: what a seed does to both cancels out. Else over all,
    with the interval for unequal variances where both have two or more (Welch 1947; scipy `ttest_ind`).
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
    if len(values) < 2 or max(values) == min(values):
        return None
    from scipy import stats  # 0.5 s to import, and rarely wanted

    return _ends(stats.ttest_1samp(values, 0))


def _welch(values: Sequence[float], others: Sequence[float]) -> tuple[float, float] | None:
    if max(values) == min(values) and max(others) == min(others):
        return None
    from scipy import stats

    return _ends(stats.ttest_ind(values, others, equal_var=False))


def _ends(found: Any) -> tuple[float, float]:
    low, high = found.confidence_interval(CONFIDENCE)
    return float(low), float(high)
