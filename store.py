"""RunStore: every run on disk, at full resolution, in one SQLite file under the runs directory.

A writer thread saves twice a second what the trainers have measured since; trainers never wait
for the disk. One process owns the directory, by a lock that dies with it.
"""

import json
import logging
import math
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from filelock import FileLock, Timeout

from config import ModelConfig, differing_fields
from metrics import Evaluation, Event, MetricsLog, Point, Status

log = logging.getLogger(__name__)

SAVE_INTERVAL = 0.5  # seconds
SCHEMA_VERSION = 1
TABLES = """
CREATE TABLE runs (id TEXT PRIMARY KEY, started TEXT NOT NULL, environment TEXT NOT NULL);
CREATE TABLE models (
    run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, model TEXT NOT NULL,
    config TEXT NOT NULL, status TEXT NOT NULL, PRIMARY KEY (run, model)
);
CREATE TABLE points (
    run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, model TEXT NOT NULL,
    step INTEGER NOT NULL, epoch REAL NOT NULL, seconds REAL NOT NULL, loss REAL, accuracy REAL,
    PRIMARY KEY (run, model, step)
) WITHOUT ROWID;
CREATE TABLE evaluations (
    run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, model TEXT NOT NULL,
    step INTEGER NOT NULL, epoch REAL NOT NULL, seconds REAL NOT NULL, loss REAL, accuracy REAL,
    train_accuracy REAL, PRIMARY KEY (run, model, step)
) WITHOUT ROWID;
CREATE TABLE events (
    run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, model TEXT NOT NULL, number INTEGER NOT NULL,
    kind TEXT NOT NULL, step INTEGER NOT NULL, epoch REAL NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (run, model, number)
) WITHOUT ROWID;
"""

Row = TypeVar("Row", bound=NamedTuple)


class StoreError(Exception):
    """The runs directory cannot be used; the message says why and what to do."""


class UnknownRun(KeyError):
    """No run of that name is in the store."""


@dataclass
class _Recording:
    """A run that is being saved, and what of it waits for the disk."""

    run: str
    metrics: MetricsLog
    configs: dict[str, ModelConfig]
    environment: str
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    entered: bool = False
    statuses: dict[str, Status] = field(default_factory=dict)
    unsaved: dict[str, list[Point]] = field(default_factory=dict)

    def take_unsaved(self) -> None:
        self.statuses = {model: self.metrics.status(model) for model in self.metrics.models}
        for model, points in self.metrics.take_unsaved().items():
            self.unsaved.setdefault(model, []).extend(points)


