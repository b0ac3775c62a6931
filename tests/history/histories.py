"""What tests of the history need: configurations, a log and its points, and a disk that can be full."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers import quick

from config import MODEL_NAMES
from history.checkpoints import CheckpointFiles
from history.chunks import decode
from history.log import MetricsLog
from history.records import Point, Status
from history.store import RunStore

CONFIGS = {"model1": quick(), "model2": quick(optimizer="sgd", learning_rate=0.01)}


def history_path(folder: Path) -> Path:
    return folder / "history.sqlite"


@contextmanager
def history_file(history_dir: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection of one's own to the history's file, beside the store's; what is changed is committed."""
    connection = sqlite3.connect(history_path(history_dir))
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def checkpoint_file(history_dir: Path, run: str, model: str) -> Path:
    return CheckpointFiles(history_dir / "checkpoints").path(run, model)


def running(model: str, **news: Any) -> Status:
    return Status("running", config=CONFIGS[model].model_dump(mode="json"), **news)


class Log(MetricsLog):
    """A log whose statuses have come as far as the points that they come with, as a trainer's have."""

    def publish(
        self, model: str, status: Status, points: Sequence[Point] = (), *more: Any, flush: bool = False
    ) -> None:
        evaluations = more[0] if more else ()
        step = max([self.status(model).step, status.step, *(row.step for row in (*points, *evaluations))])
        super().publish(model, replace(status, step=step), points, *more, flush=flush)


def recorded(store: RunStore, run: str = "20260102-030405-abcd") -> MetricsLog:
    """Return the log of a new run that the store records, both models running."""
    log = Log(MODEL_NAMES, keep_unsaved=True)
    for model in MODEL_NAMES:
        log.publish(model, running(model))
    store.record(run, log, CONFIGS, {"torch": "2"})
    return log


def points(first: int, last: int) -> list[Point]:
    return [Point(step, step / 7, step / 11, 1 / step, 0.5) for step in range(first, last + 1)]


def saved_points(history_dir: Path, model: str = "model1") -> list[tuple[Any, ...]]:
    """Return a model's points as another process reads them from the disk."""
    history = sqlite3.connect(f"file:{history_dir / 'history.sqlite'}?mode=ro", uri=True)
    try:
        return points_in(history, model)
    finally:
        history.close()


def points_in(history: sqlite3.Connection, model: str, run: str | None = None) -> list[tuple[Any, ...]]:
    """Return a model's points, of one run or of all, as the chunks of a file hold them."""
    query = "SELECT data FROM chunks WHERE model = ? AND (? IS NULL OR run = ?) ORDER BY run, first"
    rows = history.execute(query, (model, run, run)).fetchall()
    return [tuple(point) for (data,) in rows for point in decode(data)]


class FullDisk:
    """Stands before a connection: while `full`, every write fails as SQLite's does on a full disk."""

    database: sqlite3.Connection

    def __init__(self) -> None:
        self.full = False
        self.refused = threading.Event()

    def executemany(self, sql: str, rows: Any) -> Any:
        self._refuse()
        return self.database.executemany(sql, rows)

    def execute(self, sql: str, *values: Any) -> Any:
        if not sql.startswith("SELECT"):
            self._refuse()
        return self.database.execute(sql, *values)

    def _refuse(self) -> None:
        if self.full:
            self.refused.set()
            raise sqlite3.OperationalError("database or disk is full")

    def __enter__(self) -> Any:
        return self.database.__enter__()

    def __exit__(self, *error: Any) -> Any:
        return self.database.__exit__(*error)

    def close(self) -> None:
        self.database.close()
