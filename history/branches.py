"""Branches: how a run goes on, under its own id from its checkpoints, or as a new run that takes over what is known."""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from config import ModelConfig
from history import points
from history.checkpoints import CheckpointFiles
from history.database import Database
from history.errors import NotSaved
from history.events import ends_at, event_at, say_return
from history.log import MetricsLog
from history.reader import RunReader
from history.records import SPLITS, Event, Status
from history.rows import status_text
from history.states import INTENDED_ENDS
from history.tables import EVALUATIONS, EVENTS, INSIGHTS, MODEL_ENTERED, MODELS, PREDICTIONS, RUNS
from history.writer import Writer, insert

WHAT_IS_TRAINED = (
    "config",
    "parameters",
    "precision",
    "threads",
    "steps_per_epoch",
    "plain_loss_from",
    "learning_rate",
    "held_rate",
)
KINDS = ("forked", "continued")
OF_BRANCH = ("id", "started", "environment", "parent", "branch", "deleted")  # what is entered of its run
HALF_MADE = 2  # as `deleted`: a branch that is being written; it cannot be restored, and the next start purges it


class Origin(NamedTuple):
    """From where a model of a branch goes on: a model of the parent, as its checkpoint has it after so many steps."""

    model: str
    step: int
    checkpoint: bytes
    config: ModelConfig  # with which it goes on
    detail: str | None  # what is said of the change; None where there is none
    held_rate: float | None = None  # as Status has it


class Branches:
    """Lets runs go on. Safe to call from any thread."""

    def __init__(self, database: Database, reader: RunReader, writer: Writer, checkpoints: CheckpointFiles) -> None:
        self._database = database
        self._reader = reader
        self._writer = writer
        self._checkpoints = checkpoints

    # As a new run

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
        self._writer.save()  # the checkpoints too: who goes on from a run must not cost it its own
        begun = {name: self._begin(parent, kind, origin) for name, origin in origins.items()}
        run = (new, datetime.now(UTC).isoformat(), json.dumps(environment), parent, kind, HALF_MADE)
        try:
            with self._database.change() as connection:
                connection.execute(RUNS.insert(OF_BRANCH, otherwise="ABORT"), run)
                for name, origin in origins.items():
                    status, events = begun[name]
                    take_over(connection, parent, origin, new, name)
                    insert(connection, EVENTS, new, name, [(number, *event) for number, event in enumerate(events)])
                    connection.execute(
                        MODELS.insert(MODEL_ENTERED, otherwise="ABORT"),
                        (new, name, origin.config.model_dump_json(), status_text(status)),
                    )
            for name, origin in origins.items():
                self._writer.write_checkpoint(new, name, origin.checkpoint)
            with self._database.change() as connection:
                connection.execute("UPDATE runs SET deleted = 0 WHERE id = ?", (new,))
        except NotSaved:
            self._drop_half_made(new, origins)
            raise
        except OSError as error:
            self._drop_half_made(new, origins)
            raise NotSaved(f"The history could not be changed: {error}") from error
        return self.reopen(new, {name: origin.step for name, origin in origins.items()}, base=base)

    def _begin(self, parent: str, kind: str, origin: Origin) -> tuple[Status, list[Event]]:
        """Return the status with which a model of a branch begins, and what happened to it until then."""
        config = origin.config.model_dump(mode="json")
        left = self._reader.statuses(parent)[origin.model]
        known = self._back_to(parent, origin.model, left, origin.step)
        status = replace(known, state="idle", config=config, held_rate=origin.held_rate)
        events = [each for each in self._reader.events(parent, origin.model) if each.step <= origin.step]
        last = next((event for event in reversed(events) if event.kind != "steered"), None)
        if last is not None and last.kind in INTENDED_ENDS:  # the parent's, not the branch's
            events.remove(last)
        if (lost := say_return(left, known)) is not None:
            events.append(event_at(status, left.state, lost))
        if origin.detail is not None:
            events.append(event_at(status, kind, origin.detail))
        return status, events

    def _drop_half_made(self, run: str, models: Iterable[str]) -> None:
        """Take what there is of a branch off the disk; what cannot be taken off now is purged by the next start."""
        with contextlib.suppress(sqlite3.Error, OSError):
            for model in models:
                self._checkpoints.remove(run, model)
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM runs WHERE id = ? AND deleted = ?", (run, HALF_MADE))

    # Under its own id

    def reopen(
        self, run: str, steps: Mapping[str, int], rates: Mapping[str, float] | None = None, *, base: int = 0
    ) -> MetricsLog:
        """Return the log of a run as it was when each model had taken so many steps, to go on with.

        A model that `steps` does not name stays as it is. rates: the learning rate that each model goes on with.
        What was measured beyond stays in the file, hidden, until the same steps are taken again: they
        are the same, since everything random in a run follows from its settings. What happened beyond is marked as
        undone, and in which state a model was left is put on record. Raises UnknownRun or NotSaved.
        """
        self._writer.save()  # the checkpoints too: who goes on from a run must not cost it its own
        left = self._reader.statuses(run)
        statuses = {
            model: self._back_to(run, model, status, steps[model]) if model in steps else status
            for model, status in left.items()
        }
        with self._database.change() as connection:
            for model, step in steps.items():
                undo_after(connection, run, model, step)
                if rates is not None:
                    undo_unseen(connection, run, model, step, rates[model])
                if (detail := say_return(left[model], statuses[model])) is not None:
                    put_on_record(connection, run, model, event_at(statuses[model], left[model].state, detail))
        metrics = MetricsLog(statuses, keep_unsaved=True, base=base)
        self._reader.fill(metrics, run, statuses)
        metrics.take_news()  # it is on disk
        return metrics

    def _back_to(self, run: str, model: str, status: Status, step: int) -> Status:
        """Return the status that a model had after `step` steps, as far as what it measured tells."""
        back = Status("stopped", **{name: getattr(status, name) for name in WHAT_IS_TRAINED}, step=step)
        point = self._reader.point_at(run, model, step)
        evaluation = self._database.select(
            EVALUATIONS.select(
                "WHERE run = ? AND model = ? AND step <= ? ORDER BY step DESC LIMIT 1", ("loss", "accuracy")
            ),
            (run, model, step),
        )
        if point is not None:
            _, epoch, seconds, loss, accuracy = point
            back = replace(back, epoch=epoch, elapsed_seconds=seconds, loss=loss, accuracy=accuracy)
        for loss, accuracy in evaluation:
            back = replace(back, val_loss=loss, val_accuracy=accuracy)
        return back


