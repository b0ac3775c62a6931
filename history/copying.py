"""Copying: what can be read of a history's file, damaged or of any version, into a new one of this version."""

import contextlib
import itertools
import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data import CLASSES
from history import answers
from history.errors import Damaged
from history.migrations import connect
from history.points import LARGE, rows_of
from history.records import Point
from history.rows import measured_of
from history.soundness import (
    check_answers,
    check_chunk,
    check_model,
    check_run,
    columns_of,
    is_name,
    read_json,
    types_fit,
)
from history.tables import (
    CHOICES,
    CHUNKS,
    MEASUREMENTS,
    MODEL_ENTERED,
    MODELS,
    OLD_POINTS,
    OLD_PREDICTIONS,
    PREDICTIONS,
    QUEUE,
    RUNS,
    SERIES,
    Table,
)

log = logging.getLogger(__name__)
Row = tuple[Any, ...]
SKIP = 50  # rows to leap over where one cannot be read: about a page
BEYOND = 5000  # rows to look for past the step that a model is known to have reached, or past the last that was read
REPORT_INTERVAL = 5.0  # seconds
AS_THEY_ARE = [table for table in MEASUREMENTS if table not in (CHUNKS, PREDICTIONS)]


def copy_readable(path: Path, target: sqlite3.Connection) -> tuple[str, list[str]]:
    """Copy all rows that can be read and are sound; return in words what there is, and what is missing."""
    try:
        source = connect(path, "ro")
        source.text_factory = lambda text: text.decode("utf-8", "replace")
        source.execute("PRAGMA writable_schema = ON")  # reads a truncated file as far as it goes
        copying = Copying(source, target)
    except sqlite3.DatabaseError:
        return "nothing", ["the whole file"]
    try:
        return copying.copy_all()
    finally:
        source.close()


