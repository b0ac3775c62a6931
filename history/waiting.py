"""What waits for the disk: handed over by those who train, taken by the writer, and seen by readers until then."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from config import ModelConfig
from history.log import MetricsLog
from history.records import Insight, News, Predictions, Status

Place = tuple[str, str]  # run and model


@dataclass
class Recording:
    """A run that is being saved, and what of it waits for the disk."""

    run: str
    metrics: MetricsLog
    configs: dict[str, ModelConfig]
    environment: str
    series: str | None
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    entered: bool = False
    unsaved: dict[str, News] = field(default_factory=dict)

    def take_news(self) -> None:
        for model, news in self.metrics.take_news().items():
            self.unsaved[model] = joined(self.unsaved.get(model), news)

    def forget(self, written: Mapping[str, News]) -> None:
        """Take out what has been written, but not what has come since."""
        self.entered = True
        for model, old in written.items():
            now = self.unsaved.pop(model)
            if now is not old:
                self.unsaved[model] = News(
                    now.status,
                    now.points[len(old.points) :],
                    now.evaluations[len(old.evaluations) :],
                    now.events[len(old.events) :],
                )

    @property
    def is_saved(self) -> bool:
        return self.entered and not self.unsaved


def joined(old: News | None, new: News) -> News:
    """Return two pieces of news of one model as one."""
    if old is None:
        return new
    return News(new.status, old.points + new.points, old.evaluations + new.evaluations, old.events + new.events)


class Batch(NamedTuple):
    """What is written in one transaction: of each recording what is new, and what evaluations have shown."""

    recordings: list[tuple[Recording, dict[str, News]]]
    insights: dict[tuple[str, str, int], Insight]  # by run, model and step
    predictions: dict[tuple[str, str, str], Predictions]  # by run, model and split
    file: int  # for which of the files that there have been it was taken

    @property
    def is_empty(self) -> bool:
        entered = all(recording.entered and not news for recording, news in self.recordings)
        return entered and not self.insights and not self.predictions


class Waiting:
    """What has been handed over and is not on the disk. Safe to call from any thread; nobody waits for the disk."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the last to be taken, and never held while the disk is busy
        self._file = 0  # how often the history's file has become another
        self._recordings: list[Recording] = []  # those not wholly saved yet, and the latest
        self._checkpoints: dict[Place, bytes] = {}
        self._damaged: set[Place] = set()  # whose checkpoint's file is to be set aside
        self._insights: dict[tuple[str, str, int], Insight] = {}
        self._predictions: dict[tuple[str, str, str], Predictions] = {}

    # Handing over

    def add_recording(self, recording: Recording) -> None:
        with self._lock:
            self._recordings.append(recording)

    def enter_again(self) -> None:
        """Have all runs that are being saved entered once more: the file is another now.

        What has been written, but not been forgotten, is written once more, too: that may have been the old one.
        """
        with self._lock:
            self._file += 1
            for recording in self._recordings:
                recording.entered = False

    def add_checkpoint(self, run: str, model: str, data: bytes) -> None:
        """The latest wins."""
        with self._lock:
            self._checkpoints[run, model] = data

    def add_damaged(self, run: str, model: str) -> None:
        with self._lock:
            self._damaged.add((run, model))

    def add_insight(self, run: str, model: str, insight: Insight) -> None:
        with self._lock:
            self._insights[run, model, insight.step] = insight

    def add_predictions(self, run: str, model: str, predictions: Predictions) -> None:
        """They take the place of older ones of the same split."""
        with self._lock:
            self._predictions[run, model, predictions.split] = predictions

    # Seeing. Ask here first and the database then: what is written in between is in both, and nothing in neither

    def news(self, run: str) -> dict[str, News]:
        """Return, of each model of a run that has changed since it was saved, all that is new."""
        found: dict[str, News] = {}
        with self._lock:
            for recording in self._recordings:
                if recording.run == run:
                    recording.take_news()
                    found |= {model: joined(found.get(model), news) for model, news in recording.unsaved.items()}
        return found

    def statuses(self) -> dict[Place, Status]:
        """Return the status of every model that has changed since it was saved."""
        with self._lock:
            runs = dict.fromkeys(recording.run for recording in self._recordings)
        return {(run, model): news.status for run in runs for model, news in self.news(run).items()}

    def checkpoint(self, run: str, model: str) -> bytes | None:
        with self._lock:
            return self._checkpoints.get((run, model))

    def insights(self, run: str, model: str) -> list[Insight]:
        with self._lock:
            return [each for place, each in self._insights.items() if place[:2] == (run, model)]

    def predictions(self, run: str, model: str) -> list[Predictions]:
        with self._lock:
            return [each for place, each in self._predictions.items() if place[:2] == (run, model)]

    # Taking, by the writer

    @property
    def latest_run(self) -> str:
        """The run that was recorded last, or "none"."""
        with self._lock:
            return self._recordings[-1].run if self._recordings else "none"

    def batch(self) -> Batch:
        """Return all that is to be written, in the order in which it was handed over."""
        with self._lock:
            for recording in self._recordings:
                recording.take_news()
            recordings = [(recording, dict(recording.unsaved)) for recording in self._recordings]
            return Batch(recordings, dict(self._insights), dict(self._predictions), self._file)

    def forget(self, batch: Batch) -> None:
        """Take out what has been written, unless something newer has come in its place, or another file."""
        with self._lock:
            if batch.file != self._file:
                return
            for recording, written in batch.recordings:
                recording.forget(written)
            for recording in self._recordings[:-1]:
                recording.take_news()
            left = [recording for recording in self._recordings[:-1] if not recording.is_saved]
            self._recordings = left + self._recordings[-1:]
            _forget(self._insights, batch.insights)
            _forget(self._predictions, batch.predictions)

    def checkpoints(self) -> dict[Place, bytes]:
        with self._lock:
            return dict(self._checkpoints)

    def forget_checkpoint(self, place: Place, written: bytes) -> None:
        with self._lock:
            _forget(self._checkpoints, {place: written})

    def damaged(self) -> set[Place]:
        with self._lock:
            return set(self._damaged)

    def forget_damaged(self, place: Place) -> None:
        with self._lock:
            self._damaged.discard(place)


def _forget(waiting: dict[Any, Any], written: Mapping[Any, Any]) -> None:
    for key, value in written.items():
        if waiting.get(key) is value:
            del waiting[key]
