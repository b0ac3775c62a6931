"""Checkpoints: what one holds, and one to go on from with other settings."""

import io
import json
import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from config import ModelConfig
from history.checkpoints import WEIGHTS, WHOLE, first_line, told_by

OF_WEIGHTS = ("step", "learning_rate", "schedule", "model")  # what is kept of an engine whose weights are asked alone


class Unreadable(ValueError):
    """A checkpoint is as it was written, and yet none that this version can read."""


class Header(NamedTuple):
    """What a checkpoint tells of itself without its tensors being read."""

    step: int  # after how many steps it was taken
    learning_rate: float | None  # before the schedule, that it goes on with; None for that of the settings
    schedule: str | None  # under which that holds; None of one that earlier versions wrote

    @classmethod
    def of_engine(cls, state: Mapping[str, Any]) -> "Header":
        return cls(state["step"], state.get("learning_rate"), state.get("schedule"))

    def peak_under(self, config: ModelConfig) -> float:
        """Return the learning rate, before the schedule, with which a model of these settings goes on.

        The checkpoint's own holds under its own schedule alone: a model that has left that has the one of its settings.
        """
        if self.learning_rate is None or self.schedule not in (None, config.schedule):
            return config.learning_rate
        return self.learning_rate


def write_checkpoint(state: Mapping[str, Any]) -> bytes:
    """Return a checkpoint of a trainer's state: numbers, texts, tensors, and lists and dictionaries of these.

    It is its header, as a line of JSON, and behind that the state as `torch.save` writes it.
    """
    file = io.BytesIO()
    file.write(first_line(Header.of_engine(state["engine"]), state.get("kept", WHOLE)))
    torch.save(state, file)
    return file.getvalue()


def read_checkpoint(checkpoint: bytes, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return what `write_checkpoint` was given, its tensors on a device; runs no code that a file may hold."""
    file = io.BytesIO(checkpoint)
    if _has_header(checkpoint):
        file = io.BytesIO(memoryview(checkpoint)[checkpoint.index(b"\n") + 1 :])
    state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    return state


def header_of(checkpoint: bytes) -> Header:
    """Return a checkpoint's header; of one that earlier versions wrote, what it would say."""
    if not _has_header(checkpoint):
        return Header.of_engine(read_checkpoint(checkpoint)["engine"])
    step, learning_rate, schedule, *_ = json.loads(checkpoint[: checkpoint.index(b"\n")])
    return Header(step, learning_rate, schedule if isinstance(schedule, str) else None)  # a rate stood there once


def _has_header(checkpoint: bytes) -> bool:
    return checkpoint[:1] == b"["


def fork_checkpoint(checkpoint: bytes, changed: str) -> bytes:
    """Return a checkpoint for a copy of its model that goes on with one setting changed.

    Another optimizer has no use for the memory of the old one; a changed learning rate or schedule has none for the
    rate before.
    """
    state = read_checkpoint(checkpoint)
    if changed == "optimizer":
        state["engine"].pop("optimizer", None)
    if changed in ("learning_rate", "schedule"):
        state["engine"].pop("learning_rate", None)
    return write_checkpoint(state)


def with_schedule(checkpoint: bytes, schedule: str) -> bytes:
    """Return a checkpoint that tells under which schedule its learning rate holds: earlier versions' do not."""
    state = read_checkpoint(checkpoint)
    state["engine"]["schedule"] = schedule
    return write_checkpoint(state)


def reduce_to_weights(checkpoint: bytes) -> bytes:
    """Return what is needed of a checkpoint to ask its model, and not to go on from it; its first line says so.

    One that is reduced already stays as it is. Raises Unreadable.
    """
    if told_by(checkpoint).kept == WEIGHTS:
        return checkpoint
    try:
        engine = read_checkpoint(checkpoint)["engine"]
        kept = {name: engine[name] for name in OF_WEIGHTS if name in engine}
        return write_checkpoint({"engine": kept, "kept": WEIGHTS})
    except (RuntimeError, pickle.UnpicklingError, EOFError, LookupError, ValueError) as error:
        raise Unreadable(str(error).partition("\n")[0] or type(error).__name__) from error


def read_weights(checkpoint: bytes) -> tuple[int, dict[str, Tensor]]:
    """Return after how many steps a checkpoint was taken, and its weights."""
    engine = read_checkpoint(checkpoint)["engine"]
    return engine["step"], engine["model"]
