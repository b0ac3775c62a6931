"""Origins: where the models of a run go on from, by the settings and checkpoints in the store."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from config import MODEL_NAMES, ModelConfig
from history.checkpoints import NOTHING, WEIGHTS, Told
from history.events import say_fork, say_held, say_jump, say_more_epochs
from history.records import INCOMPLETE, Training, label
from history.store import Left, Origin, RunStore
from studies.branches import add_epochs, say_change
from studies.refusals import Conflict
from studies.workshop import Workshop

if TYPE_CHECKING:
    from training.checkpoint import Header

REDUCED = {WEIGHTS: "reduced to its weights", NOTHING: "dropped"}


class Rest(NamedTuple):
    """What the models of a run that are still to be trained go on with, by model."""

    checkpoints: dict[str, bytes]  # of those that have one; the others start over
    steps: dict[str, int]  # after which they were taken
    rates: dict[str, float]  # learning rates before the schedule, as the checkpoints were left
    configs: dict[str, ModelConfig]
    held_rates: dict[str, float | None]  # of those that have left their schedule, as Status has it
    details: dict[str, str]  # what is said of those that go on for more epochs


def stored_configs(store: RunStore, run: str) -> dict[str, ModelConfig]:
    """Return the settings of both models of a stored run. Raises UnknownRun, or Conflict where they are not whole."""
    configs = known_configs(store, run)
    if set(configs) != set(MODEL_NAMES):
        raise Conflict(INCOMPLETE.format(run=run))
    return configs


def stored_config(store: RunStore, training: Training) -> ModelConfig:
    """Return the settings of a stored training. Raises UnknownRun, or Conflict where they are not known."""
    configs = known_configs(store, training.run)
    if training.model not in configs:
        raise Conflict(INCOMPLETE.format(run=training.run))
    return configs[training.model]


def known_configs(store: RunStore, run: str) -> dict[str, ModelConfig]:
    """Return the settings of those models of a stored run that there are. Raises UnknownRun, or Conflict."""
    try:
        return store.configs(run)
    except ValueError:  # written by another version
        raise Conflict(f"Run {run} has settings that this version does not know") from None


def rest_of(
    left: Left,
    workshop: Workshop,
    run: str,
    configs: Mapping[str, ModelConfig],
    models: Collection[str],
    more_epochs: int = 0,
) -> Rest:
    """Return with what some models of a run go on under their own id: where their checkpoints were taken, else anew.

    Raises TooManyEpochs, and Conflict where a checkpoint was given up to make room, or a branch, or a model that has
    left its schedule, has lost it: trained anew it would not be what went on.
    """
    found = {name: left.checkpoints[name] for name in models}
    for name, checkpoint in found.items():
        require_not_reduced(left.told[name], run, name)
        if left.is_branch or name in left.off_schedule:
            require_checkpoint(checkpoint, left.told[name], run, name)
    checkpoints = {name: checkpoint for name, checkpoint in found.items() if checkpoint is not None}
    headers = {name: workshop.header(checkpoint) for name, checkpoint in checkpoints.items()}
    steps = {name: headers[name].step if name in headers else 0 for name in models}
    held = dict(left.held_rates)
    rates = {name: peak_after(headers.get(name), configs[name].held_at(held[name])) for name in models}
    if not more_epochs:
        return Rest(checkpoints, steps, rates, dict(configs), held, {})
    longer = {name: add_epochs(config, more_epochs) for name, config in configs.items()}
    details = {
        name: say_more_epochs(more_epochs, configs[name].schedule, epochs=longer[name].epochs) for name in models
    }
    for name, checkpoint in list(checkpoints.items()):
        origin = longer_origin(workshop, name, configs[name], held[name], checkpoint, more_epochs)
        checkpoints[name], held[name], details[name] = origin.checkpoint, origin.held_rate, origin.detail or ""
    return Rest(checkpoints, steps, rates, longer, held, details)


def peak_after(header: "Header | None", config: ModelConfig) -> float:
    """Return the learning rate, before the schedule, with which a model goes on from a checkpoint or its start."""
    return config.learning_rate if header is None else header.peak_under(config)


def longer_origin(
    workshop: Workshop, model: str, config: ModelConfig, held: float | None, checkpoint: bytes, more_epochs: int
) -> Origin:
    """Return from where a model goes on for more epochs; one that keeps its schedule so far leaves it at its last rate.

    held: at which it has left it before. Raises TooManyEpochs.
    """
    header, longer = workshop.header(checkpoint), add_epochs(config, more_epochs)
    if held is not None or config.schedule == "constant":
        return Origin(model, header.step, checkpoint, longer, say_more_epochs(more_epochs), held)
    if not header.step:
        detail = say_more_epochs(more_epochs, config.schedule, epochs=longer.epochs)
        return Origin(model, 0, checkpoint, longer, detail)
    held, share = last_rate(workshop, header, config), header.step / workshop.total_steps(config)
    detail = say_more_epochs(more_epochs, config.schedule, held=held, share=share)
    return Origin(model, header.step, telling_schedule(workshop, checkpoint, header, config), longer, detail, held)


def telling_schedule(workshop: Workshop, checkpoint: bytes, header: "Header", config: ModelConfig) -> bytes:
    """Return a checkpoint that tells under which schedule its rate holds, as those of earlier versions do not."""
    return checkpoint if header.schedule is not None else workshop.with_schedule(checkpoint, config.schedule)


def last_rate(workshop: Workshop, header: "Header", config: ModelConfig) -> float:
    """Return the learning rate of the step before a checkpoint, by a model's settings or what it was steered to."""
    return workshop.learning_rate_after(config, header.step - 1, peak_after(header, config))


