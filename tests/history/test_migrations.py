"""Histories of older versions: each becomes the newest, or stays what it was where that was cut off."""

import errno
import logging
import math
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from histories import CONFIGS, history_file, history_path

from config import MODEL_NAMES
from history import copying, migrations, salvage, soundness
from history.points import put
from history.records import Evaluation, Point
from history.store import RunStore, StoreError

ROOT = Path(__file__).resolve().parents[2]
RUN = "20260101-000000-aaaa"
OLD_POINTS = [Point(step, 0.5, 0.25, 1.5, 0.125) for step in range(1, 1001)]


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
    monkeypatch.setattr(soundness, "SCHEMA_VERSION", len(broken))
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


OPEN_AND_DIE = """
import os, pathlib, shutil, signal, sys
sys.path[:0] = ["."]
from history import salvage

old, killed, stride = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])

def open_and_die(path, ticks):
    left = ticks  # of every so many instructions of SQLite's own machine, and of every change of a file

    def count(*_):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counting(call):
        def counted(*arguments, **options):
            count()
            result = call(*arguments, **options)
            count()
            return result
        return counted

    def connect(path, mode="rwc"):
        connection = open_connection(path, mode)
        connection.set_progress_handler(count, stride)
        return connection

    open_connection, salvage.connect = salvage.connect, connect
    os.replace, os.fsync = counting(os.replace), counting(os.fsync)
    pathlib.Path.unlink = counting(pathlib.Path.unlink)
    connection, _ = salvage.open_history(path)
    connection.close()
    os._exit(0)

for ticks in range(1, 10_000):
    folder = shutil.copytree(old, killed / str(ticks))
    child = os.fork()
    if child == 0:
        open_and_die(folder / "history.sqlite", ticks)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), status
    if status == 0:
        break
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
            columns = "run, model, config, status"
            old.execute(f"INSERT INTO models ({columns}) VALUES (?, ?, ?, ?)", (RUN, model, config, status))
            if version < migrations.WRITTEN_ANEW:
                rows = [(RUN, model, *point) for point in OLD_POINTS]
                old.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            else:
                put(old, RUN, model, OLD_POINTS, is_end=True)
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
    stride = {0: "60", 7: "100"}.get(version, "6000")
    command = [sys.executable, "-c", OPEN_AND_DIE, str(tmp_path / "old"), str(tmp_path / "killed"), stride]
    subprocess.run(command, cwd=ROOT, check=True)
    folders = sorted((tmp_path / "killed").iterdir())
    assert len(folders) > 8
    for folder in folders:
        assert state_of(history_path(folder)) in (before, after)
        store = RunStore(folder)
        try:
            assert store.warning is None
            assert [store.run_status(run["id"], "model2").step for run in store.runs()] == [1000] * bool(version)
            assert [measured(store, name) for name in MODEL_NAMES] == [OLD_POINTS if version else []] * 2
        finally:
            store.close()
        assert state_of(history_path(folder)) == after
        assert {path.name for path in folder.iterdir()} == {"history.sqlite", "owner.lock", "checkpoints"}


def measured(store: RunStore, model: str) -> list[Point]:
    return [point for portion in store.read(Point, RUN, model, 2000) for point in portion]


def test_old_history_is_written_anew_with_every_number_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    write_old_history(folder, 6)
    answers = np.random.default_rng(0).random((20, 10), np.float32)
    points = [(step, step / 7, step / 11, None if step == 5 else 1 / step, 0.5) for step in range(1, 9001)]
    evaluation = Evaluation(9000, 1.0, 2.0, math.nan, 0.5, 0.25, b"\x07")
    with sqlite3.connect(history_path(folder)) as old:
        old.execute("DELETE FROM points")
        old.executemany("INSERT INTO points VALUES (?, 'model1', ?, ?, ?, ?, ?)", [(RUN, *row) for row in points])
        old.execute("INSERT INTO predictions VALUES (?, 'model1', 1, 9000, 1.0, ?)", (RUN, answers.tobytes()))
        row = [None if value != value else value for value in evaluation]
        old.execute("INSERT INTO evaluations VALUES (?, 'model1', ?, ?, ?, ?, ?, ?, ?)", (RUN, *row))
        old.execute("UPDATE models SET status = json_set(status, '$.step', 9000) WHERE model = 'model1'")
        old.execute("INSERT INTO queue VALUES ('q', 1, '2026-01-02', '{}', NULL)")
        old.execute("INSERT INTO series VALUES ('s', '2026-01-02', 'finished', '{\"seeds\": []}')")
    old.close()
    size = history_path(folder).stat().st_size
    store = RunStore(folder)
    try:
        found = [tuple(point) for portion in store.read(Point, RUN, "model1", 9000) for point in portion]
        assert repr(found) == repr([tuple(math.nan if each is None else each for each in row) for row in points])
        [back] = store.run(RUN).evaluations("model1")
        assert repr(back) == repr(evaluation)
        kept = store.predictions(RUN)["model1"]["test"]
        assert (kept.probabilities == answers).all()
        assert ([item.id for item in store.queue.items()], store.series()["id"]) == (["q"], "s")
        store.wait_until_checked()
        assert store.warning is None
    finally:
        store.close()
    assert history_path(folder).stat().st_size < size / 2
    assert {path.name for path in folder.iterdir()} == {"history.sqlite", "owner.lock", "checkpoints"}


def test_migration_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_old_history(tmp_path / "runs", 6)
    monkeypatch.setattr(copying, "REPORT_INTERVAL", -1.0)
    with caplog.at_level(logging.INFO):
        RunStore(tmp_path / "runs").close()
    assert [record.getMessage() for record in caplog.records if "anew" in record.getMessage()] == [
        "the history history.sqlite is of an earlier version: it is written anew, which may take minutes",
        "the history is written anew: 0 of 2 trainings",
        "the history is written anew: 1 of 2 trainings",
        "the history is written anew: 1 run with 2000 points",
    ]


@pytest.mark.parametrize("step", ["write", "flush"])
def test_old_history_stays_where_there_is_no_room_for_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    folder = tmp_path / "runs"
    write_old_history(folder, 6)
    before = history_path(folder).read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    connect = migrations.connect

    def connect_to_a_small_disk(path: Path, mode: str = "rwc") -> sqlite3.Connection:
        connection = connect(path, mode)
        connection.execute("PRAGMA max_page_count = 10")
        return connection

    with monkeypatch.context() as patched:
        if step == "write":
            patched.setattr(salvage, "connect", connect_to_a_small_disk)
        else:
            patched.setattr(salvage.os, "fsync", refuse)
        with pytest.raises(StoreError, match=r"no room to bring history\.sqlite to this version: it stays as it is"):
            RunStore(folder)
    assert history_path(folder).read_bytes() == before
    assert not [path for path in folder.iterdir() if path.suffix in (".building", ".migrated")]
    store = RunStore(folder)
    try:
        assert measured(store, "model2") == OLD_POINTS
    finally:
        store.close()
