"""Measures: the formulas behind the figures that compare models.

Pure functions over plain numbers and over models in the form of `/api/metrics`; nothing here waits,
remembers or imports torch. Each docstring gives the formula and where it comes from. Figures from
the loss of single batches (instability, spikes, loss reduction rate) want the plain cross-entropy
at full resolution, as MetricsLog.recent has it: points thinned to the lowest, highest and last of
each bucket would make every curve look rougher than it was.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import mul
from statistics import fmean, median
from typing import NamedTuple

from data import Batches
from history.records import Columns, known
from history.smoothing import SMOOTHING_IMAGES

AXES = ("epochs", "seconds", "images", "flops")
TARGETS = (0.80, 0.85, 0.88, 0.90, 0.92)  # validation accuracies worth reaching
CONVERGENCE = TARGETS[1]  # the one whose time stands in the table
SMALLEST_BLOCK = 32  # images: an epoch is then at most 1,719 blocks
FEWEST_BLOCKS_PER_EPOCH = 20  # or no common multiple of two batch sizes is worth averaging over
FEWEST_BLOCKS = 5  # fewer say nothing about a course
SPIKE_SIGMAS = 4
SPIKE_WARM_UP = 20  # blocks before the spread is known well enough to call one a spike
SHORTEST_COURSE = 0.5  # epochs that a rate is measured over at least
IMPROVEMENT = 0.001  # a tenth of a point of validation accuracy
PLATEAU_EPOCHS = 3


class Blocks(NamedTuple):
    """Mean losses of consecutive groups of `steps` steps, `images` images each; epochs at each group's end."""

    loss: list[float]
    epoch: list[float]
    steps: int
    images: int


# Where on the axis, and who is ahead there
def positions(evaluations: Columns, axis: str, images_per_epoch: int, flops_per_image: float | None) -> list[float]:
    """Return where on an axis the evaluations lie; nothing where FLOPs are asked for and not known.

    images = epochs × training images; FLOPs = images × training FLOPs of an image.
    """
    if axis == "seconds":
        return list(evaluations["seconds"])
    if axis == "epochs":
        return list(evaluations["epoch"])
    images = [float(round(epoch * images_per_epoch)) for epoch in evaluations["epoch"]]
    if axis == "images":
        return images
    return [count * flops_per_image for count in images] if flops_per_image else []


def interpolate(xs: Sequence[float], ys: Sequence[float | None], x: float) -> float | None:
    """Return the height of a curve at x, by a straight line between the points around it.

    None outside the points: nothing is extrapolated. Points without a finite height are left out.
    """
    points = [(at, y) for at, y in zip(xs, ys, strict=True) if y is not None and math.isfinite(y)]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= x <= x1 and x1 > x0:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return next((y for at, y in points if at == x), None)


def at_equal_position(
    xs1: Sequence[float], ys1: Sequence[float | None], xs2: Sequence[float], ys2: Sequence[float | None]
) -> tuple[float, float, float] | None:
    """Return the largest x that both curves have reached, and the heights of both there.

    None while the curves share no x: before either's first point, or where one ends before the other begins.
    """
    reached = [
        [x for x, y in zip(xs, ys, strict=True) if y is not None and math.isfinite(y)]
        for xs, ys in ((xs1, ys1), (xs2, ys2))
    ]
    if not all(reached):
        return None
    x = min(each[-1] for each in reached)
    y1, y2 = interpolate(xs1, ys1, x), interpolate(xs2, ys2, x)
    return None if y1 is None or y2 is None else (x, y1, y2)


def time_to_accuracy(evaluations: Columns, target: float) -> int | None:
    """Return which evaluation was the first with an accuracy of at least `target`; None where none was.

    T(τ), the time-to-accuracy of DAWNBench (arXiv 1806.01427) and of the MLPerf training rules. Not
    interpolated: the accuracy is known only where it was measured, so T is late by up to an interval.
    """
    accuracies = evaluations["accuracy"]
    return next((i for i, accuracy in enumerate(accuracies) if known(accuracy) and accuracy >= target), None)


