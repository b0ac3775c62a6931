"""MetricsLog: what the trainers of a run have measured, append-only, read by cursor, bounded in size.

Trainers append under a lock that is held for a few microseconds; readers get copies and
never wait for a training step. Safe to call from any thread.
"""

import math
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from config import DEFAULTS, MODEL_NAMES
from data import TRAINING_IMAGES
from history.curves import BoundedCurve, EpochMeans
from history.events import event_at
from history.records import Evaluation, Event, News, Point, Recent, Status, finite_or_none, rounded, shown_fields
from history.smoothing import WINDOWS

SMOOTHED = ("smooth_loss", "smooth_accuracy")
RECENT_STEPS = TRAINING_IMAGES  # an epoch of single images: the most that are kept of recent losses


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

    def advance(self) -> int:
        """Count a change that is of no model; return its number."""
        with self._lock:
            self._sequence += 1
            return self._sequence

    def note(self, model: str, kind: str, detail: str, **changes: Any) -> None:
        """Put on record that something has been changed where a model is now, and these fields of its status."""
        status = replace(self.status(model), **changes)
        self.publish(model, status, events=[event_at(status, kind, detail)])

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
        name: list(column) if math.isfinite(sum(column)) else [finite_or_none(value) for value in column]
        for name, column in _by_field(Point, points)
    }


def _columns(kind: type[NamedTuple], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Return rows as one list a field, rounded to what a chart can show, None for NaN and Inf."""
    return {name: [finite_or_none(rounded(value)) for value in column] for name, column in _by_field(kind, rows)}


def _by_field(kind: type[NamedTuple], rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[str, tuple[Any, ...]]]:
    columns = zip(*rows, strict=True) if rows else [()] * len(kind._fields)
    shown = shown_fields(kind)
    return [(name, column) for name, column in zip(kind._fields, columns, strict=True) if name in shown]


class Latest(NamedTuple):
    """The latest run, replaced whole: its id, None before the first, its log, and what its models have in common."""

    run: str | None
    metrics: MetricsLog
    paired: dict[str, Any] | None


def no_run(base: int = 0) -> Latest:
    """Return what stands in the place of the latest run where there is none; `base` as MetricsLog has it."""
    metrics = MetricsLog(MODEL_NAMES, base=base)
    for name in MODEL_NAMES:
        metrics.publish(name, Status("idle", config=DEFAULTS.model_dump(mode="json")))
    return Latest(None, metrics, None)
