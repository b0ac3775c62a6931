"""The comparison: who leads at an equal place on an axis, and every figure of both models."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, request

from analysis.entrant import IMAGES
from analysis.measures import AXES
from analysis.repeats import pairs_and_result
from analysis.verdict import compare
from config import ModelConfig
from history.states import ACTIVE_STATES, INTENDED_ENDS
from history.store import RunStore
from studies.workshop import Workshop
from web.monitor import Monitor
from web.pair import pairing_of, significance
from web.requests import choice
from web.slots import Slots, among_asked_for, slots_asked_for


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("comparison", __name__)

    @routes.get("/api/comparison")
    def comparison() -> dict[str, Any]:
        axis = choice("axis", request.args.get("axis", AXES[0]), AXES)
        slots = slots_asked_for(*monitor.known)
        return compare_models(monitor, axis, slots, among_asked_for(slots))

    return routes


def compare_models(monitor: Monitor, axis: str, slots: Slots, among: int | None = None) -> dict[str, Any]:
    """Return the comparison of two trainings; among: of how many they were chosen, None where they were not.

    Figures that need PyTorch are None until it has loaded. Raises UnknownRun, or Conflict where a model is missing.
    """
    latest = monitor.run
    logs = monitor.logs(slots)
    models = {slot: log.summary(model) for slot, (log, model) in logs.items()}
    workshop = monitor.loading.workshop
    is_on = slots.run == latest and any(model["state"] in ACTIVE_STATES for model in models.values())
    found = compare(
        slots.run,
        models,
        axis,
        {slot: log.recent(model) for slot, (log, model) in logs.items()},
        {slot: cost(workshop, model) if workshop else None for slot, model in models.items()},
        images=workshop.images if workshop else IMAGES,
        gpu_use=workshop.gpu_use() if workshop and is_on else None,
        significance=significance_once_ended(monitor.store, workshop, slots, models),
        right_images={
            slot: [each.right_images for each in log.evaluations(model)] for slot, (log, model) in logs.items()
        },
        events={slot: log.events(model) for slot, (log, model) in logs.items()},
        repeats=result_of_repeats(monitor.store, slots.run) if slots.are_a_run else None,
        pairing=pairing_of(monitor.store, workshop, slots, logs) if slots.are_chosen else None,
        among=among,
        is_loaded=workshop is not None,
    )
    return found | slots.as_json()


def cost(workshop: Workshop, model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's description, its memory counted in the precision that the run has found."""
    config = ModelConfig(**model["config"])
    if model["precision"]:
        config = config.model_copy(update={"precision": model["precision"]})
    return workshop.describe(config)


def significance_once_ended(
    store: RunStore, workshop: Workshop | None, slots: Slots, models: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return McNemar's test on the test images; None until both models have answered them.

    That is when they have finished or were stopped: who goes on is yet to be tested.
    """
    ended = all(model["state"] in INTENDED_ENDS for model in models.values())
    return significance(store, workshop, slots) if workshop and ended else None


def result_of_repeats(store: RunStore, run: str | None) -> Mapping[str, Any] | None:
    """Return the result of the series that a run belongs to or whose settings it has, None where there is none."""
    series = store.series_like(run) if run else None
    return pairs_and_result(store.series(series))[1] if series else None
