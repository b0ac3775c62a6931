"""Models as `/api/metrics` shows them, to be compared."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis import verdict
from config import ModelConfig
from history.log import MetricsLog
from history.records import Evaluation, Point, Recent, Status
from training.cost import describe_model

COSTS = {name: describe_model(ModelConfig()) for name in ("model1", "model2")}
NO_RECENT: dict[str, Recent] = {}


def entrant(
    accuracies: Sequence[float] = (), *, epoch_seconds: float = 10.0, losses: Sequence[float] = (), **news: Any
) -> dict[str, Any]:
    """Return a model as /api/metrics shows it, evaluated at the ends of epochs 1, 2, 3, …"""
    log = MetricsLog(["model1"])
    config = ModelConfig(**news.pop("settings", {}))
    status = Status(
        "running",
        config=config.model_dump(mode="json"),
        parameters=422_026,
        epoch=float(len(accuracies)),
        step=860 * len(accuracies),
        elapsed_seconds=epoch_seconds * len(accuracies),
        steps_per_epoch=860,
    )
    rows = [
        Evaluation(860 * epoch, epoch, epoch_seconds * epoch, loss, accuracy)
        for epoch, (accuracy, loss) in enumerate(
            zip(accuracies, losses or [1 - accuracy for accuracy in accuracies], strict=True), 1
        )
    ]
    log.publish("model1", status, [Point(1, 1 / 860, 0.1, 2.3, 0.1)], rows)
    return log.view()[1]["model1"] | news


def compared(one: dict[str, Any], two: dict[str, Any], axis: str = "epochs", **rest: Any) -> dict[str, Any]:
    models = {"model1": one, "model2": two}
    result = verdict.compare("r1", models, axis, **({"recent": NO_RECENT, "descriptions": COSTS} | rest))
    json.dumps(result, allow_nan=False)
    return result


def bits(*right: Sequence[bool]) -> list[bytes | None]:
    """Return which images each of several evaluations had right as Evaluation keeps it."""
    return [np.packbits(np.array(each)).tobytes() for each in right]


def having_right(count: int, first: int = 0, of: int = 5_000) -> list[bool]:
    """Return answers of which so many are right from image `first` on."""
    return [first <= image < first + count for image in range(of)]


def row(result: dict[str, Any], key: str) -> dict[str, Any]:
    return next(row for row in result["rows"] if row["key"] == key)


def note_ids(result: dict[str, Any]) -> list[str]:
    return [note["id"] for note in result["notes"]]
