"""The open database: one connection that writes, and beside it one that can only read.

In SQLite's write-ahead log a reader waits neither for who writes nor for the disk: it sees what was last committed.

How damage is found without reading all before the start. At the start: the size of the file, its tables, the last row
of each, where new rows go, and the rows of what was being trained, which the start changes. When something is read:
its types, JSON and checksums, before anyone is shown it. After the start, in a thread of its own: the whole file, once.
Whoever finds damage has the file set aside and a new one made of what can be read (history/salvage.py), while all
others wait; what was asked is then asked of that.

Until the whole has been checked, nothing is written to the file: what is saved stays in SQLite's log beside it, which
is flushed to the disk when it has to be there. What was deleted is purged after the check. An old version's file, and
one with free pages, which ours does not keep (auto_vacuum), is checked whole before the start.
"""

import contextlib
import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from history import catalogue
from history.errors import NotSaved
from history.migrations import connect
from history.salvage import open_history, salvage
from history.soundness import check_all, is_damage

log = logging.getLogger(__name__)
Found = TypeVar("Found")
FOLDED_AT = 1000  # pages of the log: then it is folded into the file, SQLite's own default
NICE = 10  # of the thread that checks: the training and the page come first


class Database:
    """The history's SQLite file. Safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        """Open or create it, salvaged where it is seen to be damaged.

        Raises sqlite3.Error where it cannot be written, OSError where an old one cannot be brought to this version.
        """
        self.warning: str | None = None  # what of the history was found damaged
        self.on_repair: Callable[[], None] = lambda: None  # called as a new file takes a damaged one's place
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._writing, self._reading = threading.Lock(), threading.Lock()  # one user of a connection at a time
        self._repairs = 0
        self._is_checked = False
        self._open()

    def _open(self) -> None:
        self._writer, warning = open_history(self._path)
        self.warning = warning or self.warning
        try:
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = NORMAL")  # what that promises: see history/store.py
            self._writer.execute("PRAGMA foreign_keys = ON")
            self._writer.execute(f"PRAGMA wal_autocheckpoint = {FOLDED_AT if self._is_checked else 0}")
            self._reader = connect(self._path, "ro")
            self._reader.create_function("has_words", -1, _has_words, deterministic=True)  # SQLite knows only ASCII
            self._reader.create_function("casefolded", 1, _casefolded, deterministic=True)
        except BaseException:
            self._writer.close()
            raise

    def select(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return all rows that a query finds, as of the last commit."""
        return self.read(query, values, list)

    def read(self, query: str, values: Sequence[Any], take: Callable[[list[Any]], Found]) -> Found:
        """Return what `take` makes of the rows that a query finds, as of the last commit.

        Where it raises Damaged, the history is salvaged, and asked again.
        """
        repairs = self._repairs
        try:
            return take(self._fetch(query, values))
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self.repair(error, repairs)
        return take(self._fetch(query, values))

    def _fetch(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._reading:
            return self._reader.execute(query, values).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection that writes: what is done with it is committed at the end, or none of it is.

        Where that finds damage, the history is salvaged, and the error raised all the same.
        """
        repairs = self._repairs
        try:
            with self._writing, self._writer:
                yield self._writer
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                self.repair(error, repairs)
            raise

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Give a transaction that somebody has asked for and waits for. Raises NotSaved."""
        try:
            with self.transaction() as connection:
                yield connection
        except sqlite3.Error as error:
            raise NotSaved(f"The history could not be changed: {error}") from error

    @property
    def files(self) -> tuple[Path, Path]:
        """The file and its log, which may not be there."""
        return self._path, self._log

    @property
    def repairs(self) -> int:
        """How often a new file has taken the place of a damaged one."""
        return self._repairs

    def repair(self, damage: Exception, repairs: int) -> None:
        """Set the file aside and go on with a new one of what can be read, unless somebody has done so meanwhile.

        repairs: how often that had been done when the damage was found. Raises sqlite3.Error or OSError, and the file
        stays in use as far as it can be read.
        """
        with self._writing, self._reading:
            if self._repairs != repairs:
                return
            try:
                self.warning = salvage(self._path, str(damage), self._release)
            except (sqlite3.Error, OSError) as error:
                self.warning = f"The history is damaged ({damage}), and could not be set aside: {error}."
                log.error("%s", self.warning)
                raise
            finally:
                if self._repairs != repairs:
                    self._open()
                    self.on_repair()

    def _release(self) -> None:
        """Close the damaged file as it is; the one that takes its place is sound."""
        self._is_checked = False
        self._close()
        self._is_checked = True
        self._repairs += 1

    def be_checked(self) -> None:
        """Write to the file itself from now on: the whole of it has been checked."""
        with self._writing:
            self._is_checked = True
            self._writer.execute(f"PRAGMA wal_autocheckpoint = {FOLDED_AT}")

    def flush(self) -> None:
        """Have all that was committed on the disk; in the file itself where it has been checked and nobody reads it.

        Waits for no reader.
        """
        with self._writing:
            if self._is_checked:
                [(is_busy, frames, folded)] = self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                if not is_busy and folded == frames >= 0:
                    return
            with self._log.open("rb+") as file:
                os.fsync(file.fileno())

    def close(self) -> None:
        with self._writing, self._reading:
            self._close()

    def _close(self) -> None:
        """Close both connections. The last one folds the log into the file, unless it can only read."""
        for connection in (self._reader, self._writer) if self._is_checked else (self._writer, self._reader):
            connection.close()


def _has_words(text: str, *words: str) -> bool:
    """Return whether a text has all of some casefolded words somewhere, whatever its capitals."""
    folded = text.casefold()
    return all(word in folded for word in words)


def _casefolded(text: str | None) -> str | None:
    return text and text.casefold()


class WholeCheck(threading.Thread):
    """Reads the whole history once, beside all that goes on, and then calls who waits for that."""

    def __init__(self, database: Database, path: Path, when_sound: Callable[[], Iterable[object]]) -> None:
        """when_sound: what is to be done then, step by step; it can be broken off between two."""
        super().__init__(name="history-check", daemon=False)
        self._database = database
        self._path = path
        self._when_sound = when_sound
        self._connection: sqlite3.Connection | None = None
        self._closing = threading.Event()

    def run(self) -> None:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)  # of this thread alone
        try:
            self._check()
            for _ in self._when_sound():
                if self._closing.is_set():
                    break
        except (sqlite3.Error, OSError) as error:
            if not self._closing.is_set():
                self._database.warning = f"The history could not be checked: {error}."
                log.error("the history could not be checked: %s", error)

    def _check(self) -> None:
        """Check the whole; where it is damaged, it is whole once it has been salvaged."""
        repairs = self._database.repairs
        connection = self._connection = connect(self._path, "ro")
        try:
            check_all(connection)
            is_in_step = catalogue.is_in_step(connection)
            self._database.be_checked()
            if not is_in_step:
                log.error("the catalogue of trainings did not say what the tables do: it is filled anew")
                with self._database.transaction() as writing:
                    catalogue.fill_anew(writing)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            connection.close()
            self._database.repair(error, repairs)
        finally:
            self._connection = None
            connection.close()

    def close(self) -> None:
        """Break it off, and wait until it has ended."""
        self._closing.set()
        while self.is_alive():
            if (connection := self._connection) is not None:
                with contextlib.suppress(sqlite3.ProgrammingError):  # it has been closed in this moment
                    connection.interrupt()
            self.join(0.05)
