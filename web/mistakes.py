"""Mistakes: which images the models answer wrongly, and by class."""

from typing import Any

from flask import Blueprint, request

from analysis.mistakes import (
    SHOWS,
    SORTS,
    Filter,
    class_accuracies,
    confusion,
    count_agreement,
    gallery,
)
from config import MODEL_NAMES
from data import CLASSES
from history.store import RunStore
from studies.workshop import Workshop
from web.monitor import Monitor
from web.pair import answers_of, when_answered
from web.requests import choice, query_number
from web.slots import Slots, slots_asked_for


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("mistakes", __name__)

    @routes.get("/api/mistakes")
    def mistakes() -> dict[str, Any]:
        wanted = Filter(
            choice("show", request.args.get("show", SHOWS[0]), SHOWS),
            query_number("label", CLASSES - 1),
            query_number("predicted1", CLASSES - 1),
            query_number("predicted2", CLASSES - 1),
            choice("sort", request.args.get("sort", SORTS[0]), SORTS),
            query_number("page", 10_000) or 0,
        )
        return page_of_mistakes(monitor.store, monitor.loading.require(), slots_asked_for(*monitor.known), wanted)

    @routes.get("/api/classes")
    def classes() -> dict[str, Any]:
        return by_class(monitor.store, monitor.loading.require(), slots_asked_for(*monitor.known))

    return routes


def page_of_mistakes(store: RunStore, workshop: Workshop, slots: Slots, wanted: Filter) -> dict[str, Any]:
    """Return a page of images that both models have answered, as wanted. Raises UnknownRun."""
    pair = answers_of(store, slots)
    found: dict[str, Any] = slots.as_json() | when_answered(pair)
    if pair is None:
        return found | {"counts": None, "found": 0, "page": 0, "pages": 1, "images": []}
    labels = workshop.labels[pair[0].split]
    return found | {"counts": count_agreement(labels, *pair)} | gallery(labels, *pair, wanted)


def by_class(store: RunStore, workshop: Workshop, slots: Slots) -> dict[str, Any]:
    """Return both models' confusion matrices and accuracies by class. Raises UnknownRun."""
    pair = answers_of(store, slots)
    found: dict[str, Any] = slots.as_json() | when_answered(pair)
    if pair is None:
        return found | {"counts": None, "confusion": None, "accuracy": None}
    labels = workshop.labels[pair[0].split]
    matrices = {name: confusion(labels, each.answers) for name, each in zip(MODEL_NAMES, pair, strict=True)}
    return found | {
        "counts": [sum(row) for row in matrices[MODEL_NAMES[0]]],
        "confusion": matrices,
        "accuracy": {name: class_accuracies(matrix) for name, matrix in matrices.items()},
    }