def take_over(connection: sqlite3.Connection, parent: str, origin: Origin, new: str, name: str) -> None:
    """Copy what a model has measured up to its checkpoint; answers to the test images are of another state."""
    points.copy(connection, (parent, origin.model), (new, name), origin.step)
    for table in (EVALUATIONS, INSIGHTS, PREDICTIONS):
        wanted = f" AND number = {SPLITS.index('validation')}" if table is PREDICTIONS else ""
        connection.execute(
            table.copy(f"WHERE run = ? AND model = ? AND step <= ?{wanted}"),
            (new, name, parent, origin.model, origin.step),
        )


def undo_after(connection: sqlite3.Connection, run: str, model: str, step: int) -> None:
    """Mark what happened beyond a checkpoint as undone, and keep what it was as the detail where there is no other."""
    connection.execute(
        "UPDATE events SET kind = 'undone', detail = coalesce(detail, kind)"
        " WHERE run = ? AND model = ? AND step > ? AND kind != 'undone'",
        (run, model, step),
    )


def put_on_record(connection: sqlite3.Connection, run: str, model: str, event: Event) -> None:
    """Enter one more event, unless it is the last already: a process can be killed between reopening and training."""
    latest_first = "WHERE run = ? AND model = ? ORDER BY number DESC"
    number, *last = connection.execute(EVENTS.select(latest_first), (run, model)).fetchone() or (-1,)
    if tuple(last) != event:
        insert(connection, EVENTS, run, model, [(number + 1, *event)])


def undo_unseen(connection: sqlite3.Connection, run: str, model: str, step: int, rate: float) -> None:
    """Undo the changes of the learning rate at a checkpoint's own step that came after it: they do not end at its rate.

    Those before the latest branching were the parent's, or seen by the checkpoint of the stop before it.
    """
    events = connection.execute(
        EVENTS.select("WHERE run = ? AND model = ? AND step = ? ORDER BY number DESC", ("number", "kind", "detail")),
        (run, model, step),
    ).fetchall()
    for number, kind, detail in events:
        if kind in KINDS or (kind == "steered" and ends_at(detail, rate)):
            return
        if kind == "steered":
            connection.execute(
                "UPDATE events SET kind = 'undone' WHERE run = ? AND model = ? AND number = ?", (run, model, number)
            )
