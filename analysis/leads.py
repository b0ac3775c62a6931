"""Leads: who is ahead in validation accuracy or loss, and by how much more than chance may do."""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from analysis import measures
from analysis.entrant import Entrant
from analysis.significance import count_apart, noise, widest_noise
from history.records import known

LEAST_GAP = 0.0005  # of accuracies or losses: half of the last digit shown


def paired_noise(
    one: Entrant, index1: int, two: Entrant, index2: int, count: int, among: int | None = None
) -> float | None:
    """Return the noise of the difference between two evaluations; None where it was not kept what they had right.

    Between two evaluations of a model a lead is measured by a straight line, but nothing is known of its answers there:
    the caller gives the evaluation before. An earlier network agrees less with the other model, so the band errs on
    the side of doubt.
    """
    right = [(each.right_images[index : index + 1] or (None,))[0] for each, index in ((one, index1), (two, index2))]
    if right[0] is None or right[1] is None:
        return None
    return noise(*count_apart(right[0], right[1]), count, among)


def chance(
    one: Entrant,
    index1: int,
    value1: float,
    two: Entrant,
    index2: int,
    value2: float,
    count: int,
    among: int | None = None,
) -> tuple[float, bool]:
    """Return how large a gap between two accuracies chance may make, and whether that is of their own answers.

    Else, where those were not kept, it is the widest that there can be. among: of how many models they were chosen.
    """
    paired = paired_noise(one, index1, two, index2, count, among)
    return (widest_noise(value1, value2, count, among), False) if paired is None else (paired, True)


def ahead_at_best(one: Entrant, two: Entrant, count: int, among: int | None = None) -> str | None:
    """Return whose best validation accuracy is higher by more than the noise of the images."""
    accuracies = [[value if known(value) else -1.0 for value in each.evaluations["accuracy"]] for each in (one, two)]
    if not all(accuracies):
        return None
    best1, best2 = (max(values) for values in accuracies)
    index1, index2 = (values.index(max(values)) for values in accuracies)
    if abs(best1 - best2) < chance(one, index1, best1, two, index2, best2, count, among)[0]:
        return None
    return one.name if best1 > best2 else two.name


def lead(
    one: Entrant,
    two: Entrant,
    axis: str,
    quantity: str,
    images: Mapping[str, int],
    *,
    apart: bool = False,
    among: int | None = None,
) -> dict[str, Any]:
    """Return who is ahead in validation accuracy or loss at an equal place on an axis, and by how much.

    noise: see paired_noise; None also for a loss, of which it is not known. apart: the trainings are of different runs,
    so that nobody leads at equal seconds, however far the two are from each other there; among: of how many trainings
    they were chosen.
    """
    xs1, xs2 = (each.positions(axis, images["train"]) for each in (one, two))
    ys1, ys2 = (each.evaluations[quantity] for each in (one, two))
    equal = measures.at_equal_position(xs1, ys1, xs2, ys2) if xs1 and xs2 else None
    if equal is None:
        return dict.fromkeys(("leader", "gap", "at", one.name, two.name, "noise", "within_noise", "text"))
    at, value1, value2 = equal
    gap = abs(value1 - value2)
    ahead = one if (value1 > value2) == (quantity == "accuracy") else two
    leader = ahead.name if gap >= LEAST_GAP else None
    paired, within_noise = None, None
    if apart and axis == "seconds":
        leader = None
    elif quantity == "accuracy":
        before1, before2 = (bisect_right(xs, at) - 1 for xs in (xs1, xs2))
        band, is_paired = chance(one, before1, value1, two, before2, value2, images["validation"], among)
        within_noise = leader is None or gap < band
        paired = band if is_paired else None
    return {
        "leader": leader,
        "gap": gap,
        "at": at,
        one.name: value1,
        two.name: value2,
        "noise": paired,
        "within_noise": within_noise,
        "text": f"Loss {value1:.3f} against {value2:.3f}" if quantity == "loss" else None,
    }