class Copying:
    """One file on its way into another."""

    def __init__(self, source: sqlite3.Connection, target: sqlite3.Connection) -> None:
        """Raises sqlite3.DatabaseError where nothing can be read."""
        tables = (RUNS, MODELS, SERIES, QUEUE, CHOICES, OLD_POINTS, OLD_PREDICTIONS, *MEASUREMENTS)
        self._source = source
        self._target = target
        self._lost: list[str] = []
        self._columns = {table.name: columns_of(source, table) for table in tables}

    def copy_all(self) -> tuple[str, list[str]]:
        wanted = [column for column in RUNS.names if column in self._columns[RUNS.name]]
        runs = {row[0]: row for row in self._rows_of(RUNS, wanted) if _is_sound(check_run, row)}
        of_model = MODELS.names if "note" in self._columns[MODELS.name] else list(MODEL_ENTERED)
        models = [row for row in self._rows_of(MODELS, of_model) if _is_sound(check_model, row) and row[0] in runs]
        complete = {row[0] for row in models}
        self._insert(RUNS, wanted, [row for row in runs.values() if row[0] in complete])
        self._insert(MODELS, of_model, models)
        self._lost += [f"run {run} (its settings)" for run in runs if run not in complete]
        points = self._copy_chunks(models) if self._columns[CHUNKS.name] else {}
        reported = time.monotonic()
        for number, model in enumerate(models):
            if time.monotonic() - reported > REPORT_INTERVAL:
                reported = time.monotonic()
                log.info("the history is written anew: %d of %d trainings", number, len(models))
            if self._columns[OLD_POINTS.name]:
                points[model[:2]] = self._copy_old_points(model)
            self._copy_rows_of(model)
            self._note_missing(model, points.get(model[:2], 0))
        if self._columns[SERIES.name]:
            series = self._rows_of(SERIES, SERIES.names)
            plans = [row for row in series if _is_sound(read_json, row[-1])]
            self._insert(SERIES, SERIES.names, plans)
            self._lost += [f"series {row[0]}" for row in series if row not in plans]
        if self._columns[QUEUE.name]:
            waiting = self._rows_of(QUEUE, QUEUE.names)
            sound = [row for row in waiting if is_name(row[0]) and _is_sound(read_json, row[3])]
            self._insert(QUEUE, QUEUE.names, sound)
            self._lost += ["a comparison in line"] * (len(waiting) - len(sound))
        if self._columns[CHOICES.name]:
            chosen = self._rows_of(CHOICES, CHOICES.names)
            self._insert(CHOICES, CHOICES.names, [row for row in chosen if types_fit(["text", "text"], row)])
        if not runs:
            self._lost.append("the list of runs")
        count = sum(points.values())
        return f"{len(complete)} run{'s' * (len(complete) != 1)} with {count} points", self._lost

    def _note_missing(self, model: Row, points: int) -> None:
        reached = _reached(model)
        if points < reached:
            self._lost.append(f"points of run {model[0]}, {model[1]}: {reached - points} of {reached} steps")

    # Points

    def _copy_chunks(self, models: list[Row]) -> dict[Row, int]:
        """Copy every sound chunk; return how many points each model has. Needs no index: each says what it is.

        Where a page is damaged that leads to many chunks, the index of the key still tells where those behind it lie.
        """
        found = dict.fromkeys((model[:2] for model in models), 0)
        seen: set[int] = set()
        query = CHUNKS.select("NOT INDEXED WHERE rowid {} ? ORDER BY rowid", ("rowid", *CHUNKS.names))
        far = (row for number in self._numbers_of_chunks(seen) for row in self._readable(query.format("="), (number,)))
        for number, *row in itertools.chain(self._leaping(query.format(">"), (), 1, BEYOND), far):
            seen.add(number)
            place, chunk = tuple(row[:2]), tuple(row[2:])
            if place in found and _is_sound(check_chunk, chunk):
                self._insert(CHUNKS, CHUNKS.names, [tuple(row)])
        for run, model, first, last, data in self._target.execute(CHUNKS.select(names=CHUNKS.names)):
            found[run, model] += check_chunk((first, last, data))
        return found

    def _numbers_of_chunks(self, seen: set[int]) -> Iterator[int]:
        """Yield the rowids of chunks that have not been seen by then, as far as the index of the key can be read."""
        for (number,) in self._readable("SELECT rowid FROM chunks ORDER BY run, model, first", ()):
            if number not in seen:
                yield number

    def _readable(self, query: str, values: Row) -> Iterator[Any]:
        """Yield the rows that a query finds, up to the first that cannot be read."""
        with contextlib.suppress(sqlite3.DatabaseError):
            yield from self._source.execute(query, values)

    def _copy_old_points(self, model: Row) -> int:
        """Copy one model's points, which a version before 7 kept as a row each; return their number."""
        count = 0
        waiting: list[Point] = []
        for row in self._rows_by_number(OLD_POINTS, list(OLD_POINTS.columns), model):
            if row is None:
                continue
            waiting.append(measured_of(Point, row))
            if len(waiting) == LARGE:
                count += self._insert_points(model, waiting)
                waiting = []
        return count + self._insert_points(model, waiting)

    def _insert_points(self, model: Row, points: list[Point]) -> int:
        self._insert(CHUNKS, CHUNKS.names, [(*model[:2], *row) for row in rows_of(points)])
        return len(points)

    # All else

    def _copy_rows_of(self, model: Row) -> None:
        """Copy one model's readable rows of all other tables, and note where they fall short."""
        for table in AS_THEY_ARE:
            columns = [column for column in table.columns if column in self._columns[table.name]]
            if columns:
                self._copy(model, table, columns, list(self._rows_by_number(table, columns, model)))
        for kept in (PREDICTIONS, OLD_PREDICTIONS):
            if set(kept.columns) <= self._columns[kept.name]:
                rows = self._rows_by_number(kept, list(kept.columns), model)
                readable = [row and _as_answers(row, is_old=kept is OLD_PREDICTIONS) for row in rows]
                self._copy(model, PREDICTIONS, list(PREDICTIONS.columns), readable)

    def _copy(self, model: Row, table: Table, columns: list[str], rows: Sequence[Row | None]) -> None:
        sound = [row for row in rows if row is not None]
        self._insert(table, [*table.key, *columns], [(*model[:2], *row) for row in sound])
        if len(sound) < len(rows):
            self._lost.append(f"{table.name} of run {model[0]}, {model[1]} in part")

    def _rows_by_number(self, table: Table, columns: list[str], model: Row) -> Iterator[Row | None]:
        """Yield one model's rows in the order of their first column, a number; None where some cannot be read."""
        key, kinds = columns[0], [table.columns[column] for column in columns]
        query = table.select(f"WHERE run = ? AND model = ? AND {key} > ? ORDER BY {key}", columns)
        for row in self._leaping(query, model[:2], SKIP, _reached(model) + BEYOND, is_known=True):
            yield row if row is not None and types_fit(kinds, row) else None

    def _leaping(self, query: str, values: Row, skip: int, far: int, *, is_known: bool = False) -> Iterator[Any]:
        """Yield the rows that a query finds behind a number, the last of its values, by which they are ordered.

        Where one cannot be read, go on `skip` numbers further, up to `far` behind the last that was read or, where
        that is_known, behind none, and yield None.
        """
        last, at = -1, -1
        while at <= far + (0 if is_known else last):
            try:
                for row in self._source.execute(query, (*values, at)):
                    if isinstance(row[0], int):
                        last = at = max(at, row[0])
                    yield row
                return
            except sqlite3.DatabaseError:
                at += skip
                if is_known:
                    yield None

    def _rows_of(self, table: Table, columns: list[str]) -> list[Row]:
        """Return a small table's rows, read from both ends as far as that goes."""
        found: dict[int, Row] = {}
        for order in ("ASC", "DESC"):
            query = table.select(f"NOT INDEXED ORDER BY rowid {order}", names=("rowid", *columns))
            try:
                for rowid, *row in self._source.execute(query):
                    found[rowid] = tuple(row)
            except sqlite3.DatabaseError as error:
                log.debug("%s: %s", table.name, error)
        return [row for _, row in sorted(found.items())]

    def _insert(self, table: Table, columns: Sequence[str], rows: Sequence[Row]) -> None:
        self._target.executemany(table.insert(columns, otherwise="IGNORE"), rows)


def _is_sound(check: Any, row: Any) -> bool:
    try:
        check(row)
    except Damaged:
        return False
    return True


def _reached(model: Row) -> int:
    """Return how many steps a model is known to have taken."""
    return int(read_json(model[3]).get("step") or 0)


def _as_answers(row: Row, *, is_old: bool) -> Row | None:
    """Return a row of answers as it is written now, None where it is not sound.

    The true classes are not known here: of old ones every probability is kept to the bit.
    """
    *about, data = row
    if not is_old:
        return row if _is_sound(check_answers, row) else None
    if len(data) % (CLASSES * np.dtype(np.float32).itemsize):
        return None
    return (*about, answers.encode(np.frombuffer(data, np.float32).reshape(-1, CLASSES), None))
