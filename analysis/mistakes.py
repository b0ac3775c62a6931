"""Mistakes: what two models answered on the same images, and how far their answers agree.

Arrays are numpy's: labels (N,) of classes 0-9, probabilities (N, 10) that sum to 1. No torch here.
"""

from typing import Any, NamedTuple

import numpy as np

from analysis.significance import wilson_interval
from config import MODEL_NAMES
from data import CLASSES
from history.records import SPLITS, Array, Predictions

PER_PAGE = 24  # images


def newest_common(one: dict[str, Predictions], two: dict[str, Predictions]) -> tuple[Predictions, Predictions] | None:
    """Return what both models answered on the same images: on the test images once both have, else on the
    validation images, which each has seen at its own latest evaluation; None before there is such a thing."""
    split = next((split for split in reversed(SPLITS) if split in one and split in two), None)
    return (one[split], two[split]) if split else None


def agreement(labels: Array, one: Predictions, two: Predictions) -> dict[str, Array]:
    """Return for each of the four outcomes which images (N,) bool have it."""
    right1, right2 = one.answers == labels, two.answers == labels
    return {
        "both_right": right1 & right2,
        "only1": right1 & ~right2,
        "only2": ~right1 & right2,
        "both_wrong": ~right1 & ~right2,
    }


def count_agreement(labels: Array, one: Predictions, two: Predictions) -> dict[str, int]:
    """Return the 2×2 counts of right and wrong answers."""
    return {outcome: int(images.sum()) for outcome, images in agreement(labels, one, two).items()}


def confusion(labels: Array, answers: Array) -> list[list[int]]:
    """Return how many images of each class (row) got each answer (column)."""
    counts = np.bincount(labels * CLASSES + answers, minlength=CLASSES**2)
    return counts.reshape(CLASSES, CLASSES).tolist()  # type: ignore[no-any-return]


def class_accuracies(matrix: list[list[int]]) -> list[dict[str, float]]:
    """Return each class's accuracy with its 95 % Wilson interval."""
    found = []
    for number, row in enumerate(matrix):
        low, high = wilson_interval(row[number] / sum(row), sum(row))
        found.append({"accuracy": row[number] / sum(row), "low": low, "high": high})
    return found


class Filter(NamedTuple):
    """Which images to show: an outcome or "all", and where given their class and the models' answers."""

    show: str = "only1"
    label: int | None = None
    predicted1: int | None = None
    predicted2: int | None = None
    sort: str = "confident"  # the most confident mistake first, or "unsure": the least
    page: int = 0


SHOWS = ("only1", "only2", "both_wrong", "both_right", "all")
SORTS = ("confident", "unsure")


def gallery(labels: Array, one: Predictions, two: Predictions, wanted: Filter) -> dict[str, Any]:
    """Return a page of the images that a filter lets through, with both models' probabilities.

    They are sorted by how sure the wrong model is of its answer; of two wrong ones the surer; where none is
    wrong, by the less sure of both.
    """
    outcomes = agreement(labels, one, two)
    chosen = np.ones(len(labels), bool) if wanted.show == "all" else outcomes[wanted.show].copy()
    for values, value in ((labels, wanted.label), (one.answers, wanted.predicted1), (two.answers, wanted.predicted2)):
        if value is not None:
            chosen &= values == value
    sure = np.stack([each.probabilities.max(axis=1) for each in (one, two)])  # (2, N)
    wrong = np.stack([outcomes["only2"] | outcomes["both_wrong"], outcomes["only1"] | outcomes["both_wrong"]])
    confidence = np.where(wrong.any(axis=0), np.where(wrong, sure, 0).max(axis=0), sure.min(axis=0))
    images = np.flatnonzero(chosen)
    order = np.argsort(confidence[images] * (-1 if wanted.sort == "confident" else 1), kind="stable")
    pages = max(1, -(-len(images) // PER_PAGE))
    page = min(wanted.page, pages - 1)
    answers = dict(zip(MODEL_NAMES, (one, two), strict=True))
    shown = images[order][page * PER_PAGE : (page + 1) * PER_PAGE]
    return {
        "found": len(images),
        "page": page,
        "pages": pages,
        "images": [
            {
                "image": int(image),
                "label": int(labels[image]),
                **{name: _rounded(each.probabilities[image]) for name, each in answers.items()},
            }
            for image in shown
        ],
    }


def _rounded(probabilities: Array) -> list[float]:
    return [round(float(each), 4) for each in probabilities]
