"""Checkpoints: what one holds, and one to go on from with other settings."""

import io

import torch
from torch import Tensor

from config import ModelConfig
from training.engine import scheduled_learning_rate


def checkpoint_step(checkpoint: bytes) -> int:
    """Return after how many steps a checkpoint was taken."""
    return int(torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)["engine"]["step"])


def checkpoint_rate(checkpoint: bytes) -> float | None:
    """Return the learning rate, before the schedule, that a checkpoint goes on with; None for that of the settings."""
    engine = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)["engine"]
    rate: float | None = engine.get("learning_rate")
    return rate


def last_learning_rate(checkpoint: bytes) -> float:
    """Return the rate at which the step before a checkpoint was taken, by whatever schedule."""
    state = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)["engine"]
    return float(state["optimizer"]["param_groups"][0]["lr"])


def next_learning_rate(config: ModelConfig, step: int, steps_per_epoch: int, peak: float) -> float:
    """Return the rate at which a model takes the step after so many, by its schedule."""
    return scheduled_learning_rate(config, step, steps_per_epoch * config.epochs, peak)


def fork_checkpoint(checkpoint: bytes, changed: str) -> bytes:
    """Return a checkpoint for a copy of its model that goes on with one setting changed.

    Another optimizer has no use for the memory of the old one, and a changed learning rate none for the rate before.
    """
    state = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)
    if changed in ("optimizer", "learning_rate"):
        state["engine"].pop(changed, None)
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def read_weights(checkpoint: bytes) -> tuple[int, dict[str, Tensor]]:
    """Return after how many steps a checkpoint was taken, and its weights."""
    state = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)["engine"]
    return state["step"], state["model"]
