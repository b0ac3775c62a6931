"""Room: what the history takes on the disk, and what of it can be given up."""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from history.checkpoints import NOTHING, CheckpointFiles, bytes_in
from history.database import Database
from history.reader import RunReader
from history.records import Training
from history.tables import MEASUREMENTS, Table
from history.writer import Writer

OF_NUMBER = 8  # bytes that a number takes at most


def bytes_of(table: Table) -> str:
    """Return the query for how many bytes the rows of a training take in a table, some per row for SQLite left out."""
    numbers = sum(kind.startswith(("integer", "real")) for kind in table.columns.values())
    texts = [name for name, kind in table.columns.items() if kind.startswith(("text", "blob"))]
    size = " + ".join([str(OF_NUMBER * numbers), *(f"coalesce(length({name}), 0)" for name in texts)])
    return table.select("WHERE run = ? AND model = ?", names=(f"coalesce(sum({size}), 0)",))


MEASURED = " + ".join(f"({bytes_of(table)})" for table in MEASUREMENTS)
IS_LISTED = "(SELECT id FROM runs WHERE NOT deleted)"


class DiskRoom:
    """What the history of one directory takes. Safe to call from any thread."""

    def __init__(
        self, directory: Path, database: Database, reader: RunReader, writer: Writer, checkpoints: CheckpointFiles
    ) -> None:
        self._directory = directory
        self._database = database
        self._reader = reader
        self._writer = writer
        self._checkpoints = checkpoints

    def usage(self) -> dict[str, int]:
        """Return how many bytes all takes, the history's file with its log, and the checkpoints; the room that is left
        on the disk; and how many runs there are.
        """
        [(runs,)] = self._database.select("SELECT count(*) FROM runs WHERE NOT deleted")
        return {
            "bytes": bytes_below(self._directory),
            "history": sum(map(bytes_in, self._database.files)),
            "checkpoints": bytes_below(self._checkpoints.directory),
            "free": shutil.disk_usage(self._directory).free,
            "runs": runs,
        }

    def of(self, trainings: Iterable[Training]) -> dict[str, dict[str, Any]]:
        """Return by address what is kept of each training's checkpoint, and how many bytes it and all measured take.

        One that is not in the history is left out.
        """
        return {each.address: self._of(each) for each in trainings if self._is_listed(each)}

    def _of(self, training: Training) -> dict[str, Any]:
        told = self._reader.told(*training)
        [(measured,)] = self._database.select(f"SELECT {MEASURED}", training * len(MEASUREMENTS))
        return {
            "checkpoint": None if told is None or told.kept == NOTHING else told.kept,
            "checkpoint_bytes": self.size(training),
            "history_bytes": measured,
        }

    def _is_listed(self, training: Training) -> bool:
        query = f"SELECT 1 FROM models WHERE run = ? AND model = ? AND run IN {IS_LISTED}"  # noqa: S608 - ours
        return bool(self._database.select(query, training))

    # Checkpoints, of trainings that are known

    def size(self, training: Training) -> int:
        """Return how many bytes a checkpoint takes, 0 where there is none."""
        return self._checkpoints.size(*training)

    def mark(self, training: Training) -> bytes | None:
        """Return what tells a checkpoint from any other, None where there is none on the disk."""
        return self._checkpoints.mark(*training)

    def replace(self, training: Training, mark: bytes, data: bytes) -> bool:
        """Put a checkpoint in the place of the one with this mark, as Writer.replace_checkpoint does."""
        return self._writer.replace_checkpoint(*training, mark, data)

    def drop(self, training: Training) -> bool:
        """Give up a checkpoint, as Writer.drop_checkpoint does."""
        return self._writer.drop_checkpoint(*training)


def bytes_below(folder: Path) -> int:
    """Return how many bytes the files in a folder and those below it take; some may come and go meanwhile."""
    total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                is_folder = entry.is_dir(follow_symlinks=False)
                total += bytes_below(Path(entry.path)) if is_folder else entry.stat(follow_symlinks=False).st_size
    return total
