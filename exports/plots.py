"""Plots: the curves as a picture."""

import math
from pathlib import Path

from exports.records import Records
from history.curves import BoundedCurve
from history.smoothing import SMOOTHING_IMAGES

COLOURS = {"model1": "#0072B2", "model2": "#D55E00"}
MARKERS = {"model1": "o", "model2": "D"}
PICTURE_FORMATS = (".png", ".svg", ".pdf")


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
