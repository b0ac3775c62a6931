"""Soundness: whether the history's file, and each row of it, is as we write it.

What no check can tell is a flipped bit that turns one valid value into another, where no checksum is: points and
answers have one, the other tables have types, JSON and names.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from history import answers, chunks
from history.errors import Damaged
from history.migrations import SCHEMA_VERSION, version_of
from history.states import UNENDED_STATES
from history.tables import (
    CHOICES,
    CHUNKS,
    INSIGHTS,
    MEASUREMENTS,
    MODELS,
    OLD_POINTS,
    PREDICTIONS,
    QUEUE,
    RUNS,
    SERIES,
    TABLES,
    Table,
)

DAMAGE_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
DISK_CODES = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})
TYPES = {"integer": int, "real": float, "text": str, "blob": bytes}
IS_UNENDED = (  # to the letter as the index models_unended has it
    "CASE WHEN json_valid(status) THEN json_extract(status, '$.state') IN"
    f" ({', '.join(map(repr, sorted(UNENDED_STATES)))}) END"
)


def is_damage(error: BaseException) -> bool:
    """Return whether an error of SQLite's tells that the file is not as it was written."""
    code = getattr(error, "sqlite_errorcode", None)  # extended; the low byte is the kind
    is_text = isinstance(error, sqlite3.OperationalError) and "decode" in str(error)
    is_told = code is not None and (code & 0xFF in DAMAGE_CODES or code in DISK_CODES)
    return isinstance(error, Damaged) or is_text or is_told


# The whole


def check_version(database: sqlite3.Connection) -> int:
    """Return the version of the tables. Raises OperationalError where they are of a newer one than we know."""
    version = version_of(database)
    if version > SCHEMA_VERSION:
        raise sqlite3.OperationalError(f"its history was written by a newer version ({version} > {SCHEMA_VERSION})")
    return version


