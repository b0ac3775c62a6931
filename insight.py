"""Insight: what stood inside a model at one evaluation: its first filters, and how each layer fared.

Taken by the engine, kept by the store, drawn by the page. No torch here.
"""

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_FILTERS = 64  # of the first layer are kept: more do not fit a screen
MOST_MAPS = 16  # of a layer's maps are shown
FIGURES = ("gradient_norm", "weight_norm", "dead_share")


class Layer(NamedTuple):
    """One layer at one evaluation.

    gradient_norm: Euclidean norm of the loss's gradient for the layer's weights, of the latest whole batch (an epoch's
    last one is smaller as a rule); weight_norm: that of the weights; dead_share: share of its units (kernels of a
    convolution) that stay 0 after ReLU for every one of some validation images, None for the output, which has no ReLU.
    """

    gradient_norm: float
    weight_norm: float
    dead_share: float | None


class Filters(NamedTuple):
    """A layer's kernels, at most MOST_FILTERS of all `kernels`: int8 (shown, side, side), 127 being `scale`."""

    kernels: int
    side: int
    scale: float
    weights: bytes

    @property
    def shown(self) -> int:
        return len(self.weights) // self.side**2


class Insight(NamedTuple):
    """What one model looked like inside after so many steps."""

    step: int
    epoch: float
    layers: dict[str, Layer]
    filters: Filters


def take_filters(weights: NDArray[Any]) -> Filters:
    """Return the first filters of weights (kernels, side, side)."""
    scale = float(np.abs(weights).max()) or 1.0
    shown = np.rint(weights[:MOST_FILTERS] / scale * 127).astype(np.int8)
    return Filters(len(weights), weights.shape[1], scale, shown.tobytes())


def as_columns(insights: Sequence[Insight]) -> dict[str, Any]:
    """Return all insights of a run as `/api/inside` answers: one list a layer and figure."""
    if not insights:
        return {"layers": [], "step": [], "epoch": []} | {figure: {} for figure in FIGURES} | {"filters": None}
    names, filters = list(insights[-1].layers), insights[-1].filters

    def series(figure: str) -> dict[str, list[float | None]]:
        return {name: [_shorten(getattr(each.layers[name], figure)) for each in insights] for name in names}

    dead = {name: values for name, values in series("dead_share").items() if any(value is not None for value in values)}
    return {
        "layers": names,
        "step": [each.step for each in insights],
        "epoch": [each.epoch for each in insights],
        "gradient_norm": series("gradient_norm"),
        "weight_norm": series("weight_norm"),
        "dead_share": dead,
        "filters": {"count": filters.kernels, "shown": filters.shown, "side": filters.side},
    }


def _shorten(value: float | None) -> float | None:
    """Return a value with as many digits as a chart can show."""
    return None if value is None else float(f"{value:.5g}")


def as_answer(insight: Insight) -> dict[str, Any]:
    """Return an insight's filters as `/api/filters` answers."""
    filters = insight.filters
    return {
        "step": insight.step,
        "epoch": insight.epoch,
        "shown": filters.shown,
        "side": filters.side,
        "scale": filters.scale,
        "weights": base64.b64encode(filters.weights).decode(),
    }


def as_maps(name: str, maps: NDArray[Any]) -> dict[str, Any]:
    """Return a layer's maps (kernels, side, side), or its units (units,), in bytes, 255 being the largest value."""
    is_map = maps.ndim == 3
    shown = maps[:MOST_MAPS] if is_map else maps
    largest = float(maps.max(initial=0.0))
    levels = np.rint(np.clip(shown, 0, None) / (largest or 1.0) * 255).astype(np.uint8)
    return {
        "name": name,
        "count": len(maps),
        "shown": len(shown),
        "side": maps.shape[1] if is_map else 1,
        "largest": largest,
        "maps": base64.b64encode(levels.tobytes()).decode(),
    }
