"""Origins: from where the models of a run go on: its settings and checkpoints as the store has them."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from config import MODEL_NAMES, ModelConfig
from history.events import say_fork
from history.records import INCOMPLETE
from history.store import Origin, RunStore
from studies.branches import hold_rate, say_change, say_more
from studies.refusals import Conflict
from studies.workshop import Workshop


class Rest(NamedTuple):
    """What the models of a run that are still to be trained go on with, by model."""

    checkpoints: dict[str, bytes]  # of those that have one; the others start over
    steps: dict[str, int]  # after which they were taken
    rates: dict[str, float]  # learning rates before the schedule


def stored_configs(store: RunStore, run: str) -> dict[str, ModelConfig]:
    """Return the settings of both models of a stored run. Raises UnknownRun, or Conflict where they are not whole."""
    try:
        configs = store.configs(run)
    except ValueError:  # written by another version
        raise Conflict(f"Run {run} has settings that this version does not know") from None
    if set(configs) != set(MODEL_NAMES):
        raise Conflict(INCOMPLETE.format(run=run))
    return configs


def rest_of(
    store: RunStore, workshop: Workshop, run: str, configs: Mapping[str, ModelConfig], models: Collection[str]
) -> Rest:
    """Return with what some models of a run go on under their own id: where their checkpoints were taken, else anew."""
    found = {name: store.checkpoint(run, name) for name in models}
    checkpoints = {name: checkpoint for name, checkpoint in found.items() if checkpoint is not None}
    return Rest(
        checkpoints,
        {name: 0 if checkpoint is None else workshop.step_of(checkpoint) for name, checkpoint in found.items()},
        {name: workshop.rate_of(configs[name], checkpoint) for name, checkpoint in found.items()},
    )


def continued_origins(
    store: RunStore,
    workshop: Workshop,
    run: str,
    configs: Mapping[str, ModelConfig],
    longer: Mapping[str, ModelConfig],
    finished: Collection[str],
) -> dict[str, Origin]:
    """Return from where both models go on in a new run, for more epochs. Raises Conflict where one cannot."""
    origins = {}
    for name, config in configs.items():
        checkpoint, with_more = _checkpoint(store, run, name), longer[name]
        if name in finished and config.schedule != "constant":  # it has run its course
            with_more = hold_rate(with_more, workshop.last_rate(checkpoint))
            checkpoint = workshop.copy(checkpoint, "learning_rate")
        step = workshop.step_of(checkpoint)
        jump = workshop.rate_jump(config, with_more, step, workshop.rate_of(config, checkpoint))
        origins[name] = Origin(name, step, checkpoint, with_more, say_more(config, with_more, jump))
    return origins


def forked_origins(
    store: RunStore, workshop: Workshop, run: str, source: ModelConfig, config: ModelConfig, changed: str
) -> dict[str, Origin]:
    """Return from where a fork goes on: model 1 as it was, and its copy with one setting changed.

    Raises Conflict where model 1 has no checkpoint.
    """
    checkpoint = _checkpoint(store, run, MODEL_NAMES[0])
    step = workshop.step_of(checkpoint)
    detail = say_fork(say_change(source, config, changed))
    model1 = Origin(MODEL_NAMES[0], step, checkpoint, source, None)
    model2 = Origin(MODEL_NAMES[0], step, workshop.copy(checkpoint, changed), config, detail)
    return dict(zip(MODEL_NAMES, (model1, model2), strict=True))


def _checkpoint(store: RunStore, run: str, model: str) -> bytes:
    checkpoint = store.checkpoint(run, model)
    if checkpoint is None:
        raise Conflict(f"{model.replace('model', 'Model ')} of run {run} has no checkpoint to go on from")
    return checkpoint
