"""The writer: a thread that saves twice a second what trainings have measured, and the checkpoints after it."""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from history import points
from history.checkpoints import CheckpointFiles
from history.database import Database
from history.records import News
from history.rows import insight_row, predictions_row, status_text
from history.states import ACTIVE_STATES
from history.tables import EVALUATIONS, EVENTS, INSIGHTS, MODEL_ENTERED, MODELS, PREDICTIONS, RUNS, Table
from history.waiting import Batch, Place, Recording, Waiting

log = logging.getLogger(__name__)
SAVE_INTERVAL = 0.5  # seconds


class Writer(threading.Thread):
    """Takes what waits and writes it; what could not be written goes on waiting. Its methods are for any thread."""

    def __init__(
        self,
        database: Database,
        checkpoints: CheckpointFiles,
        waiting: Waiting,
        report: Callable[[str | None], None],
    ) -> None:
        """report: is told why the latest measurements are not on disk, or None once they are."""
        super().__init__(name="store", daemon=False)
        self._database = database
        self._checkpoints = checkpoints
        self._waiting = waiting
        self._report = report
        self._failing = False  # what could not be saved has been reported
        self._saving = threading.Lock()  # one batch at a time
        self._filing = threading.Lock()  # one change of a checkpoint's file at a time
        self._measured = 0.0  # when the measurements were last saved
        self._closing = threading.Event()

    def run(self) -> None:
        pause = SAVE_INTERVAL
        while not self._closing.wait(pause):
            began = time.monotonic()
            try:
                self.save()
            except Exception as error:  # our own mistake: say so, and go on trying
                log.exception("saving failed")
                self._fail(f"{type(error).__name__}: {error}")
            # at a fixed rate: a slow disk must not add to what a kill costs
            pause = max(0.0, SAVE_INTERVAL - (time.monotonic() - began))

    def save(self) -> None:
        """Write what has been measured since the last time, in one transaction, and then the checkpoints."""
        checkpoints = self._waiting.checkpoints()  # the points that led to them have been published before
        try:
            self._save_measurements(flush=bool(checkpoints))
            self._set_damaged_aside()  # before a later checkpoint takes the place
            for place, data in checkpoints.items():
                self._file(place, data)
                if time.monotonic() - self._measured > SAVE_INTERVAL:  # on a slow disk points must not wait
                    self._save_measurements(flush=False)
        except (sqlite3.Error, OSError) as error:  # disk full, say: keep what is not written and try again
            self._complain(error)
            return
        if self._failing:
            log.info("run %s: being saved again", self._waiting.latest_run)
        self._failing = False
        self._report(None)

    def save_measurements(self) -> None:
        """Write what has been measured, without waiting for the files of checkpoints."""
        try:
            self._save_measurements(flush=False)
        except (sqlite3.Error, OSError) as error:
            self._complain(error)

    def write_checkpoint(self, run: str, model: str, data: bytes) -> None:
        """Write a checkpoint's file now. Raises OSError."""
        with self._filing:
            self._checkpoints.write(run, model, data)
        log.debug("run %s: checkpoint of %s saved, %d bytes", run, model, len(data))

    def replace_checkpoint(self, run: str, model: str, mark: bytes, data: bytes) -> bool:
        """Write a checkpoint's file in the place of the one with this mark.

        Return False, with nothing changed, where that has another by now, or a later one waits. Raises OSError.
        """
        with self._filing:
            is_there = self._waiting.checkpoint(run, model) is None and self._checkpoints.mark(run, model) == mark
            if is_there:
                self._checkpoints.write(run, model, data)
            return is_there

    def drop_checkpoint(self, run: str, model: str) -> bool:
        """Give up a checkpoint's file; return False where a later one waits. Raises OSError."""
        with self._filing:
            is_latest = self._waiting.checkpoint(run, model) is None
            if is_latest:
                self._checkpoints.drop(run, model)
            return is_latest

    def close(self) -> None:
        """End the thread, and save what is left."""
        self._closing.set()
        self.join()
        self.save()

    def _complain(self, error: Exception) -> None:
        if not self._failing:
            log.error("run %s: not being saved: %s", self._waiting.latest_run, error)
        self._fail(str(error))

    def _fail(self, reason: str) -> None:
        self._failing = True
        self._report(f"Not saved: {reason}. Training goes on; saving is tried again.")

    def _save_measurements(self, *, flush: bool) -> None:
        """Write the batch that waits; with flush=True have it on the disk, not only with the operating system."""
        with self._saving:
            self._measured = time.monotonic()
            batch = self._waiting.batch()
            if not batch.is_empty:
                with self._database.transaction() as connection:
                    write_batch(connection, batch)
            self._waiting.forget(batch)
            if flush:
                self._database.flush()

    def _set_damaged_aside(self) -> None:
        for place in self._waiting.damaged():
            try:
                with self._filing:
                    self._checkpoints.set_aside(*place)
            except OSError as error:
                log.error("run %s: the damaged checkpoint of %s stays where it is: %s", *place, error)
            self._waiting.forget_damaged(place)

    def _file(self, place: Place, data: bytes) -> None:
        """Write a checkpoint that waited when it was looked for, unless it is written by now, or a later one waits."""
        with self._filing:
            if self._waiting.checkpoint(*place) is data:
                self._checkpoints.write(*place, data)
                self._waiting.forget_checkpoint(place, data)
                log.debug("run %s: checkpoint of %s saved, %d bytes", *place, len(data))


def write_batch(connection: sqlite3.Connection, batch: Batch) -> None:
    for recording, news in batch.recordings:
        if not recording.entered:
            enter(connection, recording)
        for model, each in news.items():
            write_news(connection, recording.run, model, each)
    for (run, model, _), insight in batch.insights.items():
        insert(connection, INSIGHTS, run, model, [insight_row(insight)])
    for (run, model, _), predictions in batch.predictions.items():
        insert(connection, PREDICTIONS, run, model, [predictions_row(predictions)])


def enter(connection: sqlite3.Connection, recording: Recording) -> None:
    """Enter a run and its models; of one that goes on, the settings with which it does."""
    connection.execute(
        RUNS.insert(("id", "started", "environment", "series"), otherwise="IGNORE"),
        (recording.run, recording.started, recording.environment, recording.series),
    )
    for model, config in recording.configs.items():
        status = status_text(recording.metrics.status(model))
        connection.execute(
            f"{MODELS.insert(MODEL_ENTERED, otherwise='ABORT')} ON CONFLICT DO UPDATE SET config = excluded.config",
            (recording.run, model, config.model_dump_json(), status),
        )


def write_news(connection: sqlite3.Connection, run: str, model: str, news: News) -> None:
    connection.execute(
        "UPDATE models SET status = ? WHERE run = ? AND model = ?", (status_text(news.status), run, model)
    )
    points.put(connection, run, model, news.points, is_end=news.status.state not in ACTIVE_STATES)
    insert(connection, EVALUATIONS, run, model, news.evaluations)
    insert(connection, EVENTS, run, model, [(number, *event) for number, event in news.events])


def insert(connection: sqlite3.Connection, table: Table, run: str, model: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Enter a model's rows into one of the tables of measurements; a row takes the place of one with its number."""
    if rows:
        connection.executemany(table.insert(), [(run, model, *row) for row in rows])
