"""RunStore: every run on disk, at full resolution, in one SQLite file under the runs directory.

A writer thread saves twice a second what the trainers have measured since; trainers never wait
for the disk, nor do those who read. One process owns the directory, by a lock that dies with it.

What is promised. A killed process loses what came after the last save: at most a second of points,
and the weights since the last epoch's end. After a power cut the history ends with the last epoch at
the earliest: in between, SQLite's write-ahead log (journal_mode WAL, synchronous NORMAL) is written
twice a second but left to the operating system to flush, which spares the disk two flushes a second;
whenever a checkpoint of weights is due, the log is first flushed, and folded into the file once that has been checked.
"""

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from config import ModelConfig
from history.branches import HALF_MADE, Branches, Origin
from history.checkpoints import CheckpointFiles, Told
from history.database import Database, WholeCheck
from history.errors import NotSaved, StoreError, UnknownItem, UnknownRun
from history.events import leaves_schedule
from history.lineage import Lineage
from history.log import MetricsLog
from history.queue import QueueHistory, settle_queue
from history.reader import RunReader
from history.records import Insight, Predictions
from history.room import DiskRoom
from history.series import SeriesHistory, mark_interrupted_series, note_deleted_pair
from history.soundness import IS_UNENDED, is_damage
from history.states import INTERRUPTED
from history.trainings import Trainings
from history.waiting import Recording, Waiting
from history.writer import Writer

__all__ = ["Left", "NotSaved", "Origin", "RunKeeper", "RunStore", "StoreError", "UnknownItem", "UnknownRun"]
log = logging.getLogger(__name__)
TO_BE_PURGED = 3  # as `deleted`: by an earlier process; it cannot be restored
MARK_DELETED = (  # what the index tells is not believed before the row has been looked at
    "UPDATE runs SET deleted = ? WHERE id IN (SELECT id FROM runs WHERE deleted) AND +deleted IN (1, 2, 3)"
)


class Left(NamedTuple):
    """What a run has left behind, beside its settings, to go on from."""

    states: dict[str, str]  # by model, as the checkpoints
    checkpoints: dict[str, bytes | None]
    told: dict[str, Told | None]  # what is kept of them
    series: str | None  # that it is a pair of
    is_branch: bool  # it went on from another run, whose steps it took over
    off_schedule: frozenset[str]  # models that have left their schedule, and keep the rate that they had
    held_rates: dict[str, float | None]  # which that is; None also where an earlier version put it into the settings


@dataclass(frozen=True)
class RunKeeper:
    """The store as the trainers of one run know it (training.keeper.Keeper)."""

    store: "RunStore"
    run: str

    def save_checkpoint(self, model: str, checkpoint: bytes) -> None:
        self.store.save_checkpoint(self.run, model, checkpoint)

    def save_insight(self, model: str, insight: Insight, predictions: Predictions) -> None:
        self.store.save_insight(self.run, model, insight)
        self.save_predictions(model, predictions)

    def save_predictions(self, model: str, predictions: Predictions) -> None:
        self.store.save_predictions(self.run, model, predictions)


