"""The comparison: who leads at an equal place on an axis, and every figure of both models."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, request

from analysis.entrant import IMAGES
from analysis.measures import AXES
from analysis.repeats import pairs_and_result
from analysis.verdict import compare
from config import MODEL_NAMES, ModelConfig
from history.records import INCOMPLETE
from history.states import ACTIVE_STATES, INTENDED_ENDS
from history.store import RunStore
from studies.refusals import Conflict
from studies.workshop import Workshop
from web.monitor import Monitor
from web.pair import significance
from web.requests import choice


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("comparison", __name__)

    @routes.get("/api/comparison")
    def comparison() -> dict[str, Any]:
        axis = choice("axis", request.args.get("axis", AXES[0]), AXES)
        return compare_models(monitor, axis, request.args.get("run") or None)

    return routes


def compare_models(monitor: Monitor, axis: str, run: str | None) -> dict[str, Any]:
    """Return the comparison of a stored run, or of the latest where none is named.

    Figures that need PyTorch are None until it has loaded. Raises UnknownRun, or Conflict where a model is missing.
    """
    latest, metrics, _ = monitor.control.latest
    shown = latest if run is None else run
    if shown != latest:
        metrics = monitor.store.run(str(shown))
        if set(metrics.models) != set(MODEL_NAMES):
            raise Conflict(INCOMPLETE.format(run=shown))
    models = {name: metrics.summary(name) for name in metrics.models}
    workshop = monitor.loading.workshop
    is_on = shown == latest and any(model["state"] in ACTIVE_STATES for model in models.values())
    return compare(
        shown,
        models,
        axis,
        {name: metrics.recent(name) for name in models},
        {name: cost(workshop, model) if workshop else None for name, model in models.items()},
        images=workshop.images if workshop else IMAGES,
        gpu_use=workshop.gpu_use() if workshop and is_on else None,
        significance=significance_once_ended(monitor.store, workshop, shown, models),
        right_images={name: [each.right_images for each in metrics.evaluations(name)] for name in models},
        events={name: metrics.events(name) for name in models},
        repeats=result_of_repeats(monitor.store, shown),
        is_loaded=workshop is not None,
    )


def cost(workshop: Workshop, model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's description, its memory counted in the precision that the run has found."""
    config = ModelConfig(**model["config"])
    if model["precision"]:
        config = config.model_copy(update={"precision": model["precision"]})
    return workshop.describe(config)


def significance_once_ended(
    store: RunStore, workshop: Workshop | None, run: str | None, models: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return McNemar's test on the test images; None until both models have answered them.

    That is when they have finished or were stopped: who goes on is yet to be tested.
    """
    ended = all(model["state"] in INTENDED_ENDS for model in models.values())
    return significance(store, workshop, run) if run and workshop and ended else None


def result_of_repeats(store: RunStore, run: str | None) -> Mapping[str, Any] | None:
    """Return the result of the series that a run belongs to or whose settings it has, None where there is none."""
    series = store.series_like(run) if run else None
    return pairs_and_result(store.series(series))[1] if series else None