class RunStore:
    """The history of all runs. Safe to call from any thread; close it before the process ends."""

    def __init__(self, directory: Path) -> None:
        """Open or create the history. Raises StoreError where the directory cannot be written or is in use."""
        self.problem: str | None = None  # why the latest measurements are not on disk, or None
        self._lock = threading.Lock()  # one connection, one user at a time
        self._recordings: list[_Recording] = []  # those not wholly saved yet, and the latest
        self._closing = threading.Event()
        self._owner = FileLock(directory / "owner.lock")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._owner.acquire(timeout=0)
            self._database = sqlite3.connect(directory / "history.sqlite", check_same_thread=False)
            self._prepare_database()
        except Timeout:
            raise StoreError(f"{directory} is in use by another server: stop that one or give --runs-dir") from None
        except (OSError, sqlite3.Error) as error:
            self._owner.release()
            raise StoreError(f"Cannot write runs to {directory}: {error}. Give another --runs-dir.") from error
        self._writer = threading.Thread(target=self._save_regularly, name="store", daemon=False)
        self._writer.start()

    def _prepare_database(self) -> None:
        database = self._database
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA foreign_keys = ON")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"its history was written by a newer version ({version} > {SCHEMA_VERSION})")
        with database:  # what was running when its process died
            database.execute(
                "UPDATE models SET status = json_set(status, '$.state', 'interrupted', '$.eta_seconds', NULL)"
                " WHERE json_extract(status, '$.state') IN ('idle', 'running', 'paused')"
            )

    def record(self, run: str, metrics: MetricsLog, configs: Mapping[str, ModelConfig], environment: object) -> None:
        """Enter a new run and save from now on what its log takes in."""
        with self._lock:
            self._recordings.append(_Recording(run, metrics, dict(configs), json.dumps(environment)))
        self.save()

    def save(self) -> None:
        """Write what has been measured since the last time, in one transaction."""
        with self._lock:
            for recording in self._recordings:
                recording.take_unsaved()
            try:
                with self._database:
                    for recording in self._recordings:
                        self._write(recording)
            except sqlite3.Error as error:  # disk full, say: keep what is not written and try again
                if self.problem is None:
                    log.error("measurements are not being saved: %s", error)
                self.problem = f"Not saved: {error}. Training goes on; saving is tried again."
                return
            if self.problem is not None:
                log.info("measurements are being saved again")
            self.problem = None
            for recording in self._recordings:
                recording.entered, recording.unsaved = True, {}
            self._recordings = self._recordings[-1:]

    def _write(self, recording: "_Recording") -> None:
        run = recording.run
        if not recording.entered:
            self._database.execute("INSERT INTO runs VALUES (?, ?, ?)", (run, recording.started, recording.environment))
            self._database.executemany(
                "INSERT INTO models VALUES (?, ?, ?, '{}')",
                [(run, model, config.model_dump_json()) for model, config in recording.configs.items()],
            )
        for model, status in recording.statuses.items():
            self._update_status(run, model, status)
            self._insert("points", run, model, recording.unsaved[model])
            self._insert("evaluations", run, model, recording.metrics.evaluations(model))
            events = recording.metrics.events(model)
            self._insert("events", run, model, [(number, *event) for number, event in enumerate(events)])

    def _update_status(self, run: str, model: str, status: Status) -> None:
        self._database.execute(
            "UPDATE models SET status = ? WHERE run = ? AND model = ?", (json.dumps(status.as_json()), run, model)
        )

    def _insert(self, table: str, run: str, model: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            places = ", ".join("?" * (2 + len(rows[0])))
            self._database.executemany(
                f"INSERT OR REPLACE INTO {table} VALUES ({places})",  # noqa: S608 - no outside text
                [(run, model, *row) for row in rows],
            )

    def _select(self, kind: type[Row], table: str, run: str, model: str) -> list[Row]:
        columns = ", ".join(kind._fields)
        rows = self._database.execute(
            f"SELECT {columns} FROM {table} WHERE run = ? AND model = ? ORDER BY step",  # noqa: S608 - no outside text
            (run, model),
        )
        return [kind(*row) for row in rows]

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs, newest first: id, start, which settings differ, and each model's last status."""
        self.save()
        with self._lock:
            rows = self._database.execute(
                "SELECT id, started, model, status FROM runs JOIN models ON run = id ORDER BY id DESC, model"
            ).fetchall()
        runs: dict[str, dict[str, Any]] = {}
        for run, started, model, status in rows:
            entry = runs.setdefault(run, {"id": run, "started": started, "models": {}})
            entry["models"][model] = json.loads(status)
        for entry in runs.values():
            configs = [ModelConfig(**model["config"]) for model in entry["models"].values()]
            entry["differing"] = differing_fields(configs[0], configs[-1])
        return list(runs.values())

    def run(self, run: str) -> MetricsLog:
        """Return one run as the log that its trainers left behind. Raises UnknownRun."""
        self.save()
        with self._lock:
            models = self._database.execute("SELECT model, status FROM models WHERE run = ?", (run,)).fetchall()
            if not models:
                raise UnknownRun(run)
            metrics = MetricsLog(model for model, _ in models)
            for model, status in models:
                metrics.publish(
                    model,
                    Status(**json.loads(status)),
                    [_without_null(point) for point in self._select(Point, "points", run, model)],
                    [_without_null(evaluation) for evaluation in self._select(Evaluation, "evaluations", run, model)],
                    self._select(Event, "events", run, model),
                    flush=True,
                )
        return metrics

    def close(self) -> None:
        """Save what is left and give the directory back."""
        self._closing.set()
        self._writer.join()
        self.save()
        self._database.close()
        self._owner.release()

    def _save_regularly(self) -> None:
        while not self._closing.wait(SAVE_INTERVAL):
            self.save()


def _without_null(row: Row) -> Row:
    """Return a point or evaluation with the NaN that SQLite keeps as NULL."""
    return row._replace(loss=math.nan) if row.loss is None else row  # type: ignore[attr-defined, no-any-return]
