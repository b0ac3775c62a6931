"""Series of repeats: pairs of trainings that differ in nothing but the seed."""

import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from history.database import Database
from history.errors import NotSaved, UnknownRun
from history.reader import RunReader
from history.soundness import checked_json
from history.states import INTERRUPTED
from history.tables import SERIES

DELETED_PAIRS = (  # series and seed of those that were deleted since the start
    "SELECT DISTINCT series, json_extract(config, '$.seed') FROM runs JOIN models ON run = id"
    " WHERE deleted AND series IS NOT NULL"
)
NOTE_DELETED = (  # in the plan of their series, for when they are purged
    "UPDATE series SET plan = json_insert(json_insert(plan, '$.deleted', json('[]')), '$.deleted[#]', ?)"
    " WHERE id = ? AND json_valid(plan)"
)


class SeriesHistory:
    """The series that there have been. Safe to call from any thread."""

    def __init__(self, database: Database, reader: RunReader) -> None:
        self._database = database
        self._reader = reader

    def start(self, series: str, plan: Mapping[str, Any]) -> None:
        """Enter a series that is running. Raises NotSaved."""
        row = (series, datetime.now(UTC).isoformat(), "running", json.dumps(plan))
        try:
            with self._database.transaction() as connection:
                connection.execute(SERIES.insert(otherwise="ABORT"), row)
        except sqlite3.Error as error:
            raise NotSaved(f"The series could not be written: {error}") from error

    def find(self, series: str | None = None) -> dict[str, Any]:
        """Return a series, the latest unless named: id, started, state, plan, its runs with each model's status, and
        the seeds of those that were deleted.

        Raises UnknownRun where there is none.
        """
        rest, values = ("WHERE id = ?", (series,)) if series else ("ORDER BY id DESC LIMIT 1", ())
        rows = self._database.read(SERIES.select(rest, names=SERIES.names), values, checked_json(3))
        if not rows:
            raise UnknownRun(series or "series")
        [(name, started, state, text)] = rows
        plan = json.loads(text)
        runs = self._database.select("SELECT id FROM runs WHERE series = ? AND NOT deleted ORDER BY id", (name,))
        deleted = {seed for of, seed in self._database.select(DELETED_PAIRS) if of == name}
        return {
            "id": name,
            "started": started,
            "state": state,
            "plan": plan,
            "runs": {run: self._reader.statuses(run) for (run,) in runs},
            "deleted": deleted | set(plan.get("deleted", [])),
        }

    def seeds(self) -> set[int]:
        """Return the seeds of all series that there have ever been."""
        plans = self._database.read(SERIES.select(names=("plan",)), (), checked_json(0))
        return {seed for (plan,) in plans for seed in json.loads(plan).get("seeds", [])}

    def of_run(self, run: str) -> str | None:
        """Return the series that a run is a pair of, None where it is of none."""
        rows = self._database.select("SELECT series FROM runs WHERE id = ?", (run,))
        return rows[0][0] if rows else None

    def like(self, run: str) -> str | None:
        """Return the series that a run is a pair of, else the latest with the run's settings apart from the seed.

        None where there is no such series.
        """
        plans = self._database.read(SERIES.select("ORDER BY id DESC", names=("id", "plan")), (), checked_json(1))
        if not plans:
            return None
        own = self.of_run(run)
        if own in dict(plans):
            return own
        configs = self._database.select("SELECT model, config FROM models WHERE run = ?", (run,))
        wanted = {model: _without_seed(json.loads(config)) for model, config in configs}
        alike = (
            series
            for series, plan in plans
            if {model: _without_seed(config) for model, config in json.loads(plan)["configs"].items()} == wanted
        )
        return next(alike, None)


def mark_interrupted_series(connection: sqlite3.Connection) -> None:
    """Mark the series that was running when its process died."""
    connection.execute("UPDATE series SET state = ? WHERE state = 'running'", (INTERRUPTED,))


def note_deleted_pair(connection: sqlite3.Connection, run: str) -> None:
    """Put the seed of a run that is a pair of a series into its plan, before it is purged."""
    for series, seed in connection.execute(f"{DELETED_PAIRS} AND id = ?", (run,)).fetchall():
        connection.execute(NOTE_DELETED, (seed, series))


def _without_seed(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "seed"}
