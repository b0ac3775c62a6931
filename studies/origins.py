"""Origins: from where the models of a run go on: its settings and checkpoints as the store has them."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from config import MODEL_NAMES, ModelConfig
from history.events import say_fork
from history.records import INCOMPLETE, label
from history.store import Left, Origin, RunStore
from studies.branches import hold_rate, say_change, say_more
from studies.refusals import Conflict
from studies.workshop import Workshop

if TYPE_CHECKING:
    from training.checkpoint import Header


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


def rest_of(left: Left, workshop: Workshop, configs: Mapping[str, ModelConfig], models: Collection[str]) -> Rest:
    """Return with what some models of a run go on under their own id: where their checkpoints were taken, else anew."""
    found = {name: left.checkpoints[name] for name in models}
    checkpoints = {name: checkpoint for name, checkpoint in found.items() if checkpoint is not None}
    headers = {name: workshop.header(checkpoint) for name, checkpoint in checkpoints.items()}
    return Rest(
        checkpoints,
        {name: headers[name].step if name in headers else 0 for name in models},
        {name: rate_after(headers.get(name), configs[name]) for name in models},
    )


def rate_after(header: "Header | None", config: ModelConfig) -> float:
    """Return the learning rate, before the schedule, with which a model goes on from a checkpoint or its start."""
    rate = header and header.learning_rate
    return config.learning_rate if rate is None else rate


def continued_origins(
    left: Left,
    workshop: Workshop,
    run: str,
    configs: Mapping[str, ModelConfig],
    longer: Mapping[str, ModelConfig],
    finished: Collection[str],
) -> dict[str, Origin]:
    """Return from where both models go on in a new run, for more epochs. Raises Conflict where one cannot."""
    origins = {}
    for name, config in configs.items():
        checkpoint, with_more = _sound(left.checkpoints[name], run, name), longer[name]
        header = workshop.header(checkpoint)
        peak = rate_after(header, config)
        if name in finished and config.schedule != "constant":  # it has run its course
            assert header.last_learning_rate is not None, "it has taken steps"
            with_more = hold_rate(with_more, header.last_learning_rate)
            checkpoint = workshop.copy(checkpoint, "learning_rate")
            peak = config.learning_rate
        jump = workshop.rate_jump(config, with_more, header.step, peak)
        origins[name] = Origin(name, header.step, checkpoint, with_more, say_more(config, with_more, jump))
    return origins


def forked_origins(
    store: RunStore, workshop: Workshop, run: str, source: ModelConfig, config: ModelConfig, changed: str
) -> dict[str, Origin]:
    """Return from where a fork goes on: model 1 as it was, and its copy with one setting changed.

    Raises Conflict where model 1 has no checkpoint.
    """
    checkpoint = _sound(store.checkpoint(run, MODEL_NAMES[0]), run, MODEL_NAMES[0])
    step = workshop.header(checkpoint).step
    detail = say_fork(say_change(source, config, changed))
    model1 = Origin(MODEL_NAMES[0], step, checkpoint, source, None)
    model2 = Origin(MODEL_NAMES[0], step, workshop.copy(checkpoint, changed), config, detail)
    return dict(zip(MODEL_NAMES, (model1, model2), strict=True))


def _sound(checkpoint: bytes | None, run: str, model: str) -> bytes:
    """Return a checkpoint. Raises Conflict where there is none."""
    if checkpoint is None:
        raise Conflict(f"{label(model)} of run {run} has no checkpoint to go on from")
    return checkpoint
