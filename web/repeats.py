"""Repeats: start, stop and continue a series, and a series as the page shows it."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, request

from analysis.repeats import Curve, mean_curves, pairs_and_result
from config import MODEL_NAMES
from history.store import RunStore, UnknownRun
from studies.plan import FEWEST, MOST
from web.monitor import Monitor
from web.requests import identifier, parse_both, read_object, whole_number


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("repeats", __name__)

    @routes.post("/api/repeats")
    def start_repeats() -> tuple[dict[str, Any], int]:
        given = read_object(("runs", *MODEL_NAMES))
        pairs = whole_number("runs", given.get("runs"), FEWEST, MOST)
        return {"series": monitor.repeats.start(parse_both(given), pairs)}, 202

    @routes.get("/api/repeats")
    def repeats() -> dict[str, Any]:
        return series_or_none(monitor.store, request.args.get("series") or None)

    @routes.post("/api/repeats/stop")
    def stop_repeats() -> dict[str, Any]:
        read_object((), optional=True)
        monitor.repeats.stop()
        return {"run": monitor.run}

    @routes.post("/api/repeats/continue")
    def continue_repeats() -> tuple[dict[str, Any], int]:
        series = identifier("series", read_object(("series",)).get("series"))
        monitor.repeats.continue_series(series)
        return {"series": series}, 202

    return routes


def series_or_none(store: RunStore, series: str | None) -> dict[str, Any]:
    """Return a series, the latest unless named, as `/api/repeats` answers it. Raises UnknownRun for a name."""
    try:
        found = store.series(series)
    except UnknownRun:
        if series is not None:
            raise
        return NO_SERIES
    return describe(found, store.evaluations)


def describe(series: Mapping[str, Any], evaluations: Callable[[str], Mapping[str, Curve]]) -> dict[str, Any]:
    """Return a series as `/api/repeats` answers it; series: as the store has it; evaluations(run): of its models."""
    pairs, found = pairs_and_result(series)
    curves = [evaluations(pair["run"]) for pair in pairs if pair["delta"] is not None]
    return {
        "series": series["id"],
        "state": series["state"],
        "started": series["started"],
        "wanted": len(pairs),
        "configs": series["plan"]["configs"],
        "pairs": pairs,
        "curves": {model: mean_curves([curve[model] for curve in curves]) for model in MODEL_NAMES},
        "result": found,
    }


NO_SERIES: dict[str, Any] = {
    "series": None, "state": None, "started": None, "wanted": 0, "configs": None, "pairs": [], "result": None,
    "curves": {model: {"epoch": [], "mean": [], "low": [], "high": []} for model in MODEL_NAMES},
}  # fmt: skip
