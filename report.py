"""What leaves the app: the curves as a picture, the metrics as JSON or CSV, the outcome as a table."""

import csv
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import ModelConfig, differing_fields
from measures import SMOOTHING_IMAGES
from metrics import BoundedCurve, Evaluation, Point, Status, finite

COLOURS = {"model1": "#0072B2", "model2": "#D55E00"}
MARKERS = {"model1": "o", "model2": "D"}
METRIC_FORMATS = (".json", ".csv")
PICTURE_FORMATS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class ModelRecord:
    """All that was measured of one model, at full resolution."""

    status: Status
    points: list[Point]
    evaluations: list[Evaluation]


Records = Mapping[str, ModelRecord]


def write_metrics(records: Records, path: Path) -> None:
    """Write every step and evaluation to a .json or .csv file; the file is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".json":
            json.dump({name: _as_json(record) for name, record in records.items()}, file, allow_nan=False)
        else:
            rows = csv.writer(file)
            rows.writerow(["model", "split", *Point._fields])
            for name, record in records.items():
                rows.writerows([name, "training", *point] for point in record.points)
                rows.writerows(
                    [name, "validation", *evaluation[: len(Point._fields)]] for evaluation in record.evaluations
                )
    os.replace(partial, path)


def _as_json(record: ModelRecord) -> dict[str, Any]:
    return record.status.as_json() | {
        "points": [finite(point._asdict()) for point in record.points],
        "evaluations": [evaluation.as_json() for evaluation in record.evaluations],
    }


def plot_curves(records: Records, path: Path) -> None:
    """Draw loss above accuracy of all models against fractional epochs, by matplotlib, into a file.

    Training curves are smoothed over SMOOTHING_IMAGES images, as the page does, over the losses of single batches.
    """
    from matplotlib.figure import Figure  # 0.5 s to import, and no window is ever opened

    figure = Figure(figsize=(9, 7), layout="constrained")
    loss_axes, accuracy_axes = figure.subplots(2, sharex=True)
    for name, record in records.items():
        colour, curve = COLOURS[name], BoundedCurve(windows=(SMOOTHING_IMAGES,))
        for point in record.points:
            curve.append(point, 0)
        curve.flush(0)
        points, evaluations = curve.since(-1), record.evaluations
        epochs, averages = [point.epoch for point in points], curve.smoothed(points, SMOOTHING_IMAGES)
        loss_axes.plot(epochs, [point.loss for point in points], color=colour, linewidth=0.5, alpha=0.15)
        for place, (axes, quantity) in enumerate(((loss_axes, "loss"), (accuracy_axes, "accuracy"))):
            smoothed = [math.nan if pair[place] is None else pair[place] for pair in averages]
            axes.plot(epochs, smoothed, color=colour, linewidth=1.2, label=f"{name} training")
            axes.plot(
                [evaluation.epoch for evaluation in evaluations],
                [getattr(evaluation, quantity) for evaluation in evaluations],
                color=colour, linestyle="--", marker=MARKERS[name], label=f"{name} validation",
            )  # fmt: skip
    loss_axes.set_ylabel("Loss (cross-entropy)")
    accuracy_axes.set_ylabel("Accuracy")
    accuracy_axes.set_xlabel("Epoch")
    for axes in (loss_axes, accuracy_axes):
        axes.grid(alpha=0.3)
    loss_axes.legend()
    figure.savefig(path, dpi=120)


def comparison_table(records: Records) -> str:
    """Return the outcome of all models side by side as text, with the settings that differ."""
    configs = [ModelConfig(**(record.status.config or {})) for record in records.values()]
    rows = [("", *records)]
    for field in differing_fields(configs[0], configs[-1]):
        rows.append((field, *(str(config.model_dump(mode="json")[field]) for config in configs)))
    for title, attribute, form in (
        ("state", "state", "{}"),
        ("parameters", "parameters", "{:,}"),
        ("epochs trained", "epoch", "{:.2f}"),
        ("training loss, last batch", "loss", "{:.4f}"),
        ("training accuracy, running", "accuracy", "{:.2%}"),
        ("validation loss", "val_loss", "{:.4f}"),
        ("validation accuracy", "val_accuracy", "{:.2%}"),
        ("test accuracy", "test_accuracy", "{:.2%}"),
        ("training time (s)", "elapsed_seconds", "{:.1f}"),
        ("batches/s", "batches_per_second", "{:.1f}"),
        ("images/s", "images_per_second", "{:,.0f}"),
    ):
        values = [getattr(record.status, attribute) for record in records.values()]
        rows.append((title, *("–" if value is None else form.format(value) for value in values)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{title:<{widths[0]}}  "
        + "  ".join(f"{value:>{width}}" for value, width in zip(values, widths[1:], strict=True))
        for title, *values in rows
    ]
    return "\n".join(lines)
