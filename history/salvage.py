"""Salvage: opening the history's SQLite file, and what can be read of a damaged one.

A damaged file is never written to and never deleted: it is set aside under another name.
"""

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from history.migrations import SCHEMA_VERSION, connect, migrate, version_of
from history.tables import MEASUREMENTS, MODELS, POINTS, QUEUE, RUNS, SERIES, Table

log = logging.getLogger(__name__)
DAMAGE_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
SKIP = 50  # rows to leap over where one cannot be read: about a page
BEYOND = 5000  # rows to look for past the step that a model is known to have reached


class Damaged(sqlite3.DatabaseError):
    """The history can be opened, but what it holds cannot be right."""


def open_history(path: Path) -> tuple[sqlite3.Connection, str | None]:
    """Return a connection to the sound history at `path`, and what of a damaged one was lost, in words.

    Raises sqlite3.Error where it cannot be written or stems from a newer version.
    """
    _finish_salvage(path)
    warning = None
    try:
        if path.exists():
            _check(path)
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise
        warning = _salvage(path, str(error))
        log.error("%s", warning)
    database = connect(path)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return database, warning


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", None)  # extended; the low byte is the kind
    return isinstance(error, Damaged) or (code is not None and code & 0xFF in DAMAGE_CODES)


# Looking for damage
def _check(path: Path) -> None:
    """Read the whole history once (about 1 s for 2 million points). Raises Damaged, or SQLite's own error."""
    database = connect(path, "ro")
    try:
        version = version_of(database)
        if version > SCHEMA_VERSION:
            raise sqlite3.OperationalError(f"its history was written by a newer version ({version} > {SCHEMA_VERSION})")
        (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise Damaged(verdict)
        if version:
            _check_rows(database)
    except sqlite3.OperationalError as error:
        if "decode" in str(error):
            raise Damaged(str(error)) from None
        raise
    finally:
        database.close()


def _check_rows(database: sqlite3.Connection) -> None:
    """Raise Damaged where a row holds what we never write: another type, broken JSON, no run it belongs to."""
    runs = {row[0] for row in _sound(database.execute(RUNS.select(names=RUNS.names[:3])), _run_is_sound)}
    rows = database.execute(MODELS.select(names=MODELS.names))
    models = {(run, model) for run, model, *_ in _sound(rows, _model_is_sound)}
    if any(run not in runs for run, _ in models):
        raise Damaged("a model belongs to no run")
    for table in MEASUREMENTS:
        there = _columns_of(database, table)  # fewer in a file of an older version
        sound = " AND ".join(_type_test(column, kind) for column, kind in table.columns.items() if column in there)
        if not there:
            continue
        groups = database.execute(
            table.select("GROUP BY run, model", names=("run", "model", f"sum({sound}) = count(*)"))
        )
        for run, model, good in groups:
            if not good or (run, model) not in models:
                raise Damaged(f"{table.name} holds a row that was never written")


def _sound(rows: Iterable[tuple[Any, ...]], is_sound: Any) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        if not is_sound(row):
            raise Damaged(f"a row was never written so: {str(row)[:80]!a}")
        yield row


def _run_is_sound(row: tuple[Any, ...]) -> bool:
    run, started, environment = row
    return _is_name(run) and isinstance(started, str) and _json(environment) is not None


def _model_is_sound(row: tuple[Any, ...]) -> bool:
    run, model, config, status = row
    state = (_json(status) or {}).get("state")
    return _is_name(run) and _is_name(model) and _json(config) is not None and isinstance(state, str)


def _is_name(text: object) -> bool:
    """Return whether a text can be a run's or a model's name: these become names of files."""
    return isinstance(text, str) and text.isascii() and text.replace("-", "").isalnum()


def _json(text: object) -> Any:
    """Return the object that a text holds as JSON, or None."""
    try:
        value = json.loads(str(text))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _columns_of(database: sqlite3.Connection, table: Table) -> set[str]:
    """Return the names of a table's columns in a file; none where there is no such table."""
    return {row[1] for row in database.execute(f"PRAGMA table_info({table.name})")}


def _type_test(column: str, kind: str) -> str:
    kinds = ("'null'", f"'{kind[:-1]}'") if kind.endswith("?") else (f"'{kind}'",)
    return f"typeof({column}) IN ({', '.join(kinds)})"


# Saving what can be read
def _salvage(path: Path, damage: str) -> str:
    """Put a new history with all that can be read in the place of a damaged one; return what became of it."""
    building = path.with_suffix(".building")
    building.unlink(missing_ok=True)
    target = connect(building)
    try:
        migrate(target)
        kept, lost = _copy_readable(path, target)
        target.commit()
    finally:
        target.close()
    os.replace(building, path.with_suffix(".salvaged"))  # from here on the next start would go on
    aside = _finish_salvage(path)
    reason = " ".join(damage.split())
    message = f"The history was damaged ({reason}). It was set aside as {aside}; what could be read is shown: {kept}."
    return f"{message} Not readable: {'; '.join(lost)}." if lost else message


def _finish_salvage(path: Path) -> str | None:
    """Set the damaged files aside and put the salvaged one in their place, if there is one; return the new name.

    The write-ahead log goes first: beside another database SQLite would play it into that one.
    """
    salvaged = path.with_suffix(".salvaged")
    if not salvaged.exists():
        return None
    aside = _free_name(path)
    for suffix in ("-wal", "-shm", ""):
        file = path.with_name(path.name + suffix)
        if file.exists():
            os.replace(file, aside.with_name(aside.name + suffix))
    os.replace(salvaged, path)
    return aside.name


def _free_name(path: Path) -> Path:
    stem = f"{path.stem}-damaged-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    names = (path.with_name(f"{stem}{'-' * bool(number)}{number or ''}{path.suffix}") for number in range(1000))
    return next(name for name in names if not name.exists() and not name.with_name(name.name + "-wal").exists())


def _copy_readable(path: Path, target: sqlite3.Connection) -> tuple[str, list[str]]:
    """Copy all rows that can be read and are sound; return in words what there is, and what is missing."""
    try:
        source = connect(path, "ro")
        source.text_factory = lambda text: text.decode("utf-8", "replace")
        source.execute("PRAGMA writable_schema = ON")  # reads a truncated file as far as it goes
        known = {table.name: _columns_of(source, table) for table in (RUNS, SERIES, QUEUE, *MEASUREMENTS)}
    except sqlite3.DatabaseError:
        return "nothing", ["the whole file"]
    try:
        wanted = [column for column in RUNS.names if column in known["runs"]]
        runs = {row[0]: row for row in _rows_of(source, RUNS, wanted) if _run_is_sound(row[:3])}
        models = _rows_of(source, MODELS, MODELS.names)
        models = [row for row in models if _model_is_sound(row) and row[0] in runs]
        complete = {row[0] for row in models}
        for row in runs.values():
            if row[0] in complete:
                _insert(target, RUNS, wanted, [row])
        lost = [f"run {run} (its settings)" for run in runs if run not in complete]
        points = 0
        for model in models:
            _insert(target, MODELS, MODELS.names, [model])
            for table in MEASUREMENTS:
                columns = [column for column in table.columns if column in known[table.name]]
                count, missing = _copy_measured(source, target, table, columns, model) if columns else (0, "")
                points += count if table is POINTS else 0
                if missing:
                    lost.append(f"{table.name} of run {model[0]}, {model[1]}{missing}")
        if known["series"]:
            series = _rows_of(source, SERIES, SERIES.names)
            _insert(target, SERIES, SERIES.names, [row for row in series if _json(row[-1])])  # the plan
        if known["queue"]:
            waiting = _rows_of(source, QUEUE, QUEUE.names)
            _insert(target, QUEUE, QUEUE.names, [row for row in waiting if _is_name(row[0]) and _json(row[3])])
        if not runs:
            lost.append("the list of runs")
        return f"{len(complete)} run{'s' * (len(complete) != 1)} with {points} points", lost
    finally:
        source.close()


def _rows_of(source: sqlite3.Connection, table: Table, columns: list[str]) -> list[tuple[Any, ...]]:
    """Return a small table's rows, read from both ends as far as that goes."""
    found: dict[int, tuple[Any, ...]] = {}
    for order in ("ASC", "DESC"):
        query = table.select(f"NOT INDEXED ORDER BY rowid {order}", names=("rowid", *columns))
        try:
            for rowid, *row in source.execute(query):
                found[rowid] = tuple(row)
        except sqlite3.DatabaseError as error:
            log.debug("%s: %s", table.name, error)
    return [row for _, row in sorted(found.items())]


def _copy_measured(
    source: sqlite3.Connection, target: sqlite3.Connection, table: Table, columns: list[str], model: tuple[Any, ...]
) -> tuple[int, str]:
    """Copy one model's readable rows of a table; return their number, and in words how far they fall short."""
    key, reached = columns[0], _json(model[3]).get("step") or 0
    query = table.select(f"WHERE run = ? AND model = ? AND {key} >= ? ORDER BY {key}", columns)
    rows: dict[int, tuple[Any, ...]] = {}
    start, broken = 0, False
    while start <= reached + BEYOND:
        try:
            for row in source.execute(query, (*model[:2], start)):
                if _types_fit([table.columns[column] for column in columns], row):
                    rows[row[0]] = row
                    start = row[0] + 1
                else:
                    broken = True
            break
        except sqlite3.DatabaseError:
            broken, start = True, start + SKIP
    _insert(target, table, [*table.key, *columns], [(*model[:2], *row) for row in rows.values()])
    if table is POINTS and len(rows) < reached:
        return len(rows), f": {reached - len(rows)} of {reached} steps"
    return len(rows), " in part" if broken else ""


def _types_fit(kinds: list[str], row: tuple[Any, ...]) -> bool:
    types = {"integer": int, "real": float, "text": str, "blob": bytes}
    return all(
        isinstance(value, types[kind.rstrip("?")]) or (value is None and kind.endswith("?"))
        for value, kind in zip(row, kinds, strict=True)
    )


def _insert(target: sqlite3.Connection, table: Table, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    target.executemany(table.insert(columns, otherwise="IGNORE"), rows)