def evaluation_interval(evaluations: Columns, index: int = -1) -> float | None:
    """Return how many epochs lie between an evaluation and the one before it (the start, for the first)."""
    epochs = evaluations["epoch"]
    intervals = [end - start for start, end in zip([0.0, *epochs], epochs, strict=False)]
    return intervals[index] if intervals else None


# The course of the loss
def block_images(one: Batches, two: Batches) -> int | None:
    """Return over how many images to average two models' losses: a multiple of both batch sizes; None where too large.

    Averages over unequal numbers of images do not compare: the larger number is quieter in itself.
    """
    common = math.lcm(one.size, two.size)
    images = common * math.ceil(SMALLEST_BLOCK / common)
    largest = max(one.size, two.size, min(one.images, two.images) // FEWEST_BLOCKS_PER_EPOCH)
    return images if images <= max(largest, SMALLEST_BLOCK) else None


def average_blocks(losses: Sequence[float], last_step: int, batches: Batches, images: int) -> Blocks:
    """Return the mean loss of every block of `images` images; losses are those of the steps up to `last_step`.

    Where that is no multiple of the batch size, of as many whole batches as come nearest. Blocks are counted from
    each epoch's first step, so that two models' blocks lie alike, and a block stays the same as more steps come. What
    an epoch has left, its smaller last batch with it, is in no block, nor is a loss that is not finite.
    """
    whole_steps = batches.whole_steps
    steps = max(1, min(round(images / batches.size), whole_steps))
    before = last_step - len(losses)  # steps whose losses are gone
    means, epochs = [], []
    for first in range(before // batches.steps * batches.steps, last_step, batches.steps):  # steps before an epoch
        seen = batches.seen(first)
        for start in range(first, min(first + whole_steps, last_step) - steps + 1, steps):
            mean = sum(losses[start - before : start - before + steps]) / steps if start >= before else math.nan
            if math.isfinite(mean):
                means.append(mean)
                epochs.append((seen + (start + steps - first) * batches.size) / batches.images)
    return Blocks(means, epochs, steps, steps * batches.size)


def loss_reduction_rate(epoch_means: Sequence[float]) -> float | None:
    """Return how steeply the training loss falls, per epoch: r = ln(mean of the last epoch but one / of the last).

    Ours. epoch_means: mean plain cross-entropy of whole epochs, weighted by images. Whole ones, since the loss tends to
    rise within an epoch and to fall at its border: a slope inside one has no meaning. Negative while
    the loss rises; None before two epochs are complete.
    """
    return _log_ratio(*epoch_means[-2:]) if len(epoch_means) >= 2 else None


def early_loss_reduction_rate(losses: Sequence[float], last_step: int, batches: Batches) -> float | None:
    """Return r before two epochs are complete: ln(m₃ / m₄) ÷ a quarter's length in epochs; None before half an epoch.

    m₃ and m₄ are the means of the third and the last quarter of the images seen so far; a batch that lies across a
    border counts in part. Ours: the loss falls fast at first, so this says little of what follows.
    """
    length = batches.epoch(last_step) / 4  # epochs
    if not SHORTEST_COURSE / 4 <= length < 2 / 4:
        return None
    first_step = last_step - len(losses) + 1
    counts = batches.counts(first_step, last_step)
    seen = list(accumulate(counts, initial=batches.seen(first_step - 1)))
    total = list(accumulate(map(mul, losses, counts), initial=0.0))

    def total_at(images: float) -> float:
        place = max(1, bisect_left(seen, images))
        share = (images - seen[place - 1]) / (seen[place] - seen[place - 1])
        return total[place - 1] + share * (total[place] - total[place - 1])

    if seen[0] > seen[-1] / 2:  # some are missing
        return None
    half, three_quarters, whole = (total_at(seen[-1] * quarters / 4) for quarters in (2, 3, 4))
    rate = _log_ratio(three_quarters - half, whole - three_quarters)
    return None if rate is None else rate / length


def _log_ratio(before: float, after: float) -> float | None:
    return math.log(before / after) if 0 < before < math.inf and 0 < after < math.inf else None


def half_life(rate: float | None) -> float | None:
    """Return after how many epochs the loss is halved at a rate: ln 2 / r. None unless it falls."""
    return math.log(2) / rate if rate is not None and rate > 0 else None


def instability(losses: Sequence[float]) -> float | None:
    """Return S = standard deviation of the loss's first differences / mean loss: 0 is perfectly steady.

    Ours: there is no accepted standard. Differences, so that a steady fall counts as steady; divided
    by the mean, so that a low loss is not called stable for being low. Average over equal numbers of
    images first (average_blocks): a larger batch is quieter in itself. None for too few losses.
    """
    if len(losses) < FEWEST_BLOCKS:
        return None
    mean = fmean(losses)
    steps = [after - before for before, after in pairwise(losses)]
    centre = fmean(steps)
    return math.sqrt(fmean((step - centre) ** 2 for step in steps)) / mean if mean > 0 else None


def spikes_per_thousand(losses: Sequence[float], images_per_loss: int) -> float | None:
    """Return how many losses in a thousand stand more than 4σ above the moving average before them.

    Average and σ² are debiased moving averages (see history.smoothing.Smoother) of the losses and of their squared
    distances from the average before each. Ours, in the manner of a control chart with
    exponential weights (Roberts 1959). None before the spread is known, 20 losses in.
    """
    if len(losses) <= SPIKE_WARM_UP:
        return None
    decay = math.exp(-images_per_loss / max(SMOOTHING_IMAGES, SPIKE_WARM_UP * images_per_loss))
    average = variance = weight = 0.0  # the variance has one value fewer behind it than the average
    variance_weight = 0.0
    spikes = 0
    for index, loss in enumerate(losses):
        if index:
            distance = loss - average / weight
            if index >= SPIKE_WARM_UP:
                spikes += distance > SPIKE_SIGMAS * math.sqrt(variance / variance_weight)
            variance = decay * variance + (1 - decay) * distance**2
            variance_weight = decay * variance_weight + (1 - decay)
        average = decay * average + (1 - decay) * loss
        weight = decay * weight + (1 - decay)
    return 1000 * spikes / (len(losses) - SPIKE_WARM_UP)


# The course of the validation accuracy
def drawdown(evaluations: Columns) -> float | None:
    """Return how far the accuracy is below its best so far, as a fraction: best − current. Ours."""
    accuracies = [accuracy for accuracy in evaluations["accuracy"] if known(accuracy)]
    return max(accuracies) - accuracies[-1] if accuracies else None


def epochs_without_improvement(evaluations: Columns) -> float | None:
    """Return for how many epochs the accuracy has not risen by more than 0.1 point: from 3 on, a plateau.

    The rule of early stopping, as in Keras' EarlyStopping(min_delta=0.001, patience=3), on running
    medians of three (Tukey 1977), which hide a single stray value and lag behind no steady rise.
    """
    pairs = zip(evaluations["epoch"], evaluations["accuracy"], strict=True)
    points = [(epoch, accuracy) for epoch, accuracy in pairs if known(accuracy)]
    if not points:
        return None
    accuracies = [accuracy for _, accuracy in points]
    smoothed = [
        accuracies[0],
        *(median(accuracies[i : i + 3]) for i in range(len(accuracies) - 2)),
        *accuracies[1:][-1:],
    ]
    best, since = -math.inf, 0.0
    for (epoch, _), accuracy in zip(points, smoothed, strict=True):
        if accuracy > best + IMPROVEMENT:
            best, since = accuracy, epoch
    return points[-1][0] - since


def overfitting(evaluations: Columns) -> float | None:
    """Return training accuracy − validation accuracy, both in eval mode, where last both were measured.

    Not from the running training accuracy: dropout and augmentation depress it, and it lags behind.
    """
    training = evaluations.get("train_accuracy") or [None] * len(evaluations["accuracy"])
    pairs = zip(training, evaluations["accuracy"], strict=True)
    gaps = [train - validation for train, validation in pairs if known(train) and known(validation)]
    return gaps[-1] if gaps else None