def check_all(database: sqlite3.Connection) -> None:
    """Read the whole history once, as of one moment. Raises Damaged, or SQLite's own error."""
    database.execute("BEGIN")
    try:
        (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise Damaged(verdict)
        if version_of(database):
            _check_rows(database)
            for table, check in CHECKS:
                if set(table.columns) <= columns_of(database, table):
                    for row in database.execute(table.select()):
                        check(row)
    finally:
        database.rollback()


def check_ends(database: sqlite3.Connection, path: Path) -> None:
    """Look at what is needed to begin: whether the file is whole, the tables, the last row of each, what was on.

    Takes some milliseconds, whatever there is. Raises Damaged, or SQLite's own error.
    """
    [(pages,)], [(size,)] = (database.execute(f"PRAGMA {name}").fetchall() for name in ("page_count", "page_size"))
    log = path.with_name(f"{path.name}-wal")
    if path.stat().st_size < pages * size and not (log.exists() and log.stat().st_size):
        raise Damaged(f"{pages * size - path.stat().st_size} bytes are missing at its end")
    for table in TABLES:
        if columns_of(database, table) != set(table.names):
            raise Damaged(f"the table {table.name} is not as it should be")
        order = ", ".join(f"{name} DESC" for name in table.names[: len(table.key) + (table in MEASUREMENTS)])
        for row in database.execute(table.select(f"ORDER BY {order} LIMIT 1", table.names)):
            check_types(table, row, table.names)
    for row in database.execute(MODELS.select(f"WHERE {IS_UNENDED}", MODELS.names)):
        check_model(row)


def has_free_pages(database: sqlite3.Connection) -> bool:
    """Return whether the file has pages that are free, or one that keeps none could get some."""
    [(free,)], [(mode,)] = (database.execute(f"PRAGMA {name}").fetchall() for name in ("freelist_count", "auto_vacuum"))
    return bool(free) or mode != 1


def _check_rows(database: sqlite3.Connection) -> None:
    """Raise Damaged where a row holds what we never write: another type, broken JSON, no run it belongs to."""
    runs = {row[0] for row in _checked(database.execute(RUNS.select(names=RUNS.names[:3])), check_run)}
    there = columns_of(database, MODELS)  # fewer in a file of an older version
    kept = database.execute(MODELS.select(names=[name for name in MODELS.names if name in there]))
    models = {(run, model) for run, model, *_ in _checked(kept, check_model)}
    if any(run not in runs for run, _ in models):
        raise Damaged("a model belongs to no run")
    for table in (*MEASUREMENTS, OLD_POINTS):
        there = columns_of(database, table)
        sound = " AND ".join(_type_test(column, kind) for column, kind in table.columns.items() if column in there)
        if not there:
            continue
        groups = database.execute(
            table.select("GROUP BY run, model", names=("run", "model", f"sum({sound}) = count(*)"))
        )
        for run, model, good in groups:
            if not good or (run, model) not in models:
                raise Damaged(f"{table.name} holds a row that was never written")


def _checked(rows: Iterable[tuple[Any, ...]], check: Callable[[Sequence[Any]], object]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        check(row)
        yield row


def columns_of(database: sqlite3.Connection, table: Table) -> set[str]:
    """Return the names of a table's columns in a file; none where there is no such table."""
    return {row[1] for row in database.execute(f"PRAGMA table_info({table.name})")}


def _type_test(column: str, kind: str) -> str:
    kinds = ("'null'", f"'{kind[:-1]}'") if kind.endswith("?") else (f"'{kind}'",)
    return f"typeof({column}) IN ({', '.join(kinds)})"


# Rows. Each check raises Damaged


def check_run(row: Sequence[Any]) -> None:
    """Check a row that begins with a run's id, start and environment."""
    run, started, environment, *_ = row
    if not (is_name(run) and isinstance(started, str) and _json(environment) is not None):
        raise _never_written(row)


def check_model(row: Sequence[Any]) -> None:
    """Check a row of run, model, config, status and, unless it is of an older version, note."""
    run, model, config, status, *note = row
    state = (_json(status) or {}).get("state")
    is_sound = is_name(run) and is_name(model) and _json(config) is not None and isinstance(state, str)
    if not is_sound or not types_fit(["text?"] * len(note), note):
        raise _never_written(row)


def check_types(table: Table, row: Sequence[Any], columns: Sequence[str] = ()) -> None:
    """Check the types of a row of a table: of its columns without the key, or of those named."""
    if not types_fit([table.types[column] for column in columns or table.columns], row):
        raise _never_written(row)


def check_rows(table: Table, rows: list[Any]) -> list[Any]:
    """Return rows of a table, all columns but the key, once their types have been checked."""
    for row in rows:
        check_insight(row) if table is INSIGHTS else check_types(table, row)
    return rows


def check_chunk(row: Sequence[Any]) -> int:
    """Check a row of a chunk: first and last step, and data. Return its number of points."""
    check_types(CHUNKS, row)
    count, *steps = chunks.check(row[-1])
    if steps != list(row[:-1]):
        raise Damaged("a chunk holds other steps than it says")
    return count


def check_answers(row: Sequence[Any]) -> None:
    """Check a row of answers, the last of which are the answers themselves."""
    check_types(PREDICTIONS, row)
    answers.check(row[-1])


def check_insight(row: Sequence[Any]) -> None:
    """Check a row of what was seen inside."""
    check_types(INSIGHTS, row)
    _, _, layers, filters, _ = row
    read_json(layers)
    read_json(f'{{"about": {filters}}}')


def checked_json(column: int) -> Callable[[list[Any]], list[Any]]:
    """Return what gives rows back once one of their columns has been seen to hold an object as JSON."""

    def take(rows: list[Any]) -> list[Any]:
        for row in rows:
            read_json(row[column])
        return rows

    return take


CHECKS: tuple[tuple[Table, Callable[[Sequence[Any]], object]], ...] = (  # of the columns without the key
    (CHUNKS, check_chunk),
    (PREDICTIONS, check_answers),
    (INSIGHTS, check_insight),
    (SERIES, lambda row: read_json(row[2])),
    (QUEUE, lambda row: read_json(row[2])),
    (CHOICES, lambda row: check_types(CHOICES, row)),
)


def types_fit(kinds: Sequence[str], row: Sequence[Any]) -> bool:
    """Return whether a row's values have the types that Table.columns names."""
    return all(
        isinstance(value, TYPES[kind.rstrip("?")]) or (value is None and kind.endswith("?"))
        for value, kind in zip(row, kinds, strict=True)
    )


def is_name(text: object) -> bool:
    """Return whether a text can be a run's or a model's name: these become names of files."""
    return isinstance(text, str) and text.isascii() and text.replace("-", "").isalnum()


def read_json(text: object) -> dict[str, Any]:
    """Return the object that a text holds as JSON. Raises Damaged."""
    found = _json(text)
    if found is None:
        raise _never_written(text)
    return found


def _json(text: object) -> dict[str, Any] | None:
    try:
        value = json.loads(str(text))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _never_written(row: object) -> Damaged:
    return Damaged(f"a row was never written so: {str(row)[:80]!a}")