def next_rate(workshop: Workshop, header: "Header", config: ModelConfig) -> float:
    """Return the learning rate of the step after a checkpoint."""
    return workshop.learning_rate_after(config, header.step, peak_after(header, config))


def continued_origins(
    left: Left, workshop: Workshop, run: str, configs: Mapping[str, ModelConfig], more_epochs: int
) -> dict[str, Origin]:
    """Return from where both models go on in a new run, for more epochs.

    Raises TooManyEpochs, and Conflict where one has no checkpoint.
    """
    return {
        name: longer_origin(
            workshop,
            name,
            config,
            left.held_rates[name],
            require_checkpoint(left.checkpoints[name], left.told[name], run, name),
            more_epochs,
        )
        for name, config in configs.items()
    }


def forked_origins(
    store: RunStore,
    workshop: Workshop,
    run: str,
    as_set: ModelConfig,
    source: ModelConfig,
    config: ModelConfig,
    changed: str,
    *,
    held_rate: float | None,
) -> dict[str, Origin]:
    """Return from where a fork goes on: model 1 as it was, and its copy with one setting changed.

    as_set: what model 1 is set to; source: the same with the learning rate that it has now; config: those of the copy;
    held_rate: of model 1, as Status has it. A copy for more epochs of a model whose schedule has run its course keeps
    the last rate; in others the schedule is stretched. Raises Conflict where model 1 has no checkpoint.
    """
    checkpoint = forked_checkpoint(store, run)
    header, change = workshop.header(checkpoint), say_change(source, config, changed)
    copied = workshop.copy(checkpoint, changed)
    copy_held = None
    if held_rate is not None and changed == "learning_rate":  # two rates compare where both are what is trained
        source, config, held_rate = source.held_at(source.learning_rate), config.held_at(config.learning_rate), None
    elif held_rate is not None:
        source, config = as_set, as_set.model_copy(update={changed: getattr(config, changed)})
        copy_held = None if changed == "schedule" else held_rate
    is_over = header.step >= workshop.total_steps(source)
    if changed == "epochs" and is_over and held_rate is None and config.schedule != "constant":
        copy_held = last_rate(workshop, header, source)
        copied = telling_schedule(workshop, copied, header, source)
        change = f"{change}, {say_held(copy_held)}"
    elif changed in ("epochs", "schedule"):
        before = next_rate(workshop, header, source.held_at(held_rate))
        after = next_rate(workshop, workshop.header(copied), config.held_at(copy_held))
        change = change if before == after else f"{change}, {say_jump(before, after)}"
    model1 = Origin(MODEL_NAMES[0], header.step, checkpoint, source, None, held_rate)
    model2 = Origin(MODEL_NAMES[0], header.step, copied, config, say_fork(change), copy_held)
    return dict(zip(MODEL_NAMES, (model1, model2), strict=True))


def forked_checkpoint(store: RunStore, run: str) -> bytes:
    """Return the checkpoint that a fork of a run begins at, that of model 1. Raises Conflict where there is none."""
    model = MODEL_NAMES[0]
    return require_checkpoint(store.checkpoint(run, model), store.told(run, model), run, model)


def require_not_reduced(told: Told | None, run: str, model: str) -> None:
    """Raise Conflict where what a training would go on from was given up to make room."""
    if told is not None and told.kept in REDUCED:
        what = f"its checkpoint was {REDUCED[told.kept]} to save room"
        raise Conflict(f"{label(model)} of run {run} cannot go on: {what}")


def require_checkpoint(checkpoint: bytes | None, told: Told | None, run: str, model: str) -> bytes:
    """Return a checkpoint that a training can go on from. Raises Conflict where there is none."""
    require_not_reduced(told, run, model)
    if checkpoint is None:
        raise Conflict(f"{label(model)} of run {run} has no checkpoint to go on from")
    return checkpoint
