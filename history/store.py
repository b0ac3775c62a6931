"""RunStore: every run on disk, at full resolution, in one SQLite file under the runs directory.

A writer thread saves twice a second what the trainers have measured since; trainers never wait
for the disk. One process owns the directory, by a lock that dies with it.

What is promised. A killed process loses what came after the last save: at most a second of points,
and the weights since the last epoch's end. After a power cut the history ends with the last epoch at
the earliest: in between, SQLite's write-ahead log (journal_mode WAL, synchronous NORMAL) is written
twice a second but left to the operating system to flush, which spares the disk two flushes a second;
whenever a checkpoint of weights is due, the log is first flushed and folded into the file.
"""

import contextlib
import hashlib
import json
import logging
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from filelock import FileLock, Timeout

from config import ModelConfig, differing_settings
from data import CLASSES
from history.checkpoints import DIGEST_SIZE, replace_file
from history.log import MetricsLog
from history.records import SPLITS, Evaluation, Event, Filters, Insight, Layer, Point, Predictions, Status, finite
from history.salvage import open_history
from history.writer import SAVE_INTERVAL, Recording, as_text, forget

log = logging.getLogger(__name__)
ROWS_AT_ONCE = 10_000  # read in one go: some 10 ms in which nothing can be saved
WHAT_IS_TRAINED = (
    "config",
    "parameters",
    "precision",
    "threads",
    "steps_per_epoch",
    "plain_loss_from",
    "learning_rate",
)
TAKEN_OVER = {  # what a model of a branch takes over of the one that it goes on from, up to its step
    "points": "step, epoch, seconds, loss, accuracy",
    "evaluations": "step, epoch, seconds, loss, accuracy, train_accuracy, right_images",
    "insights": "step, epoch, layers, filters, weights",
    "predictions": "number, step, epoch, probabilities",
}
ENDS = ("finished", "stopped")
BRANCHINGS = ("forked", "continued")
HALF_MADE = 2  # as `deleted`: a branch that is being written; it cannot be restored, and the next start purges it
DELETED_PAIRS = (  # series and seed of those that were deleted since the start
    "SELECT DISTINCT series, json_extract(config, '$.seed') FROM runs JOIN models ON run = id"
    " WHERE deleted AND series IS NOT NULL"
)
NOTE_DELETED = (  # in the plan of their series, for when they are purged
    "UPDATE series SET plan = json_insert(json_insert(plan, '$.deleted', json('[]')), '$.deleted[#]', ?)"
    " WHERE id = ? AND json_valid(plan)"
)
STATUS_FIELDS = frozenset(field.name for field in fields(Status))
Row = TypeVar("Row", bound=NamedTuple)


class StoreError(Exception):
    """The runs directory cannot be used; the message says why and what to do."""


class NotSaved(Exception):
    """A change to the history could not be written; the message says why."""


class UnknownRun(KeyError):
    """No run of that name is in the store."""


class Origin(NamedTuple):
    """From where a model of a branch goes on: a model of the parent, as its checkpoint has it after so many steps."""

    model: str
    step: int
    checkpoint: bytes
    config: ModelConfig  # with which it goes on
    detail: str | None  # what is said of the change; None where there is none


@dataclass(frozen=True)
class RunKeeper:
    """The store as the trainers of one run know it (train.Keeper)."""

    store: "RunStore"
    run: str

    def save_checkpoint(self, model: str, checkpoint: bytes) -> None:
        self.store.save_checkpoint(self.run, model, checkpoint)

    def save_insight(self, model: str, insight: Insight, predictions: Predictions) -> None:
        self.store.save_insight(self.run, model, insight)
        self.save_predictions(model, predictions)

    def save_predictions(self, model: str, predictions: Predictions) -> None:
        self.store.save_predictions(self.run, model, predictions)


