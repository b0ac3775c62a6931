"""RunStore: every run on disk, at full resolution, in one SQLite file under the runs directory.

A writer thread saves twice a second what the trainers have measured since; trainers never wait
for the disk. One process owns the directory, by a lock that dies with it.
"""

import json
import logging
import math
import sqlite3
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from config import ModelConfig, differing_fields
from metrics import Evaluation, MetricsLog, Point, Status

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
    PRIMARY KEY (run, model, step)
) WITHOUT ROWID;
"""


class StoreError(Exception):
    """The runs directory cannot be used; the message says why and what to do."""


class UnknownRun(KeyError):
    """No run of that name is in the store."""


class RunStore:
    """The history of all runs. Safe to call from any thread; close it before the process ends."""

    def __init__(self, directory: Path) -> None:
        """Open or create the history. Raises StoreError where the directory cannot be written or is in use."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._owner = FileLock(directory / "owner.lock")
            self._owner.acquire(timeout=0)
            self._database = sqlite3.connect(directory / "history.sqlite", check_same_thread=False)
        except Timeout:
            raise StoreError(f"{directory} is in use by another server: stop that one or give --runs-dir") from None
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"Cannot write runs to {directory}: {error}. Give another --runs-dir.") from error
        self.problem: str | None = None  # why the latest measurements are not on disk, or None
        self._lock = threading.Lock()  # one connection, one user at a time
        self._recording: tuple[str, MetricsLog] | None = None
        self._unsaved: dict[str, list[Point]] = {}
        self._closing = threading.Event()
        self._prepare_database()
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
            raise StoreError(f"The history was written by a newer version ({version} > {SCHEMA_VERSION})")
        with database:  # what was running when its process died
            database.execute(
                "UPDATE models SET status = json_set(status, '$.state', 'interrupted', '$.eta_seconds', NULL)"
                " WHERE json_extract(status, '$.state') IN ('idle', 'running', 'paused')"
            )

    def record(self, run: str, metrics: MetricsLog, configs: Mapping[str, ModelConfig], environment: object) -> None:
        """Enter a new run and save from now on what its log takes in."""
        self.save()
        with self._lock, self._database:
            self._database.execute(
                "INSERT INTO runs VALUES (?, ?, ?)", (run, datetime.now(UTC).isoformat(), json.dumps(environment))
            )
            self._database.executemany(
                "INSERT INTO models VALUES (?, ?, ?, ?)",
                [
                    (run, model, config.model_dump_json(), json.dumps(metrics.status(model).as_json()))
                    for model, config in configs.items()
                ],
            )
        self._recording, self._unsaved = (run, metrics), {}

    def save(self) -> None:
        """Write what the recorded run has measured since the last time, in one transaction."""
        with self._lock:
            if self._recording is None:
                return
            run, metrics = self._recording
            statuses = {model: metrics.status(model) for model in metrics.models}
            for model, points in metrics.take_unsaved().items():
                self._unsaved.setdefault(model, []).extend(points)
            try:
                with self._database:
                    for model, status in statuses.items():
                        self._write(run, model, status, self._unsaved[model], metrics.evaluations(model))
            except sqlite3.Error as error:  # disk full, say: keep what is not written and try again
                if self.problem is None:
                    log.error("run %s is not being saved: %s", run, error)
                self.problem = f"Not saved: {error}. Training goes on; saving is tried again."
                return
            if self.problem is not None:
                log.info("run %s is being saved again", run)
            self.problem = None
            self._unsaved = {}

    def _write(self, run: str, model: str, status: Status, points: list[Point], evaluations: list[Evaluation]) -> None:
        self._database.execute(
            "UPDATE models SET status = ? WHERE run = ? AND model = ?",
            (json.dumps(status.as_json()), run, model),
        )
        for table, rows in (("points", points), ("evaluations", evaluations)):
            self._database.executemany(
                f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - no outside text
                [(run, model, *row) for row in rows],
            )

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
                points, evaluations = (
                    self._database.execute(
                        f"SELECT step, epoch, seconds, loss, accuracy FROM {table}"  # noqa: S608 - no outside text
                        " WHERE run = ? AND model = ? ORDER BY step",
                        (run, model),
                    ).fetchall()
                    for table in ("points", "evaluations")
                )
                metrics.publish(
                    model,
                    Status(**json.loads(status)),
                    [Point(*_nan_for_null(row)) for row in points],
                    [Evaluation(*_nan_for_null(row)) for row in evaluations],
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


def _nan_for_null(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(math.nan if value is None else value for value in row)
