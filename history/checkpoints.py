"""Checkpoint files: whole or not at all."""

import contextlib
import hashlib
import os
from pathlib import Path

DIGEST_SIZE = hashlib.sha256().digest_size  # bytes


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
    if os.name == "posix":  # Windows cannot open a folder, and keeps the order by itself
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