class RunStore:
    """The history of all runs. Safe to call from any thread; close it before the process ends."""

    def __init__(self, directory: Path) -> None:
        """Open or create the history. Raises StoreError where the directory cannot be written or is in use."""
        self.problem: str | None = None  # why the latest measurements are not on disk, or None
        self.warning: str | None = None  # what of the history was found damaged, or None
        self._lock = threading.Lock()  # one connection, one user at a time
        self._saving = threading.Lock()  # one save at a time; taken before _lock
        self._recordings: list[Recording] = []  # those not wholly saved yet, and the latest
        self._waiting_lock = threading.Lock()  # guards _waiting; never held while the disk is busy
        self._waiting: dict[tuple[str, str], bytes] = {}  # checkpoints by run and model
        self._insights: dict[tuple[str, str, int], Insight] = {}  # that wait, by run, model and step
        self._predictions: dict[tuple[str, str, str], Predictions] = {}  # that wait, by run, model and split
        self._measured = 0.0  # when the measurements were last saved
        self._closing = threading.Event()
        self._checkpoints = directory / "checkpoints"
        self._owner = FileLock(directory / "owner.lock")
        try:
            self._checkpoints.mkdir(parents=True, exist_ok=True)
            self._owner.acquire(timeout=0)
            self._database, self.warning = open_history(directory / "history.sqlite")
            self._prepare()
        except Timeout:
            raise StoreError(f"{directory} is in use by another server: stop that one or give --runs-dir") from None
        except (OSError, sqlite3.Error) as error:
            self._owner.release()
            raise StoreError(f"Cannot write runs to {directory}: {error}. Give another --runs-dir.") from error
        self._writer = threading.Thread(target=self._save_regularly, name="store", daemon=False)
        self._writer.start()

    def _prepare(self) -> None:
        """Set the connection up, mark what was running when its process died, purge what was deleted."""
        database = self._database
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # see the top of the file
        database.execute("PRAGMA foreign_keys = ON")
        for part in self._checkpoints.glob("*.part"):  # half a file, of a process that was killed
            part.unlink()
        with database:
            database.execute(
                "UPDATE models SET status = json_set(status, '$.state', 'interrupted', '$.eta_seconds', NULL)"
                " WHERE json_extract(status, '$.state') IN ('idle', 'running', 'paused')"
            )
            database.execute("UPDATE series SET state = 'interrupted' WHERE state = 'running'")
        deleted = database.execute("SELECT run, model FROM models JOIN runs ON run = id WHERE deleted").fetchall()
        for run, model in deleted:
            self._checkpoint_path(run, model).unlink(missing_ok=True)
        with database:
            for series, seed in database.execute(DELETED_PAIRS).fetchall():
                database.execute(NOTE_DELETED, (seed, series))
            database.execute("DELETE FROM runs WHERE deleted")
        runs = database.execute("SELECT count(*) FROM runs").fetchone()[0]
        if not runs and not self.warning and not deleted and any(self._checkpoints.glob("*.checkpoint")):
            self.warning = f"The history is empty, but {self._checkpoints} holds checkpoints: was its file removed?"
            log.warning("%s", self.warning)

    # Writing

    def record(
        self,
        run: str,
        metrics: MetricsLog,
        configs: Mapping[str, ModelConfig],
        environment: object,
        series: str | None = None,
    ) -> None:
        """Enter a run, of a series if given, or go on with one that is there; save what its log takes in."""
        with self._saving:
            self._recordings.append(Recording(run, metrics, dict(configs), json.dumps(environment), series))
        self.save()

    def save_checkpoint(self, run: str, model: str, data: bytes) -> None:
        """Hand over a checkpoint to be written after the points that led to it; the latest wins. Returns at once."""
        with self._waiting_lock:
            self._waiting[run, model] = data

    def save_insight(self, run: str, model: str, insight: Insight) -> None:
        """Hand over what an evaluation has shown, to be written with the next measurements. Returns at once."""
        with self._waiting_lock:
            self._insights[run, model, insight.step] = insight

    def save_predictions(self, run: str, model: str, predictions: Predictions) -> None:
        """Hand over a model's answers to a split; they take the place of older ones. Returns at once."""
        with self._waiting_lock:
            self._predictions[run, model, predictions.split] = predictions

    def save(self) -> None:
        """Write what has been measured since the last time, in one transaction, and then the checkpoints."""
        with self._saving:
            with self._waiting_lock:
                checkpoints = dict(self._waiting)  # the points that led to them have been published before
            try:
                self._save_measurements(flush=bool(checkpoints))
                for (run, model), data in checkpoints.items():
                    self._write_checkpoint(run, model, data)
                    if time.monotonic() - self._measured > SAVE_INTERVAL:  # on a slow disk points must not wait
                        self._save_measurements(flush=False)
            except (sqlite3.Error, OSError) as error:  # disk full, say: keep what is not written and try again
                if self.problem is None:
                    log.error("run %s: not being saved: %s", self._latest, error)
                self.problem = f"Not saved: {error}. Training goes on; saving is tried again."
                return
            if self.problem is not None:
                log.info("run %s: being saved again", self._latest)
            self.problem = None

    @property
    def _latest(self) -> str:
        return self._recordings[-1].run if self._recordings else "none"

    def _save_measurements(self, *, flush: bool) -> None:
        self._measured = time.monotonic()
        with self._waiting_lock:
            insights, predictions = dict(self._insights), dict(self._predictions)
        for recording in self._recordings:
            recording.take_news()
        if insights or predictions or not all(recording.is_saved for recording in self._recordings):
            with self._lock, self._database:
                for recording in self._recordings:
                    self._write(recording)
                self._write_insights(insights, predictions)
        with self._waiting_lock:
            forget(self._insights, insights)
            forget(self._predictions, predictions)
        for recording in self._recordings:
            recording.entered, recording.unsaved = True, {}
        self._recordings = self._recordings[-1:]
        if flush:
            with self._lock:
                self._database.execute("PRAGMA wal_checkpoint(FULL)").fetchone()

    def _write(self, recording: Recording) -> None:
        run = recording.run
        if not recording.entered:
            self._database.execute(
                "INSERT OR IGNORE INTO runs (id, started, environment, series) VALUES (?, ?, ?, ?)",
                (run, recording.started, recording.environment, recording.series),
            )
            for model, config in recording.configs.items():
                self._database.execute(
                    "INSERT INTO models VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET config = excluded.config",
                    (run, model, config.model_dump_json(), as_text(recording.metrics.status(model))),
                )
        for model, news in recording.unsaved.items():
            self._database.execute(
                "UPDATE models SET status = ? WHERE run = ? AND model = ?", (as_text(news.status), run, model)
            )
            self._insert("points", run, model, news.points)
            self._insert("evaluations", run, model, news.evaluations)
            self._insert("events", run, model, [(number, *event) for number, event in news.events])

    def _write_insights(
        self,
        insights: Mapping[tuple[str, str, int], Insight],
        predictions: Mapping[tuple[str, str, str], Predictions],
    ) -> None:
        for (run, model, _), insight in insights.items():
            layers = {name: finite(layer._asdict()) for name, layer in insight.layers.items()}
            *about, weights = insight.filters
            seen = (insight.step, insight.epoch, json.dumps(layers), json.dumps(about), weights)
            self._insert("insights", run, model, [seen])
        for (run, model, split), each in predictions.items():
            row = (SPLITS.index(split), each.step, each.epoch, each.probabilities.tobytes())
            self._insert("predictions", run, model, [row])

    def _insert(self, table: str, run: str, model: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            places = ", ".join("?" * (2 + len(rows[0])))
            self._database.executemany(
                f"INSERT OR REPLACE INTO {table} VALUES ({places})",  # noqa: S608 - no outside text
                [(run, model, *row) for row in rows],
            )

    def _write_checkpoint(self, run: str, model: str, data: bytes) -> None:
        replace_file(self._checkpoint_path(run, model), hashlib.sha256(data).digest() + data)
        log.debug("run %s: checkpoint of %s saved, %d bytes", run, model, len(data))
        with self._waiting_lock:
            if self._waiting.get((run, model)) is data:  # else a later one has come in the meantime
                del self._waiting[run, model]

    def _save_regularly(self) -> None:
        pause = SAVE_INTERVAL
        while not self._closing.wait(pause):
            began = time.monotonic()
            try:
                self.save()
            except Exception as error:  # our own mistake: say so, and go on trying
                log.exception("saving failed")
                self.problem = f"Not saved: {type(error).__name__}: {error}. Training goes on; saving is tried again."
            # at a fixed rate: a slow disk must not add to what a kill costs
            pause = max(0.0, SAVE_INTERVAL - (time.monotonic() - began))

    # Reading

    def runs(self, *, deleted: bool = False) -> list[dict[str, Any]]:
        """Return all runs, or those that are deleted and can be restored, newest first.

        Each has its id, name, start and parent, which settings differ, and each model's last status.
        """
        self.save()
        with self._lock:
            rows = self._database.execute(
                "SELECT id, name, started, parent, branch, model, config, status FROM runs JOIN models ON run = id"
                " WHERE deleted = ? ORDER BY id DESC, model",
                (deleted,),
            ).fetchall()
        runs: dict[str, dict[str, Any]] = {}
        for run, name, started, parent, branch, model, config, status in rows:
            about = {"id": run, "name": name, "started": started, "parent": _parent(parent, branch)}
            entry = runs.setdefault(run, about | {"models": {}})
            entry["models"][model] = json.loads(status) | {"config": json.loads(config)}
        for entry in runs.values():
            first, *_, last = [model["config"] for model in entry["models"].values()] * 2
            entry["differing"] = differing_settings(first, last)
        return list(runs.values())

    def about(self, run: str) -> dict[str, Any]:
        """Return a run's name, start, environment, and the run that it goes on from. Raises UnknownRun."""
        self.save()
        with self._lock:
            row = self._database.execute(
                "SELECT name, started, environment, parent, branch FROM runs WHERE id = ? AND NOT deleted", (run,)
            ).fetchone()
        if row is None:
            raise UnknownRun(run)
        name, started, environment, *parent = row
        return {
            "name": name,
            "started": started,
            "environment": json.loads(environment),
            "parent": _parent(*parent),
        }

    def run(self, run: str, windows: Sequence[int] = ()) -> MetricsLog:
        """Return one run as the log that its trainers left behind, with averages over `windows`. Raises UnknownRun."""
        self.save()
        statuses = self._statuses(run)
        metrics = MetricsLog(statuses, windows=windows)
        self._fill(metrics, run, statuses)
        return metrics

    def insights(self, run: str) -> dict[str, list[Insight]]:
        """Return what each model of a run showed of itself at its evaluations. Raises UnknownRun."""
        self.save()
        return {model: self._insights_of(run, model, status.step) for model, status in self._statuses(run).items()}

    def _insights_of(self, run: str, model: str, last_step: int) -> list[Insight]:
        with self._lock:
            rows = self._database.execute(
                "SELECT step, epoch, layers, filters, weights FROM insights"
                " WHERE run = ? AND model = ? AND step <= ? ORDER BY step",
                (run, model, last_step),
            ).fetchall()
        found = []
        for step, epoch, layers, filters, weights in rows:
            known = {name: Layer(**layer) for name, layer in json.loads(layers).items()}
            found.append(Insight(step, epoch, known, Filters._make([*json.loads(filters), weights])))
        return found

    def predictions(self, run: str) -> dict[str, dict[str, Predictions]]:
        """Return each model's latest answers to each split, as far as it has given any. Raises UnknownRun.

        Those to the test images only where they are of the model as it is: one that has gone on has not been tested.
        """
        self.save()
        found: dict[str, dict[str, Predictions]] = {}
        for model, status in self._statuses(run).items():
            with self._lock:
                rows = self._database.execute(
                    "SELECT number, step, epoch, probabilities FROM predictions WHERE run = ? AND model = ?"
                    " AND (step = ? OR step < ? AND number = ?)",
                    (run, model, status.step, status.step, SPLITS.index("validation")),
                ).fetchall()
            found[model] = {
                SPLITS[number]: Predictions(
                    SPLITS[number], step, epoch, np.frombuffer(data, np.float32).reshape(-1, CLASSES)
                )
                for number, step, epoch, data in rows
            }
        return found

    def branch(
        self,
        parent: str,
        kind: str,
        new: str,
        origins: Mapping[str, Origin],
        environment: object,
        *,
        base: int = 0,
    ) -> MetricsLog:
        """Enter a new run that goes on from another, and return its log to go on with.

        kind: "forked" or "continued". The run is entered as HALF_MADE, and shown once its checkpoints are on the disk:
        so a process that is killed, or a disk that is full, leaves no such run, or one that can be resumed. Raises
        UnknownRun or NotSaved.
        """
        self.save()
        begun = {name: self._begin_branch(parent, kind, origin) for name, origin in origins.items()}
        try:
            with self._lock, self._database as database:
                database.execute(
                    "INSERT INTO runs (id, started, environment, parent, branch, deleted) VALUES (?, ?, ?, ?, ?, ?)",
                    (new, datetime.now(UTC).isoformat(), json.dumps(environment), parent, kind, HALF_MADE),
                )
                for name, origin in origins.items():
                    status, events = begun[name]
                    self._take_over(parent, origin, new, name)
                    self._insert("events", new, name, [(number, *event) for number, event in enumerate(events)])
                    database.execute(
                        "INSERT INTO models VALUES (?, ?, ?, ?)",
                        (new, name, origin.config.model_dump_json(), as_text(status)),
                    )
            for name, origin in origins.items():
                self._write_checkpoint(new, name, origin.checkpoint)
            self._change("UPDATE runs SET deleted = 0 WHERE id = ?", new)
        except (sqlite3.Error, OSError, NotSaved) as error:
            self._drop_half_made(new, origins)
            raise (
                error if isinstance(error, NotSaved) else NotSaved(f"The history could not be changed: {error}")
            ) from error
        return self.resume(new, {name: origin.step for name, origin in origins.items()}, base=base)

    def _drop_half_made(self, run: str, models: Iterable[str]) -> None:
        """Take what there is of a branch off the disk; what cannot be taken off now is purged by the next start."""
        with contextlib.suppress(sqlite3.Error, OSError):
            for model in models:
                self._checkpoint_path(run, model).unlink(missing_ok=True)
            with self._lock, self._database:
                self._database.execute("DELETE FROM runs WHERE id = ? AND deleted = ?", (run, HALF_MADE))

    def _begin_branch(self, parent: str, kind: str, origin: Origin) -> tuple[Status, list[Event]]:
        """Return the status with which a model of a branch begins, and what happened to it until then."""
        config = origin.config.model_dump(mode="json")
        known = self._back_to(parent, origin.model, self._statuses(parent)[origin.model], origin.step)
        status = replace(known, state="idle", config=config)
        events = [each for each in self.events(parent, origin.model) if each.step <= origin.step]
        if events and events[-1].kind in ENDS:  # the parent's, not the branch's
            events.pop()
        if origin.detail is not None:
            events.append(Event(kind, status.step, status.epoch, status.elapsed_seconds, origin.detail))
        return status, events

    def _take_over(self, parent: str, origin: Origin, new: str, name: str) -> None:
        """Copy what a model has measured up to its checkpoint; answers to the test images are of another state."""
        for table, columns in TAKEN_OVER.items():
            wanted = f" AND number = {SPLITS.index('validation')}" if table == "predictions" else ""
            self._database.execute(
                f"INSERT INTO {table} (run, model, {columns}) SELECT ?, ?, {columns} FROM {table}"  # noqa: S608 - no outside text
                f" WHERE run = ? AND model = ? AND step <= ?{wanted}",
                (new, name, parent, origin.model, origin.step),
            )

    def resume(
        self, run: str, steps: Mapping[str, int], rates: Mapping[str, float] | None = None, *, base: int = 0
    ) -> MetricsLog:
        """Return the log of a run as it was when each model had taken so many steps, to go on with.

        A model that `steps` does not name stays as it is. rates: the learning rate that each model goes on with.
        What was measured beyond stays in the file, hidden, until the same steps are taken again: they
        are the same, since everything random in a run follows from its settings. Raises UnknownRun.
        """
        self.save()
        statuses = {
            model: self._back_to(run, model, status, steps[model]) if model in steps else status
            for model, status in self._statuses(run).items()
        }
        with self._lock, self._database:
            for model, step in steps.items():  # a change of the learning rate that the checkpoint has not seen
                self._database.execute(
                    "UPDATE events SET kind = 'undone' WHERE run = ? AND model = ? AND kind = 'steered' AND step > ?",
                    (run, model, step),
                )
                if rates is not None:
                    self._undo_unseen(run, model, step, rates[model])
        metrics = MetricsLog(statuses, keep_unsaved=True, base=base)
        self._fill(metrics, run, statuses)
        metrics.take_news()  # it is on disk
        return metrics

    def _undo_unseen(self, run: str, model: str, step: int, rate: float) -> None:
        """Undo the changes of the learning rate at a checkpoint's own step that came after it: they do not end at its.

        Those before the latest branching were the parent's, or seen by the checkpoint of the stop before it.
        """
        events = self._database.execute(
            "SELECT number, kind, detail FROM events WHERE run = ? AND model = ? AND step = ? ORDER BY number DESC",
            (run, model, step),
        ).fetchall()
        for number, kind, detail in events:
            if kind in BRANCHINGS or (kind == "steered" and str(detail).endswith(f" → {rate:g}")):
                return
            if kind == "steered":
                self._database.execute(
                    "UPDATE events SET kind = 'undone' WHERE run = ? AND model = ? AND number = ?", (run, model, number)
                )

    def configs(self, run: str) -> dict[str, ModelConfig]:
        """Return the settings of a run's models. Raises UnknownRun, or pydantic's error where they are not ours."""
        return {model: ModelConfig.model_validate_json(config) for model, config in self._of_models(run, "config")}

    def states(self, run: str) -> dict[str, str]:
        """Return the last state of a run's models. Raises UnknownRun."""
        self.save()
        return {model: status.state for model, status in self._statuses(run).items()}

    def statuses(self, run: str) -> dict[str, Status]:
        """Return the last saved status of each model. Raises UnknownRun."""
        self.save()
        return self._statuses(run)

    def run_status(self, run: str, model: str) -> Status:
        """Return the last saved status of a model. Raises UnknownRun."""
        self.save()
        statuses = self._statuses(run)
        if model not in statuses:
            raise UnknownRun(run)
        return statuses[model]

    def evaluations(self, run: str) -> dict[str, dict[str, list[float]]]:
        """Return the epochs and accuracies of each model's evaluations. Raises UnknownRun."""
        found = {}
        for model, status in self._statuses(run).items():
            rows = [row for rows in self._select(Evaluation, "evaluations", run, model, status.step) for row in rows]
            found[model] = {"epoch": [row.epoch for row in rows], "accuracy": [row.accuracy for row in rows]}
        return found

    def checkpoint(self, run: str, model: str) -> bytes | None:
        """Return the latest checkpoint of a model, or None where there is no sound one."""
        self.save()
        with self._lock:
            known = self._database.execute(
                "SELECT run, model FROM models WHERE run = ? AND model = ?", (run, model)
            ).fetchone()
        with self._waiting_lock:
            waiting = self._waiting.get((run, model))
        if waiting is not None or known is None:
            return waiting
        path = self._checkpoint_path(*known)  # named after what the database holds
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        digest, data = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
        if hashlib.sha256(data).digest() == digest:
            return data
        os.replace(path, path.with_suffix(".damaged"))
        self.warning = f"The checkpoint of {model} of run {run} was damaged; it was set aside as {path.stem}.damaged."
        log.error("run %s: %s", run, self.warning)
        return None

    def _of_models(self, run: str, column: str) -> list[tuple[str, str]]:
        """Return each model's name and what stands in one of its columns. Raises UnknownRun."""
        query = (
            f"SELECT model, {column} FROM models JOIN runs ON run = id"  # noqa: S608 - no outside text
            " WHERE run = ? AND NOT deleted ORDER BY model"
        )
        with self._lock:
            rows = self._database.execute(query, (run,)).fetchall()
        if not rows:
            raise UnknownRun(run)
        return rows

    def _statuses(self, run: str) -> dict[str, Status]:
        known = [(model, json.loads(status)) for model, status in self._of_models(run, "status")]
        return {
            model: Status(**{name: value for name, value in status.items() if name in STATUS_FIELDS})
            for model, status in known
        }

    def _back_to(self, run: str, model: str, status: Status, step: int) -> Status:
        """Return the status that a model had after `step` steps, as far as what it measured tells."""
        back = Status("stopped", **{name: getattr(status, name) for name in WHAT_IS_TRAINED}, step=step)
        place = (run, model, step)
        with self._lock:
            point = self._database.execute(
                "SELECT epoch, seconds, loss, accuracy FROM points WHERE run = ? AND model = ? AND step = ?", place
            ).fetchone()
            evaluation = self._database.execute(
                "SELECT loss, accuracy FROM evaluations WHERE run = ? AND model = ? AND step <= ?"
                " ORDER BY step DESC LIMIT 1",
                place,
            ).fetchone()
        if point:
            back = replace(back, epoch=point[0], elapsed_seconds=point[1], loss=point[2], accuracy=point[3])
        if evaluation:
            back = replace(back, val_loss=evaluation[0], val_accuracy=evaluation[1])
        return back

    def _fill(self, metrics: MetricsLog, run: str, statuses: Mapping[str, Status]) -> None:
        """Put into an empty log what each model has measured up to its status' step, and all that happened."""
        for model, status in statuses.items():
            for points in self._select(Point, "points", run, model, status.step):
                metrics.publish(model, status, points)
            evaluations = [
                row for rows in self._select(Evaluation, "evaluations", run, model, status.step) for row in rows
            ]
            metrics.publish(model, status, [], evaluations, self.events(run, model), flush=True)

    def events(self, run: str, model: str) -> list[Event]:
        """Return all that happened to a model, in order."""
        with self._lock:
            events = self._database.execute(
                "SELECT kind, step, epoch, seconds, detail FROM events WHERE run = ? AND model = ? ORDER BY number",
                (run, model),
            ).fetchall()
        return [Event(*event) for event in events]

    def read(self, kind: type[Row], run: str, model: str, last_step: int) -> Iterator[list[Row]]:
        """Yield every Point or Evaluation of a model up to a step, in portions of at most ROWS_AT_ONCE."""
        return self._select(kind, {Point: "points", Evaluation: "evaluations"}[kind], run, model, last_step)  # type: ignore[index]

    def _select(self, kind: type[Row], table: str, run: str, model: str, last_step: int) -> Iterator[list[Row]]:
        """Yield a model's rows in portions: between them the writer gets its turn."""
        query = (
            f"SELECT {', '.join(kind._fields)} FROM {table}"  # noqa: S608 - no outside text
            " WHERE run = ? AND model = ? AND step > ? AND step <= ? ORDER BY step LIMIT ?"
        )
        after = -1
        while True:
            with self._lock:
                rows = self._database.execute(query, (run, model, after, last_step, ROWS_AT_ONCE)).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            yield [_without_null(kind(*row)) for row in rows]

    # Series of repeats

    def start_series(self, series: str, plan: Mapping[str, Any]) -> None:
        """Enter a series that is running. Raises NotSaved."""
        started = datetime.now(UTC).isoformat()
        try:
            with self._lock, self._database:
                self._database.execute(
                    "INSERT INTO series VALUES (?, ?, 'running', ?)", (series, started, json.dumps(plan))
                )
        except sqlite3.Error as error:
            raise NotSaved(f"The series could not be written: {error}") from error

    def set_series_state(self, series: str, state: str) -> None:
        """Note how far a series has come. Raises UnknownRun or NotSaved."""
        self._change("UPDATE series SET state = ? WHERE id = ?", state, series)

    def series(self, series: str | None = None) -> dict[str, Any]:
        """Return a series, the latest unless named: id, started, state, plan, its runs with each model's status, and
        the seeds of those that were deleted.

        Raises UnknownRun where there is none.
        """
        self.save()
        query = "SELECT id, started, state, plan FROM series"
        with self._lock:
            row = (
                self._database.execute(f"{query} WHERE id = ?", (series,)).fetchone()
                if series
                else self._database.execute(f"{query} ORDER BY id DESC LIMIT 1").fetchone()
            )
            if row is None:
                raise UnknownRun(series or "series")
            runs = self._database.execute(
                "SELECT id FROM runs WHERE series = ? AND NOT deleted ORDER BY id", (row[0],)
            ).fetchall()
            deleted = {seed for of, seed in self._database.execute(DELETED_PAIRS) if of == row[0]}
        found = {run: self._statuses(run) for (run,) in runs}
        plan = json.loads(row[3])
        deleted.update(plan.get("deleted", []))
        return {"id": row[0], "started": row[1], "state": row[2], "plan": plan, "runs": found, "deleted": deleted}

    def series_seeds(self) -> set[int]:
        """Return the seeds of all series that there have ever been."""
        with self._lock:
            plans = self._database.execute("SELECT plan FROM series").fetchall()
        return {seed for (plan,) in plans for seed in json.loads(plan).get("seeds", [])}

    def series_of(self, run: str) -> str | None:
        """Return the series that a run is a pair of, None where it is of none."""
        with self._lock:
            row = self._database.execute("SELECT series FROM runs WHERE id = ?", (run,)).fetchone()
        return row[0] if row else None

    def series_like(self, run: str) -> str | None:
        """Return the series that a run is a pair of, else the latest with the run's settings apart from the seed.

        None where there is no such series.
        """
        with self._lock:
            plans = self._database.execute("SELECT id, plan FROM series ORDER BY id DESC").fetchall()
            if not plans:
                return None
            configs = self._database.execute("SELECT model, config FROM models WHERE run = ?", (run,)).fetchall()
        own = self.series_of(run)
        if own in dict(plans):
            return own
        wanted = {model: _without_seed(json.loads(config)) for model, config in configs}
        alike = (
            series
            for series, plan in plans
            if {model: _without_seed(config) for model, config in json.loads(plan)["configs"].items()} == wanted
        )
        return next(alike, None)

    # Changing the history

    def rename(self, run: str, name: str) -> None:
        """Give a run a name. Raises UnknownRun or NotSaved."""
        self._change("UPDATE runs SET name = ? WHERE id = ? AND NOT deleted", name, run)

    def delete(self, run: str) -> None:
        """Take a run out of the history; until the next start it can be restored. Raises UnknownRun or NotSaved."""
        self._change("UPDATE runs SET deleted = 1 WHERE id = ? AND NOT deleted", run)

    def restore(self, run: str) -> None:
        """Put a deleted run back; do nothing where it is not deleted. Raises UnknownRun or NotSaved."""
        self._change(f"UPDATE runs SET deleted = 0 WHERE id = ? AND deleted != {HALF_MADE}", run)  # noqa: S608 - ours

    def _change(self, statement: str, *values: str) -> None:
        self.save()  # it may not be entered yet
        try:
            with self._lock, self._database:
                changed = self._database.execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise NotSaved(f"The history could not be changed: {error}") from error
        if not changed:
            raise UnknownRun(values[-1])

    def close(self) -> None:
        """Save what is left and give the directory back."""
        self._closing.set()
        self._writer.join()
        self.save()
        with self._saving, self._lock:
            self._database.close()
        self._owner.release()

    def _checkpoint_path(self, run: str, model: str) -> Path:
        """Return a checkpoint's place; run and model must come from ourselves or from the database."""
        return self._checkpoints / f"{run}.{model}.checkpoint"


def _without_seed(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "seed"}


def _parent(run: str | None, kind: str | None) -> dict[str, str | None] | None:
    """Return from which run a branch goes on, and whether it is "forked" or "continued"; None for any other run."""
    return {"run": run, "kind": kind} if run else None


def _without_null(row: Row) -> Row:
    """Return a point or evaluation with the NaN that SQLite keeps as NULL."""
    return row._replace(loss=math.nan) if row.loss is None else row  # type: ignore[attr-defined, no-any-return]
