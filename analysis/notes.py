"""Notes: what stands out in a comparison, one sentence each, the most important first."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from analysis.case import McNemar
from analysis.entrant import Entrant, speeds_compare
from analysis.measures import PLATEAU_EPOCHS, Blocks, drawdown, epochs_without_improvement, overfitting
from history.records import Model, known, label

OVERFITTING = 0.03  # three points: about four standard errors between 1,000 and 5,000 images
FLUCTUATION = 0.02  # two points below the best so far
SETTLED = 10.0  # seconds of training
GUESSING = 0.15  # ten classes: guessing gives 0.10
JUMP = 1.5  # times the loss just before
JUMP_IMAGES = 2_000
SLOWER = 1.2  # times slower, from where it is worth a word


class Note(NamedTuple):
    """A hint for reading the curves. The id stays the same while what it says goes on to hold."""

    id: str
    model: str | None
    text: str


def latest_jump(blocks: Blocks) -> float | None:
    """Return the epoch at which a block's loss was last 1.5 times that of the block before it. Ours."""
    pairs = zip(blocks.epoch, blocks.loss, blocks.loss[1:], strict=False)
    return next((epoch for epoch, before, after in reversed(list(pairs)) if after > JUMP * before > 0), None)


def note_failure(name: str, model: Model, losses: Sequence[float] = ()) -> Note | None:
    """A run that broke, and what to do about it; `losses` are its last ones."""
    if model["state"] != "failed":
        return None
    if not all(map(math.isfinite, losses)):
        advice = "its loss is no longer a number, the updates were too large. Try a tenth of the learning rate."
        return Note(f"failure-{name}", name, f"{label(name)} broke at epoch {model['epoch']:.2f}: {advice}")
    return Note(f"failure-{name}", name, f"{label(name)} failed: {model['error'] or 'no reason is known'}")


def note_guessing(name: str, model: Model) -> Note | None:
    """A model that answers no better than chance."""
    accuracies = [accuracy for accuracy in model["evaluations"]["accuracy"] if known(accuracy)]
    if not accuracies or accuracies[-1] >= GUESSING:
        return None
    text = f"{label(name)} only guesses ({accuracies[-1]:.0%} right of ten classes): try other settings for it"
    return Note(f"guessing-{name}", name, text)


def note_jump(name: str, blocks: Blocks | None) -> Note | None:
    """A sharp rise of the loss within the last epoch; blocks of about 2,000 images."""
    epoch = latest_jump(blocks) if blocks else None
    if epoch is None:
        return None
    text = f"{label(name)}'s loss jumped at epoch {epoch:.1f}: its learning rate may be too high"
    return Note(f"jump-{name}", name, text)


def note_overfitting(name: str, model: Model) -> Note | None:
    gap = overfitting(model["evaluations"])
    if gap is None or gap < OVERFITTING:
        return None
    text = f"{label(name)} overfits: {100 * gap:.1f} points more on images it trains on than on others"
    return Note(f"overfitting-{name}", name, text)


def note_plateau(name: str, model: Model) -> Note | None:
    flat = epochs_without_improvement(model["evaluations"])
    if flat is None or flat < PLATEAU_EPOCHS:
        return None
    text = f"{label(name)}'s validation accuracy flat for {flat:.0f} epochs: plateau"
    return Note(f"plateau-{name}", name, text)


def note_fluctuation(name: str, model: Model) -> Note | None:
    below = drawdown(model["evaluations"])
    if below is None or below < FLUCTUATION:
        return None
    text = f"{label(name)}'s validation accuracy is {100 * below:.1f} points below its best"
    return Note(f"fluctuation-{name}", name, f"{text}: large swings hint at instability")


def note_flip(leader_by_epochs: str | None, leader_by_seconds: str | None) -> Note | None:
    """The winner depends on what is held equal."""
    if not leader_by_epochs or not leader_by_seconds or leader_by_epochs == leader_by_seconds:
        return None
    text = f"{label(leader_by_epochs)} leads at equal epochs, {label(leader_by_seconds)} at equal seconds"
    return Note("flip", None, f"{text}: better per image is not better per second")


