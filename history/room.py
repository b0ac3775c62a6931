"""Room: what the history takes on the disk, and what of it can be given up."""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from history.checkpoints import NOTHING, WHOLE, CheckpointFiles, bytes_in
from history.database import Database
from history.reader import RunReader
from history.records import Training
from history.tables import CHOICES, MEASUREMENTS, Table
from history.writer import Writer

OF_NUMBER = 8  # bytes that a number takes at most


def bytes_of(table: Table) -> str:
    """Return the query for how many bytes the rows of a training take in a table, some per row for SQLite left out."""
    numbers = sum(kind.startswith(("integer", "real")) for kind in table.columns.values())
    texts = [name for name, kind in table.columns.items() if kind.startswith(("text", "blob"))]
    size = " + ".join([str(OF_NUMBER * numbers), *(f"coalesce(length({name}), 0)" for name in texts)])
    return table.select("WHERE run = ? AND model = ?", names=(f"coalesce(sum({size}), 0)",))


MEASURED = " + ".join(f"({bytes_of(table)})" for table in MEASUREMENTS)
KEEP_WHOLE = "keep_whole"  # of how many runs, the newest, checkpoints are kept whole: no such row, no such rule


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

    def usage(self) -> dict[str, int | None]:
        """Return how many bytes all takes, the history's file with its log, and the checkpoints; the room that is left
        on the disk; how many runs there are, and of how many the checkpoints are kept whole.
        """
        [(runs,)] = self._database.select("SELECT count(*) FROM runs WHERE NOT deleted")
        return {
            "bytes": bytes_below(self._directory),
            "history": sum(map(bytes_in, self._database.files)),
            "checkpoints": bytes_below(self._checkpoints.directory),
            "free": shutil.disk_usage(self._directory).free,
            "runs": runs,
            "keep_whole": self.keep_whole,
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
        query = "SELECT 1 FROM models JOIN runs ON run = id WHERE run = ? AND model = ? AND NOT deleted"
        return bool(self._database.select(query, training))

    # The rule

    @property
    def keep_whole(self) -> int | None:
        """Of how many runs, the newest, the checkpoints are kept whole; None where the user has set no rule."""
        rows = self._database.select(CHOICES.select("WHERE id = ?"), (KEEP_WHOLE,))
        return next((int(value) for (value,) in rows if value.isdecimal()), None)

    def set_keep_whole(self, runs: int | None) -> None:
        """Set the rule, or with None have none. Raises NotSaved."""
        with self._database.change() as connection:
            if runs is None:
                connection.execute("DELETE FROM choices WHERE id = ?", (KEEP_WHOLE,))
            else:
                connection.execute(CHOICES.insert(), (KEEP_WHOLE, str(runs)))

    def whole_beyond(self, runs: int) -> list[Training]:
        """Return the trainings with a whole checkpoint of all but the newest runs, so many; the oldest first.

        What is deleted counts for nothing: it is purged, or restored as it was.
        """
        older = "SELECT id FROM runs WHERE NOT deleted ORDER BY id DESC LIMIT -1 OFFSET ?"
        ids = {run for (run,) in self._database.select(older, (runs,))}
        places = [place for place in self._checkpoints.places() if place[0] in ids]
        return [Training(*place) for place in places if (told := self._reader.told(*place)) and told.kept == WHOLE]

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