class RunStore(RunReader):
    """The history of all runs. Safe to call from any thread; close it before the process ends."""

    def __init__(self, directory: Path) -> None:
        """Open or create the history. Raises StoreError where the directory cannot be written or is in use."""
        self.directory = directory
        self.problem: str | None = None  # why the latest measurements are not on disk, or None
        checkpoints, waiting = CheckpointFiles(directory / "checkpoints"), Waiting()
        self._owner = FileLock(directory / "owner.lock")
        try:
            checkpoints.directory.mkdir(parents=True, exist_ok=True)
            self._owner.acquire(timeout=0)
            file = directory / "history.sqlite"
            super().__init__(Database(file), waiting, checkpoints)
            self._prepare()
        except Timeout:
            raise StoreError(f"{directory} is in use by another server: stop that one or give --runs-dir") from None
        except (OSError, sqlite3.Error) as error:
            self._owner.release()
            raise StoreError(f"Cannot write runs to {directory}: {error}. Give another --runs-dir.") from error
        self._writer = Writer(self._database, checkpoints, waiting, self._report)
        self._branches = Branches(self._database, self, self._writer, checkpoints)
        self._series = SeriesHistory(self._database, self)
        self.lineage = Lineage(self._database, waiting)
        self.queue = QueueHistory(self._database)
        self.trainings = Trainings(self._database, self, self._writer)
        self.room = DiskRoom(directory, self._database, self, self._writer, checkpoints)
        self._database.on_repair = waiting.enter_again
        self._check = WholeCheck(self._database, file, self._purge)
        self._writer.start()
        self._check.start()

    def _prepare(self) -> None:
        """Mark what was running when its process died; hide what was deleted for good."""
        self._checkpoints.remove_halves()
        try:
            self._mark_what_was_left()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._mark_what_was_left()  # it has been salvaged
        runs = self._database.select("SELECT id FROM runs LIMIT 1")
        if not runs and not self.warning and not self._checkpoints.is_empty():
            folder = self._checkpoints.directory
            self._database.warning = f"The history is empty, but {folder} holds checkpoints: was its file removed?"
            log.warning("%s", self.warning)

    def _mark_what_was_left(self) -> None:
        with self._database.transaction() as connection:
            mark_interrupted(connection)
            mark_interrupted_series(connection)
            settle_queue(connection)
            connection.execute(MARK_DELETED, (TO_BE_PURGED,))

    def _purge(self) -> Iterator[str]:
        """Take what an earlier process has deleted off the disk, run by run; not before the whole has been checked."""
        for (run,) in self._database.select("SELECT id FROM runs WHERE deleted = ?", (TO_BE_PURGED,)):
            for (model,) in self._database.select("SELECT model FROM models WHERE run = ?", (run,)):
                self._checkpoints.remove(run, model)
            with self._database.transaction() as connection:
                note_deleted_pair(connection, run)
                connection.execute("DELETE FROM runs WHERE id = ?", (run,))
            yield run

    def wait_until_checked(self) -> None:
        """Wait until the whole history has been checked, and what was deleted is off the disk."""
        self._check.join()

    def _report(self, problem: str | None) -> None:
        self.problem = problem

    # What is measured now

    def record(
        self,
        run: str,
        metrics: MetricsLog,
        configs: Mapping[str, ModelConfig],
        environment: object,
        series: str | None = None,
    ) -> None:
        """Enter a run, of a series if given, or go on with one that is there; save what its log takes in."""
        self._waiting.add_recording(Recording(run, metrics, dict(configs), json.dumps(environment), series))
        self._writer.save_measurements()

    def save_checkpoint(self, run: str, model: str, data: bytes) -> None:
        """Hand over a checkpoint to be written after the points that led to it; the latest wins. Returns at once."""
        self._waiting.add_checkpoint(run, model, data)

    def save_insight(self, run: str, model: str, insight: Insight) -> None:
        """Hand over what an evaluation has shown, to be written with the next measurements. Returns at once."""
        self._waiting.add_insight(run, model, insight)

    def save_predictions(self, run: str, model: str, predictions: Predictions) -> None:
        """Hand over a model's answers to a split; they take the place of older ones. Returns at once."""
        self._waiting.add_predictions(run, model, predictions)

    def save(self) -> None:
        """Write all that waits, as the writer does by itself twice a second; `problem` tells whether it could."""
        self._writer.save()

    # How a run goes on

    def left_by(self, run: str) -> Left:
        """Return what a run has left behind to go on from. Raises UnknownRun."""
        statuses = self.statuses(run)
        states = {model: status.state for model, status in statuses.items()}
        held = {model: status.held_rate for model, status in statuses.items()}
        checkpoints = {model: self.checkpoint(run, model) for model in states}
        told = {model: self.told(run, model) for model in states}
        off_schedule = frozenset(model for model in states if any(map(leaves_schedule, self.events(run, model))))
        is_branch = self.about(run)["parent"] is not None
        return Left(states, checkpoints, told, self.series_of(run), is_branch, off_schedule, held)

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
        """Enter a new run that goes on from another, as Branches.branch does. Raises UnknownRun or NotSaved."""
        return self._branches.branch(parent, kind, new, origins, environment, base=base)

    def reopen(
        self, run: str, steps: Mapping[str, int], rates: Mapping[str, float] | None = None, *, base: int = 0
    ) -> MetricsLog:
        """Return a run's log to go on with, as Branches.reopen does. Raises UnknownRun or NotSaved."""
        return self._branches.reopen(run, steps, rates, base=base)

    # Series of repeats

    def start_series(self, series: str, plan: Mapping[str, Any]) -> None:
        """Enter a series that is running. Raises NotSaved."""
        self._series.start(series, plan)

    def set_series_state(self, series: str, state: str) -> None:
        """Note how far a series has come. Raises UnknownRun or NotSaved."""
        self._change("UPDATE series SET state = ? WHERE id = ?", state, series)

    def series(self, series: str | None = None) -> dict[str, Any]:
        """Return a series, the latest unless named, as SeriesHistory.find does. Raises UnknownRun."""
        return self._series.find(series)

    def series_seeds(self) -> set[int]:
        """Return the seeds of all series that there have ever been."""
        return self._series.seeds()

    def series_of(self, run: str) -> str | None:
        """Return the series that a run is a pair of, None where it is of none."""
        return self._series.of_run(run)

    def series_like(self, run: str) -> str | None:
        """Return the series that a run is a pair of, else the latest with its settings apart from the seed, or None."""
        return self._series.like(run)

    # Changing the history

    def rename(self, run: str, name: str) -> None:
        """Give a run a name. Raises UnknownRun or NotSaved."""
        self._change("UPDATE runs SET name = ? WHERE id = ? AND NOT deleted", name, run)

    def delete(self, run: str) -> None:
        """Take a run out of the history; until the next start it can be restored. Raises UnknownRun or NotSaved."""
        self._change("UPDATE runs SET deleted = 1 WHERE id = ? AND NOT deleted", run)

    def restore(self, run: str) -> None:
        """Put a deleted run back; do nothing where it is not deleted. Raises UnknownRun or NotSaved."""
        self._change(f"UPDATE runs SET deleted = 0 WHERE id = ? AND deleted < {HALF_MADE}", run)  # noqa: S608 - ours

    def _change(self, statement: str, *values: str) -> None:
        self._writer.save_measurements()  # it may not be entered yet
        with self._database.change() as connection:
            changed = connection.execute(statement, values).rowcount
        if not changed:
            raise UnknownRun(values[-1])

    def close(self) -> None:
        """Save what is left and give the directory back."""
        self._check.close()
        self._writer.close()
        self._database.close()
        self._owner.release()


def mark_interrupted(connection: sqlite3.Connection) -> None:
    """Mark the trainings that had not ended when their process died."""
    ended = f"json_set(status, '$.state', '{INTERRUPTED}', '$.eta_seconds', NULL, '$.testing', json('false'))"
    connection.execute(f"UPDATE models SET status = {ended} WHERE {IS_UNENDED}")  # noqa: S608 - ours
