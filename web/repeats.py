"""Repeats: a series as the page shows it."""

from collections.abc import Callable, Mapping
from typing import Any

from analysis.repeats import Curve, mean_curves, pairs_and_result
from config import MODEL_NAMES


def describe(series: Mapping[str, Any], evaluations: Callable[[str], Mapping[str, Curve]]) -> dict[str, Any]:
    """Return a series as `/api/repeats` answers it; series: as the store has it; evaluations(run): of its models."""
    pairs, found = pairs_and_result(series)
    curves = [evaluations(pair["run"]) for pair in pairs if pair["delta"] is not None]
    return {
        "series": series["id"],
        "state": series["state"],
        "started": series["started"],
        "wanted": len(pairs),
        "configs": series["plan"]["configs"],
        "pairs": pairs,
        "curves": {model: mean_curves([curve[model] for curve in curves]) for model in MODEL_NAMES},
        "result": found,
    }


NO_SERIES: dict[str, Any] = {
    "series": None, "state": None, "started": None, "wanted": 0, "configs": None, "pairs": [], "result": None,
    "curves": {model: {"epoch": [], "mean": [], "low": [], "high": []} for model in MODEL_NAMES},
}  # fmt: skip
