"""The line: comparisons that wait for their turn, kept until their run has been entered.

A comparison leaves the line in two steps, so that a process that is killed neither loses one nor trains one twice: it
is given the run that it becomes, and taken out once that run is in the history.
"""

import json
import secrets
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from history.database import Database
from history.errors import UnknownItem
from history.soundness import checked_json
from history.tables import QUEUE

ENTERED = "FROM queue WHERE run IN (SELECT id FROM runs)"
TAKE_OUT_ENTERED = f"DELETE {ENTERED}"


class Item(NamedTuple):
    """A comparison in line: `configs` are the settings of each model, `added` when it came, in ISO 8601."""

    id: str
    added: str
    configs: dict[str, dict[str, Any]]


class QueueHistory:
    """The comparisons in line. Safe to call from any thread; what changes something raises NotSaved."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def items(self) -> list[Item]:
        """Return those that wait, the next one first."""
        query = QUEUE.select("WHERE run IS NULL ORDER BY place", names=("id", "added", "configs"))
        rows = self._database.read(query, (), checked_json(2))
        return [Item(item, added, json.loads(configs)) for item, added, configs in rows]

    def add(self, configs: Mapping[str, Mapping[str, Any]]) -> str:
        """Put a comparison at the end of the line and return its id."""
        item, now, text = secrets.token_hex(8), datetime.now(UTC).isoformat(), json.dumps(configs)
        with self._database.change() as connection:
            [(last,)] = connection.execute("SELECT coalesce(max(place), 0) FROM queue").fetchall()
            connection.execute(QUEUE.insert(otherwise="ABORT"), (item, last + 1, now, text, None))
        return item

    def move(self, item: str, to: int) -> None:
        """Put one at another place, 0 being the next, at most the last. Raises UnknownItem."""
        with self._database.change() as connection:
            rows = connection.execute(QUEUE.select("WHERE run IS NULL ORDER BY place", names=("id",))).fetchall()
            ids = [known for (known,) in rows]
            if item not in ids:
                raise UnknownItem(item)
            ids.remove(item)
            ids.insert(to, item)
            connection.executemany("UPDATE queue SET place = ? WHERE id = ?", list(enumerate(ids, 1)))

    def remove(self, item: str) -> None:
        """Take one out of the line. Raises UnknownItem."""
        self._change("DELETE FROM queue WHERE id = ? AND run IS NULL", item)

    def claim(self, item: str, run: str) -> None:
        """Say which run one becomes; from then on it waits no more. Raises UnknownItem."""
        self._change("UPDATE queue SET run = ? WHERE id = ? AND run IS NULL", run, item)

    def release(self, item: str) -> None:
        """Let one wait again, at its place: its run was not begun. Raises UnknownItem."""
        self._change("UPDATE queue SET run = NULL WHERE id = ?", item)

    def take_out_entered(self) -> None:
        """Forget those whose run is in the history; write nothing where there are none, as at nearly every turn."""
        if not self._database.select(f"SELECT id {ENTERED}"):
            return
        with self._database.change() as connection:
            connection.execute(TAKE_OUT_ENTERED)

    def _change(self, statement: str, *values: str) -> None:
        """Change one; the last of the values is its id."""
        with self._database.change() as connection:
            changed = connection.execute(statement, values).rowcount
        if not changed:
            raise UnknownItem(values[-1])


def settle_queue(connection: sqlite3.Connection) -> None:
    """Take out what has become a run before the process died; what has not waits again."""
    connection.execute(TAKE_OUT_ENTERED)
    connection.execute("UPDATE queue SET run = NULL")
