"""Failures: what stopped a training, in words that help."""

import gc
import math
import traceback
from collections.abc import Sequence

import torch

from history.records import Point

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")


class TrainingFailed(Exception):
    """A run cannot go on; the message says why and what to do about it."""


def check_loss(points: Sequence[Point], learning_rate: float) -> None:
    """Raise TrainingFailed where the last point's loss is NaN or infinite; learning_rate: before the schedule."""
    if points and not math.isfinite(points[-1].loss):
        last, value = points[-1], "NaN" if math.isnan(points[-1].loss) else "infinite"
        raise TrainingFailed(
            f"The loss became {value} at step {last.step} (epoch {last.epoch:.2f}): the updates were too large. "
            f"Start again with a lower learning rate, {learning_rate / 10:g} for example."
        )


def is_out_of_memory(error: Exception) -> bool:
    """Return whether a failure is for want of memory, the GPU's or the computer's."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in text for sign in OUT_OF_MEMORY)


def give_memory_back(error: BaseException) -> None:
    """Let go of what a failed run still holds: the frames of its error, and blocks that PyTorch keeps for later."""
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def explain_failure(error: Exception) -> str:
    """Return what went wrong in words that a student understands, with what to do next."""
    if isinstance(error, TrainingFailed):
        return str(error)
    text = str(error)
    if is_out_of_memory(error):
        return "Out of memory. Start again with a smaller batch size or fewer kernels."
    return f"{type(error).__name__}: {text.strip().splitlines()[0] if text else 'no message'}"
