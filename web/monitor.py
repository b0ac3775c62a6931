"""Monitor: what the server shows and steers, and what it answers to a poll.

Answers at once while PyTorch and the data set are still being loaded in the background.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exports.runs import pair_stem
from history.log import Latest, MetricsLog
from history.records import INCOMPLETE
from history.smoothing import SMOOTHING_IMAGES
from history.store import RunStore
from studies.control import Control
from studies.lessons import SHIPPED, Lesson
from studies.local import Repeats
from studies.queue import Queue
from studies.refusals import Conflict
from studies.room import Room
from studies.workshop import Loading
from web.pair import Logs, pairing_of, tell
from web.slots import Slots


class Monitor:
    """The history, the training that is on, the series that it is part of, and the lessons that the page offers.

    The blueprints ask these directly.

    Safe to call from any thread. close() ends the training and saves it.
    """

    def __init__(self, data_dir: Path, store: RunStore, lessons: Sequence[Lesson] = SHIPPED) -> None:
        self.boot = secrets.token_hex(4)  # tells this process from the one before
        self.store = store
        self.lessons = lessons
        self._warned: tuple[str | None, MetricsLog | None, int] = None, None, 0  # of what, in which log, after what
        self.loading = Loading(data_dir)
        self.control = Control(store, self.loading)
        self.repeats = Repeats(store, self.control)
        self.queue = Queue(store, self.control)
        self.room = Room(store, self.control, self.loading)

    @property
    def run(self) -> str | None:
        """The id of the latest run, or None before the first."""
        return self.control.latest.run

    @property
    def known(self) -> tuple[Latest, RunStore]:
        """The latest run and all stored ones: where what a request names is looked up."""
        return self.control.latest, self.store

    def metrics(
        self, boot: str | None, run: str | None, since: int | None, smoothing: int = SMOOTHING_IMAGES
    ) -> dict[str, Any]:
        """Return what is new since a cursor, or everything where the cursor is not of this boot and run.

        smoothing: over how many images the curves are smoothed, one of smoothing.WINDOWS, or 0 for not at all.
        """
        current, metrics, paired = self.control.latest
        ours = boot == self.boot and (run or None) == current
        cursor = since if ours and since is not None and metrics.base <= since <= metrics.newest else None
        warning = self._warning_beyond(cursor, metrics)
        newest, models = metrics.view(cursor or 0, smoothing)
        news: dict[str, Any] = {"boot": self.boot, "run": current, "next": newest, "reset": cursor is None}
        if self.store.problem:
            news["problem"] = self.store.problem
        if warning:
            news["warning"] = warning
        if cursor is None:
            news["paired"] = paired
        if models and (progress := self.repeats.progress):
            news["repeat"] = progress
        if self.queue.revision:
            news["queue"] = self.queue.revision
        return news | {"models": models}

    def _warning_beyond(self, cursor: int | None, metrics: MetricsLog) -> str | None:
        """Return what of the history was found damaged, where a poll with that cursor has not been told yet.

        It may be found at any time, as the whole is checked after the start, and is long: so it is told once.
        """
        warning = self.store.warning
        if warning and (warning, metrics) != self._warned[:2]:
            self._warned = warning, metrics, metrics.advance()
        return warning if cursor is None or cursor < self._warned[2] else None

    def logs(self, slots: Slots, windows: Sequence[int] = ()) -> Logs:
        """Return by slot the log of each training, and its name there; with averages over `windows`, of a live one all.

        Raises UnknownRun, or Conflict where a model is missing.
        """
        latest = self.control.latest
        if not slots.trainings:
            return {name: (latest.metrics, name) for name in latest.metrics.models}
        models = {run: {each.model for each in slots.trainings.values() if each.run == run} for run in slots.runs}
        logs = {
            run: latest.metrics if run == latest.run else self.store.run(run, windows, models[run]) for run in models
        }
        for run, log in logs.items():
            if not models[run] <= set(log.models):
                raise Conflict(INCOMPLETE.format(run=run))
        return {slot: (logs[each.run], each.model) for slot, each in slots.trainings.items()}

    def trainings(
        self, slots: Slots, boot: str | None, since: int | None, smoothing: int = SMOOTHING_IMAGES
    ) -> dict[str, Any]:
        """Return of any two trainings what `metrics` does of a run: what is new since a cursor, or everything.

        A cursor is one of the latest run's log, whichever these trainings are of: those of other runs do not change
        while it is the latest, and the next one's cursors begin above all of its own. Raises UnknownRun.
        """
        latest = self.control.latest
        known = since is not None and latest.metrics.base <= since <= latest.metrics.newest
        cursor = since if boot == self.boot and known else None
        newest, live = latest.metrics.view(cursor or 0, smoothing)
        answer = {"boot": self.boot} | slots.as_json() | {"next": newest, "reset": cursor is None}
        if cursor is not None:
            held = {slot: each.model for slot, each in slots.trainings.items() if each.run == latest.run}
            return answer | {"models": {slot: live[model] for slot, model in held.items() if model in live}}
        logs = self.logs(slots, (smoothing,) if smoothing else ())
        views = {id(log): log.view(smoothing=smoothing)[1] for log, _ in logs.values() if log is not latest.metrics}
        views[id(latest.metrics)] = live  # up to `newest`; it may have more by now
        return answer | {
            "paired": pairing_of(self.store, self.loading.workshop, slots, logs),
            "trainings": tell(self.store, slots),
            "file": pair_stem(slots.trainings),
            "models": {slot: views[id(log)][model] for slot, (log, model) in logs.items()},
        }

    def one_run(self, run: str, smoothing: int = SMOOTHING_IMAGES) -> dict[str, Any]:
        """Return a stored run in the form of `metrics`, and what is known about it. Raises UnknownRun."""
        about = self.store.about(run)
        newest, models = self.store.run(run, windows=(smoothing,) if smoothing else ()).view(smoothing=smoothing)
        about |= {"checkpoints": self.store.checkpoints_at(run), "models": models}
        return {"boot": self.boot, "run": run, "next": newest, "reset": True} | about

    def close(self) -> None:
        """Stop what is training, wait for the batch that it is at, save it."""
        self.repeats.begin_no_more()
        self.queue.begin_no_more()
        self.control.close()
        self.repeats.join()
        self.queue.join()
        self.room.close()
        if self.loading.workshop is not None:
            self.loading.workshop.predictor.close()
        self.store.close()
