"""Significance: what chance alone may do to accuracies on the same images."""

import math
from statistics import NormalDist
from typing import Any

ALPHA = 0.05  # a p-value below it is more than chance
EXACT_BELOW = 25  # images on which only one model is right; the χ² approximation is poor for fewer
CAVEAT = "This compares these two trained networks; repeat with other seeds to compare the settings."


def wilson_interval(accuracy: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return between which fractions the accuracy lies, measured as k right answers of `count`.

    (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n), the score interval of Wilson (1927).
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = round(accuracy * count) / count
    centre = p + z * z / (2 * count)
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def alpha_of_pair(among: int | None) -> float:
    """Return below which p-value a pair is told apart by more than chance: ALPHA, unless it was chosen among so many.

    What is said of such a pair is to hold for the largest gap of all pairs that could have been chosen (Bonferroni).
    """
    return ALPHA / math.comb(among, 2) if among else ALPHA


def standard_errors(among: int | None) -> float:
    """Return how many standard errors a gap must have to be more than chance: 1.96, more of a pair that was chosen."""
    return -NormalDist().inv_cdf(alpha_of_pair(among) / 2)


def noise(only1: int, only2: int, count: int, among: int | None = None) -> float:
    """Return how large a difference of two accuracies over the same `count` images chance alone easily makes.

    1.96 √(b + c − (b − c)²/n) / n, for the difference of paired proportions (Agresti). b, c: images that only the one,
    only the other model has right; images on which they agree do not count, as in McNemar's test. among: of how many
    models these two were chosen.
    """
    variance = only1 + only2 - (only1 - only2) ** 2 / count
    return standard_errors(among) * math.sqrt(variance) / count


def widest_noise(accuracy1: float, accuracy2: float, count: int, among: int | None = None) -> float:
    """Return the largest `noise` that two accuracies over the same images can have, whichever images they are.

    It is that of models which are never wrong together: for where it is not known which images they had right.
    """
    apart = min(accuracy1 + accuracy2, 2 - accuracy1 - accuracy2)
    variance = apart - (accuracy1 - accuracy2) ** 2
    return standard_errors(among) * math.sqrt(max(0.0, variance) / count)


def count_apart(right1: bytes, right2: bytes) -> tuple[int, int]:
    """Return how many images only the first, only the second model has right; right1, right2: a bit an image."""
    one, two = int.from_bytes(right1), int.from_bytes(right2)
    return (one & ~two).bit_count(), (two & ~one).bit_count()


def mcnemar(only1: int, only2: int) -> tuple[float, str]:
    """Return the p-value of McNemar's test, and "exact" or "chi2": which form of it was used.

    χ² = (|b−c|−1)² / (b+c) with one degree of freedom; the exact binomial test of b against b+c tosses of a
    coin where b+c < 25 (Dietterich 1998). b, c: images on which only the one, only the other model is right.
    """
    apart = only1 + only2
    if apart < EXACT_BELOW:
        tail = sum(math.comb(apart, tosses) for tosses in range(min(only1, only2) + 1))
        return min(1.0, 2 * tail / 2**apart), "exact"
    # with one degree of freedom the upper tail of χ² is erfc √(χ²/2): not worth the seconds that scipy takes to import
    return math.erfc(math.sqrt((abs(only1 - only2) - 1) ** 2 / apart / 2)), "chi2"


def significance(counts: dict[str, int]) -> dict[str, Any]:
    """Return 2×2 counts with McNemar's test on them; statement.py says what it means."""
    p_value, method = mcnemar(counts["only1"], counts["only2"])
    return counts | {"p_value": p_value, "method": method, "caveat": CAVEAT}


def say_p(p_value: float, digits: int = 2) -> str:
    """Return a p-value with so many digits, three below 0.1, and as many as tell its side of ALPHA."""
    if p_value < 0.001:
        return "p < 0.001"
    digits = digits if p_value >= 0.1 else 3
    while digits < 6 and (round(p_value, digits) < ALPHA) != (p_value < ALPHA):
        digits += 1
    return f"p = {p_value:.{digits}f}"
