"""Histories of older versions: each becomes the newest, or stays what it was where that was cut off."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from histories import CONFIGS, history_file, history_path

from config import MODEL_NAMES
from history import migrations, salvage
from history.store import RunStore, StoreError

ROOT = Path(__file__).resolve().parents[2]
RUN = "20260101-000000-aaaa"


def test_history_of_version_1_is_migrated_with_all_it_holds(tmp_path: Path) -> None:
    """Written by the first version's own tables and statements."""
    config = CONFIGS["model1"].model_dump_json()
    with sqlite3.connect(history_path(tmp_path)) as old:
        old.executescript(
            f"PRAGMA journal_mode = WAL; BEGIN; {migrations.MIGRATIONS[0]} PRAGMA user_version = 1; COMMIT;"
        )
        old.execute("INSERT INTO runs VALUES (?, ?, ?)", (RUN, "2026-01-01T00:00:00+00:00", '{"torch": "2"}'))
        for model in MODEL_NAMES:
            status = '{"state": "running", "step": 3, "total_steps": 9}'
            old.execute("INSERT INTO models VALUES (?, ?, ?, ?)", (RUN, model, config, status))
            for step in (1, 2, 3):
                old.execute("INSERT INTO points VALUES (?, ?, ?, 0.5, 0.25, NULL, 0.125)", (RUN, model, step))
            old.execute("INSERT INTO evaluations VALUES (?, ?, 3, 1.0, 1.0, 0.5, 0.5, NULL)", (RUN, model))
            old.execute("INSERT INTO events VALUES (?, ?, 0, 'running', 0, 0.0, 0.0)", (RUN, model))
    old.close()
    store = RunStore(tmp_path)
    try:
        assert state_of(history_path(tmp_path))[0] == migrations.SCHEMA_VERSION
        assert store.warning is None
        (run,) = store.runs()
        assert (run["id"], run["name"], run["models"]["model1"]["state"]) == (RUN, None, "interrupted")
        view = store.run(RUN).view()[1]["model2"]
        assert (view["points"]["step"], view["points"]["loss"]) == ([1, 2, 3], [None] * 3)
        assert (view["evaluations"]["step"], view["events"]["kind"]) == ([3], ["running"])
        [evaluation] = store.run(RUN).evaluations("model2")
        assert (evaluation.accuracy, evaluation.right_images) == (0.5, None)
        store.rename(RUN, "first")
        assert store.runs()[0]["name"] == "first"
    finally:
        store.close()


def test_migration_that_is_cut_off_leaves_the_old_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RunStore(tmp_path).close()
    broken = (*migrations.MIGRATIONS, "ALTER TABLE runs ADD COLUMN colour TEXT; CREATE TABLE runs (id);")
    monkeypatch.setattr(migrations, "MIGRATIONS", broken)
    monkeypatch.setattr(salvage, "SCHEMA_VERSION", len(broken))
    with pytest.raises(StoreError, match="table runs already exists"):
        RunStore(tmp_path)
    monkeypatch.undo()
    store = RunStore(tmp_path)
    try:
        with history_file(tmp_path) as found:
            columns = [row[1] for row in found.execute("PRAGMA table_info(runs)")]
        assert columns == ["id", "started", "environment", "name", "deleted", "series", "parent", "branch"]
    finally:
        store.close()


MIGRATE_AND_DIE = """
import os, pathlib, signal, sys
from history import migrations

left = int(sys.argv[2])  # of the instructions of SQLite's own machine, some of which are within a statement

def count():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

connection = migrations.connect(pathlib.Path(sys.argv[1]))
connection.set_progress_handler(count, 1)
migrations.migrate(connection)
connection.close()
"""


def write_old_history(folder: Path, version: int) -> None:
    """Write a run and 2,000 points with the tables of an earlier version."""
    folder.mkdir()
    with sqlite3.connect(history_path(folder)) as old:
        scripts = " ".join(migrations.MIGRATIONS[:version])
        old.executescript(f"PRAGMA journal_mode = WAL; BEGIN; {scripts} PRAGMA user_version = {version}; COMMIT;")
        old.execute("INSERT INTO runs (id, started, environment) VALUES (?, '2026-01-01', '{}')", (RUN,))
        for model in MODEL_NAMES:
            config, status = CONFIGS[model].model_dump_json(), '{"state": "running", "step": 1000}'
            old.execute("INSERT INTO models VALUES (?, ?, ?, ?)", (RUN, model, config, status))
            rows = [(RUN, model, step, 0.5, 0.25, 1.5, 0.125) for step in range(1, 1001)]
            old.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    old.close()


def state_of(path: Path) -> tuple[int, list[str]]:
    """Return a history's version and the statements that make its tables."""
    with sqlite3.connect(path) as found:
        assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (version,) = found.execute("PRAGMA user_version").fetchone()
        tables = [sql for (sql,) in found.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")]
    found.close()
    return version, tables


@pytest.mark.parametrize("version", range(migrations.SCHEMA_VERSION))
def test_history_whose_migration_was_killed_is_the_old_or_the_new_one_and_is_migrated_at_the_next_start(
    tmp_path: Path, version: int
) -> None:
    write_old_history(tmp_path / "old", version) if version else (tmp_path / "old").mkdir()
    whole = Path(shutil.copytree(tmp_path / "old", tmp_path / "whole"))
    RunStore(whole).close()
    before, after = state_of(history_path(tmp_path / "old")), state_of(history_path(whole))
    killed = 0
    for instructions in range(1, 100_000, 71):
        folder = Path(shutil.copytree(tmp_path / "old", tmp_path / "killed"))
        command = [sys.executable, "-S", "-c", MIGRATE_AND_DIE, str(history_path(folder)), str(instructions)]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        assert code in (0, -signal.SIGKILL)
        assert state_of(history_path(folder)) in (before, after)
        store = RunStore(folder)
        try:
            assert store.warning is None
            assert [store.run(run["id"]).status("model2").step for run in store.runs()] == [1000] * bool(version)
        finally:
            store.close()
        assert state_of(history_path(folder)) == after
        shutil.rmtree(folder)
        killed += code != 0
        if code == 0:
            break
    assert killed > 3
