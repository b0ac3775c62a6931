"""Checkpoints: what one holds, and one to go on from with other settings."""

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from config import ModelConfig
from training.schedule import scheduled_learning_rate


def write_checkpoint(state: Mapping[str, Any]) -> bytes:
    """Return a checkpoint of numbers, texts, tensors, and lists and dictionaries of these."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def read_checkpoint(checkpoint: bytes, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return what `write_checkpoint` was given, its tensors on a device; runs no code that a file may hold."""
    state: dict[str, Any] = torch.load(io.BytesIO(checkpoint), map_location=device, weights_only=True)
    return state


def checkpoint_step(checkpoint: bytes) -> int:
    """Return after how many steps a checkpoint was taken."""
    return int(read_checkpoint(checkpoint)["engine"]["step"])


def checkpoint_rate(checkpoint: bytes) -> float | None:
    """Return the learning rate, before the schedule, that a checkpoint goes on with; None for that of the settings."""
    rate: float | None = read_checkpoint(checkpoint)["engine"].get("learning_rate")
    return rate


def last_learning_rate(checkpoint: bytes) -> float:
    """Return the rate at which the step before a checkpoint was taken, by whatever schedule."""
    return float(read_checkpoint(checkpoint)["engine"]["optimizer"]["param_groups"][0]["lr"])


def next_learning_rate(config: ModelConfig, step: int, steps_per_epoch: int, peak: float) -> float:
    """Return the rate at which a model takes the step after so many, by its schedule."""
    return scheduled_learning_rate(config, step, steps_per_epoch * config.epochs, peak)


def fork_checkpoint(checkpoint: bytes, changed: str) -> bytes:
    """Return a checkpoint for a copy of its model that goes on with one setting changed.

    Another optimizer has no use for the memory of the old one, and a changed learning rate none for the rate before.
    """
    state = read_checkpoint(checkpoint)
    if changed in ("optimizer", "learning_rate"):
        state["engine"].pop(changed, None)
    return write_checkpoint(state)


def read_weights(checkpoint: bytes) -> tuple[int, dict[str, Tensor]]:
    """Return after how many steps a checkpoint was taken, and its weights."""
    engine = read_checkpoint(checkpoint)["engine"]
    return engine["step"], engine["model"]
