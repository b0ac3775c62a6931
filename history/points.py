"""Points: how those of a model lie in the database: in chunks, small ones as they come, folded into large ones.

The chunks of a model never overlap.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from history import chunks
from history.records import Point
from history.soundness import check_chunk
from history.tables import CHUNKS

LARGE = 4096  # points: a chunk that is left alone
MOST_SMALL = 32  # small chunks of a model in a row, before they become one
OF_MODEL = "WHERE run = ? AND model = ?"
BETWEEN = CHUNKS.select(f"{OF_MODEL} AND last > ? AND first <= ? ORDER BY first LIMIT ?")  # after, up to, how many


def points_of(rows: Iterable[Sequence[Any]]) -> list[Point]:
    """Return the points of rows (first, last, data). Raises Damaged."""
    found: list[Point] = []
    for row in rows:
        check_chunk(row)
        found += chunks.decode(row[-1])
    return found


def put(connection: sqlite3.Connection, run: str, model: str, points: Sequence[Point], *, is_end: bool) -> None:
    """Enter points; each takes the place of one of its step.

    is_end: no more are expected soon, so that no small chunks are to be left. Raises Damaged.
    """
    if points:
        new = {point.step: point for point in points}
        first, last = min(new), max(new)
        old = _take_out(connection, run, model, first, last)
        before = [point for point in old if point.step < first]
        after = [point for point in old if point.step > last]
        new = {point.step: point for point in old if first <= point.step <= last} | new
        for each in (before, [new[step] for step in sorted(new)], after):
            _insert(connection, run, model, each)
    elif is_end:
        [(last,)] = connection.execute(f"SELECT max(last) FROM chunks {OF_MODEL}", (run, model))  # noqa: S608 - ours
    else:
        return
    if last is not None:
        _fold(connection, run, model, last, is_end=is_end)


def copy(connection: sqlite3.Connection, parent: tuple[str, str], new: tuple[str, str], last_step: int) -> None:
    """Enter the points of a model up to a step once more, as those of another model. Raises Damaged."""
    connection.execute(CHUNKS.copy(f"{OF_MODEL} AND last <= ?"), (*new, *parent, last_step))
    split = CHUNKS.select(f"{OF_MODEL} AND first <= ? AND last > ?")
    rows = connection.execute(split, (*parent, last_step, last_step)).fetchall()
    _insert(connection, *new, [point for point in points_of(rows) if point.step <= last_step])


def _take_out(connection: sqlite3.Connection, run: str, model: str, first: int, last: int) -> list[Point]:
    """Take the chunks out that have steps between two, and return all their points."""
    query = CHUNKS.select(f"{OF_MODEL} AND last >= ? AND first <= ? ORDER BY first")
    rows = connection.execute(query, (run, model, first, last)).fetchall()
    found = points_of(rows)
    _delete(connection, run, model, [row[0] for row in rows])
    return found


def _fold(connection: sqlite3.Connection, run: str, model: str, last_step: int, *, is_end: bool) -> None:
    """Make the small chunks that end with a step into large ones, where they are many or it is the end."""
    query = CHUNKS.select(f"{OF_MODEL} AND last <= ? ORDER BY first DESC LIMIT ?", ("first", "last"))
    small: list[int] = []  # their first steps, the latest first
    steps = 0
    for first, last in connection.execute(query, (run, model, last_step, MOST_SMALL)).fetchall():
        if last - first + 1 >= LARGE:
            break
        small.append(first)
        steps += last - first + 1
    if len(small) > 1 and (is_end or len(small) == MOST_SMALL or steps >= LARGE):
        _insert(connection, run, model, _take_out(connection, run, model, small[-1], last_step))


def _insert(connection: sqlite3.Connection, run: str, model: str, points: Sequence[Point]) -> None:
    """Enter points in order, none of whose steps is there."""
    rows = [(run, model, *row) for row in rows_of(points)]
    if rows:
        connection.executemany(CHUNKS.insert(otherwise="ABORT"), rows)


def rows_of(points: Sequence[Point]) -> list[tuple[int, int, bytes]]:
    """Return points in order as rows (first, last, data), LARGE to a row."""
    parts = [points[start : start + LARGE] for start in range(0, len(points), LARGE)]
    return [(part[0].step, part[-1].step, chunks.encode(part)) for part in parts]


def _delete(connection: sqlite3.Connection, run: str, model: str, firsts: Sequence[int]) -> None:
    if firsts:
        statement = f"DELETE FROM chunks {OF_MODEL} AND first = ?"  # noqa: S608 - ours
        connection.executemany(statement, [(run, model, first) for first in firsts])
