"""Keeper: who takes what a trainer hands over to be kept, and what is handed over."""

from typing import NamedTuple, Protocol

from torch import Tensor

from history.records import Insight, Predictions
from training.engine import Engine


class Keeper(Protocol):
    """Takes what a trainer hands over to be kept; returns at once. A RunStore, bound to a run."""

    def save_checkpoint(self, model: str, checkpoint: bytes) -> None:
        """Take a checkpoint: at each epoch's end, at a stop, and when the run is steered."""

    def save_insight(self, model: str, insight: Insight, predictions: Predictions) -> None:
        """Take what an evaluation showed of the inside of the model, and its answers to the validation images."""

    def save_predictions(self, model: str, predictions: Predictions) -> None:
        """Take the answers to the test images, at a run's end."""


class Snapshot(NamedTuple):
    """A model's weights on the CPU as they were at an evaluation, for whoever wants its answers meanwhile."""

    step: int
    epoch: float
    weights: dict[str, Tensor]


def take_snapshot(engine: Engine) -> Snapshot:
    weights = {name: values.detach().cpu().clone() for name, values in engine.model.state_dict().items()}
    return Snapshot(engine.step, engine.epoch, weights)
