"""Checkpoint files: whole or not at all, each with a digest that tells whether it is sound."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

DIGEST_SIZE = hashlib.sha256().digest_size  # bytes
HEAD_SIZE = 256  # bytes, more than a header takes


class DamagedCheckpoint(Exception):
    """A checkpoint's file is not as it was written."""


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

    def head(self, run: str, model: str) -> bytes | None:
        """Return the beginning of a model's checkpoint, for `step_of`; None where there is none. Not checked."""
        try:
            with self.path(run, model).open("rb") as file:
                return file.read(DIGEST_SIZE + HEAD_SIZE)[DIGEST_SIZE:]
        except FileNotFoundError:
            return None

    def set_aside(self, run: str, model: str) -> None:
        """Give a damaged file another name, so that no later one takes its place; leave a sound one alone."""
        try:
            self.read(run, model)
        except DamagedCheckpoint:
            path = self.path(run, model)
            os.replace(path, path.with_suffix(".damaged"))

    def remove(self, run: str, model: str) -> None:
        self.path(run, model).unlink(missing_ok=True)

    def remove_halves(self) -> None:
        """Remove what a process that was killed had written of a file."""
        for part in self.directory.glob("*.part"):
            part.unlink()

    def is_empty(self) -> bool:
        return not any(self.directory.glob("*.checkpoint"))


def step_of(head: bytes) -> int | None:
    """Return after how many steps a checkpoint was taken, by its first line, as training/checkpoint.py writes it.

    None where there is no such line, as in those of earlier versions.
    """
    try:
        step, *_ = json.loads(head[:HEAD_SIZE].partition(b"\n")[0])
    except (ValueError, TypeError):
        return None
    return step if isinstance(step, int) else None


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
