"""Entrant: one model of a comparison, with all that is known of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis import measures
from config import ModelConfig
from data import TEST_IMAGES, TRAINING_IMAGES, VALIDATION_IMAGES, Batches
from history.records import Columns, Event, Model, Recent
from history.states import ACTIVE_STATES

IMAGES = {"train": TRAINING_IMAGES, "validation": VALIDATION_IMAGES, "test": TEST_IMAGES}


@dataclass(frozen=True)
class Entrant:
    """A model with all that its figures are computed from."""

    name: str
    model: Model
    recent: Recent
    description: Mapping[str, Any] | None  # from training.cost.describe_model; None before PyTorch has loaded
    right_images: Sequence[bytes | None] = ()  # of each evaluation, as records.Evaluation has them
    events: Sequence[Event] = ()

    @property
    def evaluations(self) -> Columns:
        return self.model["evaluations"]

    @property
    def config(self) -> Mapping[str, Any]:
        return self.model["config"] or {}

    @property
    def flops_per_image(self) -> float | None:
        return self.description["training_flops_per_image"] if self.description else None

    @property
    def computed_flops_per_image(self) -> float | None:
        return self.description["computed_training_flops_per_image"] if self.description else None

    def positions(self, axis: str, images_per_epoch: int) -> list[float]:
        return measures.positions(self.evaluations, axis, images_per_epoch, self.flops_per_image)

    def batches(self, images_per_epoch: int) -> Batches:
        return ModelConfig(**self.config).batches(images_per_epoch)

    def blocks(self, images: int, images_per_epoch: int) -> measures.Blocks:
        """Return the last epoch's losses, averaged over groups of so many images."""
        return measures.average_blocks(self.recent.losses, self.recent.step, self.batches(images_per_epoch), images)

    @property
    def has_early_rate(self) -> bool:
        """Whether its loss reduction rate is that of the first epochs, not of two whole ones."""
        return len(self.recent.epoch_means) < 2

    def loss_reduction_rate(self, images_per_epoch: int) -> float | None:
        if not self.has_early_rate:
            return measures.loss_reduction_rate(self.recent.epoch_means)
        batches = self.batches(images_per_epoch)
        return measures.early_loss_reduction_rate(self.recent.losses, self.recent.step, batches)

    @property
    def evaluation_interval(self) -> float | None:
        """How many epochs lie between the latest evaluation and the next or, where none follows, the one before."""
        done, following = self.evaluations["epoch"], self.model.get("next_evaluation_step")
        if following and done and self.model["state"] in ACTIVE_STATES:
            return float(following / self.model["steps_per_epoch"] - done[-1])
        return measures.evaluation_interval(self.evaluations)

    @property
    def smoothed_until(self) -> int:
        """Up to which step the training loss holds label smoothing, as earlier versions recorded it; 0 for none."""
        plain_from = self.model.get("plain_loss_from")
        until = self.recent.step if plain_from is None else plain_from
        return until if self.config.get("label_smoothing") else 0


def reached(each: Entrant, target: float, images_per_epoch: int) -> dict[str, float | None] | None:
    """Return where on each axis a model was when it first had an accuracy; None where it has not had it.

    interval: epochs since the evaluation before, by which that may be late.
    """
    index = measures.time_to_accuracy(each.evaluations, target)
    if index is None:
        return None
    where = {axis: each.positions(axis, images_per_epoch) for axis in measures.AXES}
    return {axis: values[index] if values else None for axis, values in where.items()} | {
        "interval": measures.evaluation_interval(each.evaluations, index)
    }


def speeds_compare(one: Entrant, two: Entrant) -> bool:
    """Return whether both train: whoever trains alone, at the end, has more of the machine."""
    return {each.model["state"] for each in (one, two)} == {"running"}
