"""Inside: what the evaluations showed of the inside of each model: its layers over time, its first filters."""

import base64
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, request

from config import MODEL_NAMES
from history.records import Insight
from history.store import RunStore
from web.monitor import Monitor
from web.requests import NothingThere, choice, query_number
from web.slots import Slots, slots_asked_for

LAYER_FIGURES = ("gradient_norm", "weight_norm", "dead_share")


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("inside", __name__)

    @routes.get("/api/inside")
    def inside() -> dict[str, Any]:
        """Answer with the norms and dead units of each layer over a run's evaluations."""
        monitor.loading.require()
        slots = slots_asked_for(*monitor.known)
        found = slots.find(monitor.store.insights)
        return slots.as_json() | {"models": {name: as_columns(found.get(name, [])) for name in MODEL_NAMES}}

    @routes.get("/api/filters")
    def filters() -> dict[str, Any]:
        model = choice("model", request.args.get("model"), MODEL_NAMES)
        monitor.loading.require()
        return filters_at(monitor.store, slots_asked_for(*monitor.known), model, query_number("step", 10**12) or 0)

    return routes


def filters_at(store: RunStore, slots: Slots, model: str, step: int) -> dict[str, Any]:
    """Return a model's first-layer filters at an evaluation. Raises UnknownRun or NothingThere."""
    found = slots.find(store.insights).get(model, [])
    known = next((each for each in found if each.step == step), None)
    if known is None:
        steps = ", ".join(str(each.step) for each in found[-5:]) or "none yet"
        raise NothingThere(f"No evaluation of {model} after step {step}; the latest are: {steps}")
    return {"model": model} | as_answer(known)


def as_columns(insights: Sequence[Insight]) -> dict[str, Any]:
    """Return all insights of a run as `/api/inside` answers: one list a layer and figure."""
    if not insights:
        return {"layers": [], "step": [], "epoch": []} | {figure: {} for figure in LAYER_FIGURES} | {"filters": None}
    names, filters = list(insights[-1].layers), insights[-1].filters

    def series(figure: str) -> dict[str, list[float | None]]:
        return {name: [_shorten(getattr(each.layers[name], figure)) for each in insights] for name in names}

    dead = {name: values for name, values in series("dead_share").items() if any(value is not None for value in values)}
    return {
        "layers": names,
        "step": [each.step for each in insights],
        "epoch": [each.epoch for each in insights],
        "gradient_norm": series("gradient_norm"),
        "weight_norm": series("weight_norm"),
        "dead_share": dead,
        "filters": {"count": filters.kernels, "shown": filters.shown, "side": filters.side},
    }


def _shorten(value: float | None) -> float | None:
    """Return a value with as many digits as a chart can show."""
    return None if value is None else float(f"{value:.5g}")


def as_answer(insight: Insight) -> dict[str, Any]:
    """Return an insight's filters as `/api/filters` answers."""
    filters = insight.filters
    return {
        "step": insight.step,
        "epoch": insight.epoch,
        "shown": filters.shown,
        "side": filters.side,
        "scale": filters.scale,
        "weights": base64.b64encode(filters.weights).decode(),
    }
