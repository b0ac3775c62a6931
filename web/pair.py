"""The pair: two trainings side by side: what they have in common, and what both last answered to the same images."""

from collections.abc import Mapping
from typing import Any

from analysis.mistakes import count_agreement, newest_common
from analysis.pairing import Origin, pairing
from analysis.significance import significance as test_difference
from config import MODEL_NAMES, ModelConfig
from history.log import MetricsLog
from history.records import Predictions, Training
from history.store import RunStore
from studies.workshop import Workshop
from web.slots import Slots

Pair = tuple[Predictions, Predictions]
Logs = Mapping[str, tuple[MetricsLog, str]]  # by slot: a training's log, and what the training is called there


def pairing_of(store: RunStore, workshop: Workshop | None, slots: Slots, logs: Logs) -> dict[str, Any]:
    """Return what any two trainings have in common; their initial weights are told only by the workshop.

    Raises UnknownRun.
    """
    origins = {slot: origin_of(store, slots.trainings[slot], *logs[slot]) for slot in MODEL_NAMES}
    one, two = origins.values()
    sides = zip(MODEL_NAMES, (one, two), (two, one), strict=True)
    copies = [slot for slot, each, other in sides if each.is_copy_of(other)]
    shared = None
    if workshop is not None:
        copy = copies[0] if copies else None  # since the fork it has its own seed, as any other from the beginning
        first = {} if copy else {slot: {"seed": origin.seeds[0]} for slot, origin in origins.items()}
        configs = {slot: ModelConfig(**dict(origin.config) | first.get(slot, {})) for slot, origin in origins.items()}
        reseeded = any(len(origin.seeds) > 1 for origin in origins.values())
        shared = workshop.describe_pairing(configs, copy=copy, reseeded=reseeded)
    return pairing(one, two, shared)


def origin_of(store: RunStore, training: Training, log: MetricsLog, model: str) -> Origin:
    """Return how a training came about. Raises UnknownRun."""
    status = log.status(model)
    environment = store.about(training.run)["environment"]
    conditions = environment | {"threads": status.threads, "precision": status.precision}
    return Origin(training.run, dict(status.config or {}), log.events(model), conditions)


def tell(store: RunStore, slots: Slots) -> dict[str, dict[str, Any]]:
    """Return by slot which training it holds: run, model, and of the run its name, start and environment.

    Raises UnknownRun.
    """
    about = {run: store.about(run) for run in slots.runs}
    return {
        slot: {"run": training.run, "model": training.model}
        | {name: about[training.run][name] for name in ("name", "started", "environment")}
        for slot, training in slots.trainings.items()
    }


def significance(store: RunStore, workshop: Workshop, slots: Slots) -> dict[str, Any] | None:
    """Return McNemar's test on the test images; None until both models, as they are, have answered them.

    Raises UnknownRun.
    """
    pair = answers_of(store, slots)
    if pair is None or pair[0].split != "test":
        return None
    return test_difference(count_agreement(workshop.labels["test"], *pair)) | when_answered(pair)


def answers_of(store: RunStore, slots: Slots) -> Pair | None:
    """Return what both trainings last answered to the same images; None where there is no such thing yet.

    Raises UnknownRun.
    """
    found = slots.find(store.predictions)
    return newest_common(*(found.get(name, {}) for name in MODEL_NAMES))


def when_answered(pair: Pair | None) -> dict[str, Any]:
    """Return which images were answered, and when."""
    if pair is None:
        return {"split": None, "at": dict.fromkeys(MODEL_NAMES)}
    return {
        "split": pair[0].split,
        "at": {name: {"step": each.step, "epoch": each.epoch} for name, each in zip(MODEL_NAMES, pair, strict=True)},
    }
