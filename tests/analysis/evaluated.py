"""Evaluations and models in the form of /api/metrics, for figures worked out by hand."""

import math
from collections.abc import Sequence
from typing import Any

from config import ModelConfig
from data import Batches
from history.records import known
from history.smoothing import SMOOTHING_IMAGES

NAN = math.nan
CONFIG = ModelConfig().model_dump(mode="json")


def evaluations(
    accuracies: Sequence[float | None], epochs: Sequence[float] | None = None, **columns: Any
) -> dict[str, Any]:
    """Return evaluations at the ends of epochs 1, 2, 3, …, 10 seconds apart, in the form of /api/metrics."""
    epochs = list(range(1, len(accuracies) + 1)) if epochs is None else epochs
    return {
        "step": [round(860 * epoch) for epoch in epochs],
        "epoch": list(epochs),
        "seconds": [10.0 * epoch for epoch in epochs],
        "loss": [0.5] * len(epochs),
        "accuracy": list(accuracies),
    } | columns


def model(accuracies: Sequence[float | None] = (), **news: Any) -> dict[str, Any]:
    known = {
        "state": "running",
        "error": None,
        "config": CONFIG,
        "epoch": 1.0,
        "accuracy": None,
        "val_accuracy": accuracies[-1] if accuracies else None,
        "evaluations": evaluations(accuracies),
    }
    return known | news


def configured(**settings: Any) -> dict[str, Any]:
    return CONFIG | settings


def cut(size: int, images: int = 55_000) -> Batches:
    return Batches(images, size)


def smooth(
    values: Sequence[float], images_per_value: float, window_images: float = SMOOTHING_IMAGES
) -> list[float | None]:
    """Return the debiased exponential moving average of values, by images rather than by steps.

    mₜ = β mₜ₋₁ + (1−β) Lₜ with β = exp(−images per value / window), and m̂ₜ = mₜ / (1−βᵗ), as in
    TensorBoard's data_transformer and Adam (Kingma & Ba 2015, arXiv 1412.6980). Two batch sizes
    are smoothed alike. A value that is not finite gives None and leaves the average as it was.
    """
    decay = math.exp(-images_per_value / window_images)
    average, weight = 0.0, 0.0
    smoothed: list[float | None] = []
    for value in values:
        if not known(value):
            smoothed.append(None)
            continue
        average = decay * average + (1 - decay) * value
        weight = decay * weight + (1 - decay)
        smoothed.append(average / weight)
    return smoothed
