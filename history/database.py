"""The open database: one connection that writes, and beside it one that can only read.

In SQLite's write-ahead log a reader waits neither for who writes nor for the disk: it sees what was last committed.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from history.errors import NotSaved
from history.migrations import connect
from history.salvage import open_history

log = logging.getLogger(__name__)


class Database:
    """The history's SQLite file. Safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        """Open or create it, salvaged where it is damaged. Raises sqlite3.Error where it cannot be written."""
        self._writing, self._reading = threading.Lock(), threading.Lock()  # one user of a connection at a time
        self._writer, self.warning = open_history(path)  # warning: what of the history was found damaged, or None
        try:
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = NORMAL")  # what that promises: see history/store.py
            self._writer.execute("PRAGMA foreign_keys = ON")
            self._reader = connect(path, "ro")
        except BaseException:
            self._writer.close()
            raise

    def select(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows that a query finds, as of the last commit."""
        with self._reading:
            return self._reader.execute(query, values).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection that writes: what is done with it is committed at the end, or none of it is."""
        with self._writing, self._writer:
            yield self._writer

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Give a transaction that somebody has asked for and waits for. Raises NotSaved."""
        try:
            with self.transaction() as connection:
                yield connection
        except sqlite3.Error as error:
            raise NotSaved(f"The history could not be changed: {error}") from error

    def flush(self) -> None:
        """Have all that was committed on the disk, and in the file itself, unless another program is reading it."""
        with self._writing:
            [(busy, *_)] = self._writer.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        if busy:  # for longer than SQLite waits; what was committed survives the end of this process all the same
            log.warning("another program is reading the history: it is flushed later")

    def close(self) -> None:
        with self._reading:
            self._reader.close()
        with self._writing:
            self._writer.close()
