"""Checkpoint files: whole or not at all, each with a digest that tells whether it is sound.

To make room a checkpoint can be reduced to its weights, which its first line then tells, or dropped: its file then has
another name, and nothing but that line. Neither is to be taken for one that a training can go on from, or for none.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

DIGEST_SIZE = hashlib.sha256().digest_size  # bytes
HEAD_SIZE = 256  # bytes, more than a header takes
WHOLE, WEIGHTS, NOTHING = "whole", "weights", "nothing"  # what is kept of a checkpoint


class DamagedCheckpoint(Exception):
    """A checkpoint's file is not as it was written."""


class Told(NamedTuple):
    """What a checkpoint's first line and its name tell: after how many steps it was taken, and what of it is kept."""

    step: int | None  # None where there is no such line, as in those of earlier versions
    kept: str  # WHOLE, WEIGHTS or NOTHING


class CheckpointFiles:
    """The checkpoints of all runs, a file for each model. Runs and models must be named by ourselves or the database.

    One thread at a time may change a file; any may read.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, run: str, model: str) -> Path:
        return self.directory / f"{run}.{model}.checkpoint"

    def write(self, run: str, model: str, data: bytes) -> None:
        """Put a checkpoint in the place of the one before. Raises OSError, and that one stays."""
        replace_file(self.path(run, model), hashlib.sha256(data).digest() + data)

    def read(self, run: str, model: str) -> bytes | None:
        """Return a model's checkpoint, None where there is none. Raises DamagedCheckpoint."""
        try:
            content = self.path(run, model).read_bytes()
        except FileNotFoundError:
            return None
        digest, data = content[:DIGEST_SIZE], content[DIGEST_SIZE:]
        if hashlib.sha256(data).digest() != digest:
            raise DamagedCheckpoint(self.path(run, model).name)
        return data

    def told(self, run: str, model: str) -> Told | None:
        """Return what a model's checkpoint tells before it is read whole; None where there was none. Not checked."""
        path = self.path(run, model)
        try:
            return told_by(read_head(path))
        except FileNotFoundError:
            pass
        try:
            return Told(told_by(read_head(dropped_path(path))).step, NOTHING)
        except FileNotFoundError:
            return None

    def size(self, run: str, model: str) -> int:
        """Return how many bytes a model's checkpoint takes, 0 where there is none."""
        return bytes_in(self.path(run, model))

    def mark(self, run: str, model: str) -> bytes | None:
        """Return what tells a model's checkpoint from any other, None where there is none."""
        try:
            with self.path(run, model).open("rb") as file:
                return file.read(DIGEST_SIZE)
        except FileNotFoundError:
            return None

    def drop(self, run: str, model: str) -> None:
        """Give up a model's checkpoint, if there is one; this takes no room, so it can be done on a full disk.

        Once it has its new name it is dropped, also where the process is killed before it is short. Raises OSError.
        """
        path = self.path(run, model)
        try:
            os.replace(path, dropped_path(path))
        except FileNotFoundError:
            return
        flush_folder(path.parent)
        shorten(dropped_path(path))

    def set_aside(self, run: str, model: str) -> None:
        """Give a damaged file another name, so that no later one takes its place; leave a sound one alone."""
        try:
            self.read(run, model)
        except DamagedCheckpoint:
            path = self.path(run, model)
            os.replace(path, path.with_suffix(".damaged"))

    def remove(self, run: str, model: str) -> None:
        path = self.path(run, model)
        path.unlink(missing_ok=True)
        dropped_path(path).unlink(missing_ok=True)

    def remove_halves(self) -> None:
        """Remove what a process that was killed had written of a file, and what it had yet to take of one."""
        for part in self.directory.glob("*.part"):
            part.unlink()
        for dropped in self.directory.glob("*.dropped"):
            shorten(dropped)

    def places(self) -> list[tuple[str, str]]:
        """Return run and model of every checkpoint that there is, the oldest run's first."""
        names = sorted(path.name.split(".") for path in self.directory.glob("*.checkpoint"))
        return [(run, model) for run, model, _ in names]

    def is_empty(self) -> bool:
        return not any(self.directory.glob("*.checkpoint"))


def bytes_in(path: Path) -> int:
    """Return how many bytes a file takes, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def dropped_path(path: Path) -> Path:
    return path.with_suffix(".dropped")


def read_head(path: Path) -> bytes:
    """Return the beginning of a checkpoint as it is in a file, for `told_by`."""
    with path.open("rb") as file:
        return file.read(DIGEST_SIZE + HEAD_SIZE)[DIGEST_SIZE:]


def shorten(path: Path) -> None:
    """Leave nothing of a dropped checkpoint but its first line; do nothing where that is done."""
    if path.stat().st_size <= DIGEST_SIZE + HEAD_SIZE:
        return
    line, end, _ = read_head(path).partition(b"\n")
    with path.open("rb+") as file:
        file.truncate(DIGEST_SIZE + len(line) + 1 if end and told_by(line).step is not None else 0)
        os.fsync(file.fileno())


def first_line(header: Sequence[Any], kept: str = WHOLE) -> bytes:
    """Return a checkpoint's first line: the step after which it was taken, what else its header has, what is kept."""
    return json.dumps([*header] if kept == WHOLE else [*header, kept]).encode() + b"\n"


def told_by(head: bytes) -> Told:
    """Return what a checkpoint tells by its first line."""
    try:
        step, *_, last = json.loads(head[:HEAD_SIZE].partition(b"\n")[0])
    except (ValueError, TypeError):
        return Told(None, WHOLE)
    return Told(step if isinstance(step, int) else None, WEIGHTS if last == WEIGHTS else WHOLE)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that whoever opens it, now or after a crash, finds the old or the new one, whole."""
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)  # gives a full disk its room back
        raise
    flush_folder(path.parent)


def flush_folder(path: Path) -> None:
    """Have the names of a folder's files on the disk."""
    if os.name == "posix":  # Windows cannot open a folder, and keeps the order by itself
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