def note_dropout(models: Mapping[str, Model]) -> Note | None:
    """Training accuracy below validation accuracy, in words that calm."""
    concerned = [
        name
        for name, model in models.items()
        if (model["config"] or {}).get("dropout")
        and (model["config"] or {}).get("augment", "none") == "none"  # which makes training images harder, too
        and known(model["accuracy"])
        and known(model["val_accuracy"])
        and model["accuracy"] < model["val_accuracy"] - 0.01
    ]
    if not concerned:
        return None
    model = concerned[0] if len(concerned) == 1 else None
    text = "Training accuracy below validation accuracy is no error: dropout, which lowers it, is off in validation"
    return Note("dropout", model, text)


def is_settled(one: Entrant, two: Entrant) -> bool:
    """Return whether both train, and have for so long that their speeds are not those of their first steps."""
    return speeds_compare(one, two) and min(each.model["elapsed_seconds"] for each in (one, two)) >= SETTLED


def note_slower(flops: Mapping[str, float | None], speeds: Mapping[str, float | None]) -> Note | None:
    """The larger model is the slower one: FLOPs done for an image, and images/s, of each model."""
    if len(speeds) != 2 or not all(flops.get(name) and speeds[name] for name in speeds):
        return None
    slow, fast = sorted(speeds, key=lambda name: speeds[name] or 0)
    slowness = (speeds[fast] or 0) / (speeds[slow] or 1)
    work = (flops[slow] or 0) / (flops[fast] or 1)
    if slowness < SLOWER or work < SLOWER:
        return None
    text = f"{label(slow)} computes {work:.1f} times as much for each image and takes {slowness:.1f} times as long"
    return Note("slower", slow, f"{text}: larger models train more slowly")


def note_batch_sizes(config1: Mapping[str, Any], config2: Mapping[str, Any]) -> Note | None:
    if config1.get("batch_size") == config2.get("batch_size"):
        return None
    return Note("batch-sizes", None, "Batch sizes differ, so batches/s do not compare: look at images/s")


def note_smoothed_loss(name: str, until: int) -> Note | None:
    """Losses that an earlier version recorded with label smoothing, up to step `until`."""
    if not until:
        return None
    text = f"{label(name)}'s training loss up to step {until:,} is from an earlier version"
    return Note(f"smoothed-{name}", name, f"{text}, and label smoothing raises it: compare the validation losses")


def notes(
    one: Entrant,
    two: Entrant,
    images: Mapping[str, int],
    leads: Mapping[str, Mapping[str, Any]],
    tested: McNemar | None,
    *,
    apart: bool = False,
) -> list[Note]:
    """Return all notes that hold, the most important first. None speaks of what the statement says.

    leads: in accuracy, at equal epochs and at equal seconds; tested: what the test images said, which none contradicts;
    apart: the trainings are of different runs, whose speeds do not compare.
    """
    both = (one, two)
    certain = {each: None if ahead["within_noise"] else ahead["leader"] for each, ahead in leads.items()}
    if tested and tested.leader != certain["epochs"]:
        certain["seconds"] = None
    found = [
        *(note_failure(each.name, each.model, each.recent.losses) for each in both),
        *(note_jump(each.name, each.blocks(JUMP_IMAGES, images["train"])) for each in both),
        *(note_guessing(each.name, each.model) for each in both),
        *(note_overfitting(each.name, each.model) for each in both),
        *(note_plateau(each.name, each.model) for each in both),
        *(note_fluctuation(each.name, each.model) for each in both),
        note_flip(certain["epochs"], certain["seconds"]),
        note_dropout({each.name: each.model for each in both}),
        note_slower(
            {each.name: each.computed_flops_per_image for each in both},
            {each.name: each.model["images_per_second"] for each in both} if is_settled(one, two) else {},
        ),
        None if apart else note_batch_sizes(one.config, two.config),
        *(note_smoothed_loss(each.name, each.smoothed_until) for each in both),
    ]
    return [note for note in found if note is not None]
