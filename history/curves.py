"""Curves: as many points as a figure can show, however long a run becomes."""

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence

from history.records import Point, loss_of, rounded
from history.smoothing import Averages, Smoother

MAX_POINTS = 2000  # kept for each model; beyond that the buckets double


def keep_extremes(bucket: Sequence[Point]) -> list[Point]:
    """Return the points of a bucket with the lowest, the highest and the last loss, in order.

    The first loss that is not finite is kept too: it is where a run broke. Never more than four.
    """
    finite = [point for point in bucket if math.isfinite(point.loss)]
    broken = [point for point in bucket if not math.isfinite(point.loss)]
    kept = {*broken[:1], bucket[-1]}
    if finite:
        kept |= {min(finite, key=loss_of), max(finite, key=loss_of)}
    return sorted(kept)


class BoundedCurve:
    """Points of one curve, at most about `limit` however many are appended.

    Steps are grouped in buckets of a power-of-two width, aligned to step 1; of each full bucket
    the lowest, highest and last loss stay. When there are too many points the width doubles, which
    only ever removes points: those that a reader already has stay where they are.

    Over each of `windows`, in images, the curve is smoothed before it is thinned: extremes alone would not average
    to what they were taken from.
    """

    def __init__(self, limit: int = MAX_POINTS, windows: Sequence[int] = ()) -> None:
        self._limit = limit
        self._windows = list(windows)
        self._smoother = Smoother(windows)
        self._averages: dict[int, list[Averages]] = {}  # by step, of all points that are here, in the windows' order
        self._latest: list[Averages] = [(None, None)] * len(windows)
        self._width = 1
        self._points: list[Point] = []
        self._sequence: list[int] = []  # when each point was released to readers, ascending
        self._open: list[Point] = []  # the bucket that is still filling

    def append(self, point: Point, sequence: int) -> None:
        if self._open and self._bucket(point) != self._bucket(self._open[0]):
            self.flush(sequence)
        self._open.append(point)
        if self._windows:
            self._latest = self._averages[point.step] = self._smoother.add(point.epoch, point.loss, point.accuracy)
        if self._width == 1:
            self.flush(sequence)

    def flush(self, sequence: int) -> None:
        """Release the bucket that is still filling: its trainer has stopped, or moved on."""
        if not self._open:
            return
        kept = [Point(*map(rounded, point)) for point in keep_extremes(self._open)]
        if self._windows:
            averages = {point.step: self._averages[point.step] for point in kept}
            for point in self._open:
                del self._averages[point.step]
            self._averages |= {step: [shown(pair) for pair in pairs] for step, pairs in averages.items()}
        self._open = []
        self._points += kept
        self._sequence += [sequence] * len(kept)
        while len(self._points) > self._limit:
            self._double_width()

    def since(self, cursor: int) -> list[Point]:
        return self._points[bisect_right(self._sequence, cursor) :]

    def smoothed(self, points: Sequence[Point], window: int) -> list[Averages]:
        """Return the averages over one of the curve's windows at points that `since` has given. Raises ValueError."""
        place = self._windows.index(window)
        return [self._averages[point.step][place] for point in points]

    def newest(self, window: int) -> Averages:
        """Return the averages over one of the curve's windows at its newest step, shown yet or not."""
        return shown(self._latest[self._windows.index(window)])

    def _bucket(self, point: Point) -> int:
        return (point.step - 1) // self._width

    def _double_width(self) -> None:
        self._width *= 2
        released = dict(zip(self._points, self._sequence, strict=True))
        buckets = itertools.groupby(self._points, key=self._bucket)
        self._points = [point for _, bucket in buckets for point in keep_extremes(list(bucket))]
        self._sequence = [released[point] for point in self._points]
        if self._windows:
            here = [*self._points, *self._open]
            self._averages = {point.step: self._averages[point.step] for point in here}


def shown(averages: Averages) -> Averages:
    """Return averages with five significant digits: a hundredth of a pixel."""
    loss, accuracy = averages
    return averages if loss is None else (float(f"{loss:.5g}"), float(f"{accuracy:.5g}"))


class EpochMeans:
    """Mean loss of each whole epoch, weighted by images: a step's share is how far it brought the epoch."""

    def __init__(self) -> None:
        self.means: list[float] = []  # NaN where steps are missing
        self._sum = 0.0
        self._step, self._epoch = 0, 0.0

    def add(self, point: Point) -> None:
        share = point.epoch - self._epoch if point.step == self._step + 1 else math.nan
        self._sum += share * point.loss
        self._step, self._epoch = point.step, point.epoch
        if point.epoch == int(point.epoch):
            self.means.append(self._sum)
            self._sum = 0.0
