"""MetricsLog: what two trainers have measured, append-only, read by cursor, bounded in size.

Trainers append under a lock that is held for a few microseconds; readers get copies and
never wait for a training step. Safe to call from any thread.
"""

import itertools
import math
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from smoothing import WINDOWS, Averages, Smoother

MAX_POINTS = 2000  # kept for each model; beyond that the buckets double
SMOOTHED = ("smooth_loss", "smooth_accuracy")
RECENT_STEPS = 55_000  # an epoch of single images: the most that are kept of recent losses


class Point(NamedTuple):
    """One training step: loss of its batch, running accuracy (fraction), training seconds so far."""

    step: int
    epoch: float
    seconds: float
    loss: float
    accuracy: float


class Evaluation(NamedTuple):
    """Mean loss and accuracy (fraction) over the validation images after `step` steps.

    train_accuracy is the same over a sample of the training images, also in eval mode, at an epoch's end; else None.
    right_images: which validation images came out right, a bit each in their order, from the highest bit of the first
    byte on; None in histories of versions that did not keep it. It is never part of the JSON.
    """

    step: int
    epoch: float
    seconds: float
    loss: float
    accuracy: float
    train_accuracy: float | None = None
    right_images: bytes | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them: None for NaN and Inf."""
        return finite({name: getattr(self, name) for name in shown_fields(Evaluation)})


class Event(NamedTuple):
    """What happened to a trainer: a new state, or "steered", "forked" or "continued", with the change as `detail`."""

    kind: str
    step: int
    epoch: float
    seconds: float
    detail: str | None = None


class Recent(NamedTuple):
    """The losses of the latest steps up to `step`, every single one, over at most one epoch.

    epoch_means: mean loss of each of the last two whole epochs, weighted by images; NaN where steps are missing.
    """

    step: int
    losses: list[float]
    epoch_means: tuple[float, ...] = ()


class News(NamedTuple):
    """What the store has not been given yet of one model; events with their number in the run."""

    status: "Status"
    points: list[Point]
    evaluations: list[Evaluation]
    events: list[tuple[int, Event]]


@dataclass(frozen=True)
class Status:
    """A trainer's state at one moment; None where a value is not known yet. Seconds exclude pauses."""

    state: str
    error: str | None = None
    config: dict[str, Any] | None = None
    parameters: int | None = None
    precision: str | None = None
    threads: int | None = None
    steps_per_epoch: int | None = None
    total_steps: int | None = None
    plain_loss_from: int | None = None  # losses after this step are plain; None: of an earlier version
    learning_rate: float | None = None  # as set, before the schedule; a run can be steered
    epoch: float = 0.0
    step: int = 0
    elapsed_seconds: float = 0.0
    eta_seconds: float | None = None
    loss: float | None = None
    accuracy: float | None = None
    val_loss: float | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    batches_per_second: float | None = None
    images_per_second: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them: None for NaN and Inf."""
        return finite(vars(self))


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with None in place of NaN and Inf, which JSON does not know."""
    return {name: _finite(value) for name, value in values.items()}


def keep_extremes(bucket: Sequence[Point]) -> list[Point]:
    """Return the points of a bucket with the lowest, the highest and the last loss, in order.

    The first loss that is not finite is kept too: it is where a run broke. Never more than four.
    """
    finite = [point for point in bucket if math.isfinite(point.loss)]
    broken = [point for point in bucket if not math.isfinite(point.loss)]
    kept = {*broken[:1], bucket[-1]}
    if finite:
        kept |= {min(finite, key=_loss), max(finite, key=_loss)}
    return sorted(kept)


def _loss(point: Point) -> float:
    return point.loss


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
        kept = [Point(*map(_round, point)) for point in keep_extremes(self._open)]
        if self._windows:
            averages = {point.step: self._averages[point.step] for point in kept}
            for point in self._open:
                del self._averages[point.step]
            self._averages |= {step: [_shown(pair) for pair in pairs] for step, pairs in averages.items()}
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
        return _shown(self._latest[self._windows.index(window)])

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


def _shown(averages: Averages) -> Averages:
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


@dataclass
class _Series:
    status: Status
    curve: BoundedCurve
    changed: int = 0
    recent: deque[float] = field(default_factory=deque)  # losses of the latest epoch, not thinned
    last_step: int = 0
    epoch_means: EpochMeans = field(default_factory=EpochMeans)
    evaluations: list[Evaluation] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)  # sequence number of each evaluation
    events: list[Event] = field(default_factory=list)
    happened: list[int] = field(default_factory=list)  # sequence number of each event
    taken: int = 0  # sequence number of the latest change that take_news has given out


