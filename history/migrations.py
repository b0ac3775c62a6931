"""Migrations: the history's SQLite file and its versions, each made of the one before."""

import sqlite3
from pathlib import Path

from history import catalogue

MIGRATIONS = (
    # 1: runs and all that was measured in them
    """
    CREATE TABLE runs (id TEXT PRIMARY KEY, started TEXT NOT NULL, environment TEXT NOT NULL);
    CREATE TABLE models (
        run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, model TEXT NOT NULL,
        config TEXT NOT NULL, status TEXT NOT NULL, PRIMARY KEY (run, model)
    );
    CREATE TABLE points (
        run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, model TEXT NOT NULL,
        step INTEGER NOT NULL, epoch REAL NOT NULL, seconds REAL NOT NULL, loss REAL, accuracy REAL,
        PRIMARY KEY (run, model, step)
    ) WITHOUT ROWID;
    CREATE TABLE evaluations (
        run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, model TEXT NOT NULL,
        step INTEGER NOT NULL, epoch REAL NOT NULL, seconds REAL NOT NULL, loss REAL, accuracy REAL,
        train_accuracy REAL, PRIMARY KEY (run, model, step)
    ) WITHOUT ROWID;
    CREATE TABLE events (
        run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, model TEXT NOT NULL, number INTEGER NOT NULL,
        kind TEXT NOT NULL, step INTEGER NOT NULL, epoch REAL NOT NULL, seconds REAL NOT NULL,
        PRIMARY KEY (run, model, number)
    ) WITHOUT ROWID;
    """,
    # 2: a run can be given a name, and be deleted in a way that can be undone
    """
    ALTER TABLE runs ADD COLUMN name TEXT;
    ALTER TABLE runs ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
    """,
    # 3: what was seen inside the models, their answers, what a user changed on the way, and series of repeats;
    # predictions are numbered 0 for the validation, 1 for the test images
    """
    ALTER TABLE events ADD COLUMN detail TEXT;
    ALTER TABLE runs ADD COLUMN series TEXT;
    CREATE INDEX runs_by_series ON runs (series);
    CREATE TABLE series (id TEXT PRIMARY KEY, started TEXT NOT NULL, state TEXT NOT NULL, plan TEXT NOT NULL);
    CREATE TABLE insights (
        run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, model TEXT NOT NULL,
        step INTEGER NOT NULL, epoch REAL NOT NULL, layers TEXT NOT NULL, filters TEXT NOT NULL, weights BLOB NOT NULL,
        PRIMARY KEY (run, model, step)
    );
    CREATE TABLE predictions (
        run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, model TEXT NOT NULL, number INTEGER NOT NULL,
        step INTEGER NOT NULL, epoch REAL NOT NULL, probabilities BLOB NOT NULL, PRIMARY KEY (run, model, number)
    );
    """,
    # 4: a run can go on from another, its parent, which may be deleted: "forked" or "continued"
    """
    ALTER TABLE runs ADD COLUMN parent TEXT;
    ALTER TABLE runs ADD COLUMN branch TEXT;
    """,
    # 5: which validation images each evaluation had right, a bit each: NULL where it was made before
    """
    ALTER TABLE evaluations ADD COLUMN right_images BLOB;
    """,
    # 6: comparisons that wait in line; `run` is the one that such a comparison is about to become
    """
    CREATE TABLE queue (
        id TEXT PRIMARY KEY, place INTEGER NOT NULL, added TEXT NOT NULL, configs TEXT NOT NULL, run TEXT
    );
    """,
    # 7: points in chunks and answers in short, each with a checksum (history/chunks.py, history/answers.py), in a file
    # that keeps no free pages; what the start looks for is found without reading all. A history of before is written
    # anew, see history/copying.py: here the tables are made
    """
    DROP TABLE points;
    CREATE TABLE chunks (
        run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, model TEXT NOT NULL,
        first INTEGER NOT NULL, last INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (run, model, first)
    );
    ALTER TABLE predictions RENAME COLUMN probabilities TO answers;
    CREATE INDEX runs_deleted ON runs (id) WHERE deleted;
    CREATE INDEX models_unended ON models (run, model) WHERE
        CASE WHEN json_valid(status) THEN json_extract(status, '$.state') IN ('idle', 'paused', 'running') END;
    """,
    # 8: a user's words on a training, and what is chosen for the history as a whole. The best accuracy of a training is
    # found without reading the rows, which hold a blob each: so the catalogue is filled (history/catalogue.py)
    """
    ALTER TABLE models ADD COLUMN note TEXT;
    CREATE TABLE choices (id TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE INDEX evaluations_by_accuracy ON evaluations (run, model, accuracy);
    """,
)
WRITTEN_ANEW = 7  # the version that is not made in place of those before
SCHEMA_VERSION = len(MIGRATIONS)


def connect(path: Path, mode: str = "rwc") -> sqlite3.Connection:
    """Open a database: "ro" neither writes to it nor folds its write-ahead log in."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, check_same_thread=False)


def migrate(database: sqlite3.Connection) -> None:
    """Bring tables and catalogue to this version in one transaction: a killed process leaves the old ones or the new.

    Not for those of a version before WRITTEN_ANEW that hold something: those are copied (history/copying.py).
    """
    version = version_of(database)
    if not version:
        database.execute("PRAGMA auto_vacuum = FULL")  # no free pages are kept: see history/database.py
    scripts = [*MIGRATIONS[version:], catalogue.script(database)]
    if any(scripts):
        database.executescript(f"BEGIN; {' '.join(scripts)} PRAGMA user_version = {len(MIGRATIONS)}; COMMIT;")


def version_of(database: sqlite3.Connection) -> int:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)
