"""Salvage: opening the history's SQLite file, and putting a new one in the place of one that is damaged or old.

A damaged file is never written to and never deleted: it is set aside under another name. The file of an old version
stays as it is until the new one is whole and on the disk. A process that is killed in between leaves the old file, or
the new one and the note that it is to take its place: the next start goes on from there.
"""

import contextlib
import errno
import logging
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from history.checkpoints import flush_folder
from history.copying import copy_readable
from history.migrations import SCHEMA_VERSION, WRITTEN_ANEW, connect, migrate
from history.soundness import check_all, check_ends, check_version, has_free_pages, is_damage

log = logging.getLogger(__name__)
OF_FILE = ("-journal", "-wal", "-shm", "")  # the logs go first: beside another database SQLite would play them into it
NO_ROOM = (sqlite3.SQLITE_FULL,)


def open_history(path: Path) -> tuple[sqlite3.Connection, str | None]:
    """Return a connection to the history at `path`, and what of a damaged one was lost, in words.

    What is needed to begin has been looked at; the whole of it only where it was damaged, old, or left with free pages
    (history/database.py). Raises sqlite3.Error where it cannot be written or stems from a newer version, OSError where
    there is no room to bring an old one to this version.
    """
    finish(path)
    try:
        if path.exists():
            if path.with_name(f"{path.name}-journal").exists():
                _play_back(path)
            if _look(path):
                _write_anew(path)
        return _open(path), None
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        warning = salvage(path, str(error))
    return _open(path), warning


def _open(path: Path) -> sqlite3.Connection:
    """Return a connection to a history of this version, which it is brought to. Raises sqlite3.Error."""
    database = connect(path)
    try:
        database.execute("PRAGMA wal_autocheckpoint = 0")  # it may not have been checked
        migrate(database)
    except BaseException:
        database.close()
        raise
    return database


def _play_back(path: Path) -> None:
    """Have SQLite take back what a process has half written when it was killed; who only reads may not."""
    with contextlib.closing(connect(path)) as database:
        database.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def _look(path: Path) -> bool:
    """Return whether a history is of a version that is to be written anew. Raises Damaged, or SQLite's own error."""
    database = connect(path, "ro")
    try:
        version = check_version(database)
        is_old = 0 < version < WRITTEN_ANEW
        if version != SCHEMA_VERSION or has_free_pages(database):
            check_all(database)
        else:
            check_ends(database, path)
        return is_old
    finally:
        database.close()


# A new file in the place of another


def salvage(path: Path, damage: str, release: Callable[[], None] = lambda: None) -> str:
    """Put a new history with all that can be read in the place of a damaged one; return what became of it.

    release: called when the new one is ready, to close the damaged file where it is open. Raises sqlite3.Error or
    OSError.
    """
    kept, lost = _build(path, path.with_suffix(".salvaged"), restores=True)  # from here on the next start would go on
    release()
    aside = finish(path)
    reason = " ".join(damage.split())
    message = f"The history was damaged ({reason}). It was set aside as {aside}; what could be read is shown: {kept}."
    if lost:
        message = f"{message} Not readable: {'; '.join(lost)}."
    log.error("%s", message)
    return message


def _write_anew(path: Path) -> None:
    """Put a new history of this version in the place of an old one. Raises OSError where there is no room for both."""
    log.info("the history %s is of an earlier version: it is written anew, which may take minutes", path.name)
    try:
        kept, lost = _build(path, path.with_suffix(".migrated"))  # from here on the next start would go on
    except (OSError, sqlite3.OperationalError) as error:
        if getattr(error, "sqlite_errorcode", None) not in NO_ROOM and getattr(error, "errno", None) != errno.ENOSPC:
            raise
        size = path.stat().st_size / 1e6
        message = f"no room to bring {path.name} to this version: it stays as it is; make up to {size:.0f} MB free"
        raise OSError(errno.ENOSPC, message) from error
    finish(path)
    log.info("the history is written anew: %s%s", kept, "".join(f"; not readable: {each}" for each in lost))


def _build(path: Path, ready: Path, *, restores: bool = False) -> tuple[str, list[str]]:
    """Write all that can be read of a history into a new file, flush it, and call it `ready`; return as copy_readable.

    restores: what was deleted is there again, as damage may have deleted it. Raises sqlite3.Error or OSError, and
    nothing is left of it.
    """
    building = path.with_suffix(".building")
    building.unlink(missing_ok=True)
    try:
        with contextlib.closing(connect(building)) as target:
            target.execute("PRAGMA journal_mode = OFF")  # a half of it is thrown away
            migrate(target)
            found = copy_readable(path, target)
            if restores:
                target.execute("UPDATE runs SET deleted = 0 WHERE deleted IN (1, 3)")  # not those that are half made
            target.commit()
            target.execute("PRAGMA journal_mode = WAL")  # as it is used: set later, a kill could leave a half of that
        _flush(building)
        os.replace(building, ready)
        flush_folder(path.parent)
    except BaseException:
        for half in (building, ready):
            half.unlink(missing_ok=True)
        raise
    return found


def finish(path: Path) -> str | None:
    """Put a new file that is ready in the place of the other; return under which name a damaged one was set aside."""
    salvaged, migrated = path.with_suffix(".salvaged"), path.with_suffix(".migrated")
    if salvaged.exists():
        aside = _free_name(path)
        _for_each(path, lambda file, suffix: os.replace(file, aside.with_name(aside.name + suffix)))
        _take_place(salvaged, path)
        return aside.name
    if migrated.exists():  # the old one has been copied whole
        _for_each(path, lambda file, suffix: file.unlink() if suffix else None)
        _take_place(migrated, path)
    return None


def _take_place(ready: Path, path: Path) -> None:
    """Rename a file, once what stood in its way is off the disk, and have that on the disk before anyone relies on it.

    Else a power cut could leave the new file beside an old one's log, or put it over one that was to be set aside.
    """
    flush_folder(path.parent)
    os.replace(ready, path)
    flush_folder(path.parent)


def _for_each(path: Path, act: Callable[[Path, str], None]) -> None:
    for suffix in OF_FILE:
        file = path.with_name(path.name + suffix)
        if file.exists():
            act(file, suffix)


def _flush(path: Path) -> None:
    """Have a file on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _free_name(path: Path) -> Path:
    stem = f"{path.stem}-damaged-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    names = (path.with_name(f"{stem}{'-' * bool(number)}{number or ''}{path.suffix}") for number in range(1000))
    return next(name for name in names if not name.exists() and not name.with_name(name.name + "-wal").exists())