class MetricsLog:
    """Everything measured in one run, for each model: status, points, evaluations.

    Every change gets the next sequence number; a reader that hands back the last number it
    saw gets what came after. With keep_unsaved=True all points also wait at full resolution
    for take_news, which the store calls.
    """

    def __init__(
        self, models: Iterable[str], *, keep_unsaved: bool = False, base: int = 0, windows: Sequence[int] = WINDOWS
    ) -> None:
        """Begin to count changes at `base`: a log that takes another's place begins above that one's newest.

        `windows`, in images, are those over which `view` can smooth the training curves.
        """
        self.base = base
        self._lock = threading.Lock()
        self._sequence = base
        self._series = {model: _Series(Status("idle"), BoundedCurve(windows=windows)) for model in models}
        self._keep_unsaved = keep_unsaved
        self._unsaved: dict[str, list[Point]] = {model: [] for model in self._series}

    def publish(
        self,
        model: str,
        status: Status,
        points: Sequence[Point] = (),
        evaluations: Sequence[Evaluation] = (),
        events: Sequence[Event] = (),
        *,
        flush: bool = False,
    ) -> None:
        """Replace a model's status and append what came with it, as one change.

        With flush=True a half-filled bucket is released too: no further point is expected soon.
        """
        with self._lock:
            self._sequence += 1
            series = self._series[model]
            series.status, series.changed = status, self._sequence
            for point in points:
                series.curve.append(point, self._sequence)
                series.recent.append(point.loss)
                series.epoch_means.add(point)
                series.last_step = point.step
            while len(series.recent) > min(status.steps_per_epoch or RECENT_STEPS, RECENT_STEPS):
                series.recent.popleft()
            if flush:
                series.curve.flush(self._sequence)
            series.evaluations += evaluations
            series.evaluated += [self._sequence] * len(evaluations)
            series.events += events
            series.happened += [self._sequence] * len(events)
            if self._keep_unsaved:
                self._unsaved[model] += points

    def note(self, model: str, kind: str, detail: str) -> None:
        """Put on record that something has been changed where a model is now."""
        status = self.status(model)
        self.publish(model, status, events=[Event(kind, status.step, status.epoch, status.elapsed_seconds, detail)])

    @property
    def models(self) -> list[str]:
        return list(self._series)

    @property
    def newest(self) -> int:
        """The sequence number of the latest change."""
        return self._sequence

    def status(self, model: str) -> Status:
        with self._lock:
            return self._series[model].status

    def evaluations(self, model: str) -> list[Evaluation]:
        with self._lock:
            return list(self._series[model].evaluations)

    def summary(self, model: str) -> dict[str, Any]:
        """Return a model's JSON-ready status and evaluations, as `view` has them, without its points."""
        with self._lock:
            series = self._series[model]
            status, evaluations = series.status, list(series.evaluations)
        return status.as_json() | {"evaluations": _columns(Evaluation, evaluations)}

    def recent(self, model: str) -> Recent:
        """Return the losses of the last epoch's worth of steps at full resolution, and the last whole epochs' means."""
        with self._lock:
            series = self._series[model]
            return Recent(series.last_step, list(series.recent), tuple(series.epoch_means.means[-2:]))

    def events(self, model: str) -> list[Event]:
        with self._lock:
            return list(self._series[model].events)

    def take_news(self) -> dict[str, News]:
        """Return, of each model that has changed since the last call, all that is new; forget its points."""
        with self._lock:
            news = {}
            for model, series in self._series.items():
                if series.changed > series.taken:
                    points, self._unsaved[model] = self._unsaved[model], []
                    evaluations = series.evaluations[bisect_right(series.evaluated, series.taken) :]
                    first_event = bisect_right(series.happened, series.taken)
                    events = list(enumerate(series.events[first_event:], first_event))
                    news[model] = News(series.status, points, evaluations, events)
                    series.taken = series.changed
            return news

    def view(self, cursor: int = 0, smoothing: int = 0) -> tuple[int, dict[str, dict[str, Any]]]:
        """Return the newest sequence number, and for each model changed since cursor its JSON-ready news.

        Cursor 0 gives everything. With `smoothing`, one of the log's windows in images, each model has `smooth_loss`
        and `smooth_accuracy` of its newest step, and so have its points. Raises ValueError for another window.
        """
        with self._lock:
            newest = self._sequence
            changed = {m: series for m, series in self._series.items() if series.changed > cursor or cursor == 0}
            points = {model: series.curve.since(cursor) for model, series in changed.items()}
            smooth = {
                model: (series.curve.smoothed(points[model], smoothing), series.curve.newest(smoothing))
                for model, series in changed.items()
                if smoothing
            }
            news = {
                model: (
                    series.status,
                    series.evaluations[bisect_right(series.evaluated, cursor) :],
                    series.events[bisect_right(series.happened, cursor) :],
                )
                for model, series in changed.items()
            }
        answer = {
            model: status.as_json()
            | {
                "points": _point_columns(points[model]),
                "evaluations": _columns(Evaluation, evaluations),
                "events": _columns(Event, events),
            }
            for model, (status, evaluations, events) in news.items()
        }
        for model, (averages, latest) in smooth.items():
            answer[model] |= dict(zip(SMOOTHED, latest, strict=True))
            columns = zip(*averages, strict=True) if averages else [()] * len(SMOOTHED)
            answer[model]["points"] |= {name: list(column) for name, column in zip(SMOOTHED, columns, strict=True)}
        return newest, answer


def _point_columns(points: Sequence[Point]) -> dict[str, list[Any]]:
    """Return points, which are rounded as they are kept, as one list a field, None for NaN and Inf."""
    return {
        name: list(column) if math.isfinite(sum(column)) else [_finite(value) for value in column]
        for name, column in _by_field(Point, points)
    }


def _columns(kind: type[NamedTuple], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Return rows as one list a field, rounded to what a chart can show, None for NaN and Inf."""
    return {name: [_finite(_round(value)) for value in column] for name, column in _by_field(kind, rows)}


def _by_field(kind: type[NamedTuple], rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[str, tuple[Any, ...]]]:
    columns = zip(*rows, strict=True) if rows else [()] * len(kind._fields)
    shown = shown_fields(kind)
    return [(name, column) for name, column in zip(kind._fields, columns, strict=True) if name in shown]


def shown_fields(kind: type[NamedTuple]) -> list[str]:
    """Return the fields of a point, an evaluation or an event that are numbers or words, and can be shown."""
    return [name for name in kind._fields if name != "right_images"]


def _round(value: Any) -> Any:
    """Return a number with six significant digits, anything else as it is."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
