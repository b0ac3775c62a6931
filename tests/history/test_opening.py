"""Who may open a history, and what becomes of the runs that are in it."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import PATIENCE
from histories import CONFIGS, recorded

from config import MODEL_NAMES
from history import migrations, salvage
from history.records import Status
from history.store import RunStore, StoreError

ROOT = Path(__file__).resolve().parents[2]


def test_run_that_its_process_left_behind_is_marked_interrupted(history_dir: Path) -> None:
    killed = """
import os, sys
sys.path[:0] = [".", "tests", "tests/history"]
from pathlib import Path
from histories import points, recorded, running
from history.store import RunStore
store = RunStore(Path(sys.argv[1]))
log = recorded(store, "run")
log.publish("model1", running("model1", step=7, eta_seconds=9.0), points(1, 7))
store.save()
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", killed, str(history_dir)], cwd=ROOT, timeout=PATIENCE)
    assert done.returncode == -9
    store = RunStore(history_dir)  # the lock has died with its holder
    try:
        (entry,) = store.runs()
        assert {model["state"] for model in entry["models"].values()} == {"interrupted"}
        shown = store.run("run").view()[1]["model1"]
        assert shown["points"]["step"] == list(range(1, 8))
        assert (shown["step"], shown["eta_seconds"]) == (7, None)
    finally:
        store.close()


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_run_that_was_over_keeps_its_state(history_dir: Path, state: str) -> None:
    store = RunStore(history_dir)
    log = recorded(store, "run")
    for model in MODEL_NAMES:
        log.publish(model, Status(state, config=CONFIGS[model].model_dump(mode="json")))
    store.close()
    again = RunStore(history_dir)
    try:
        assert {model["state"] for model in again.runs()[0]["models"].values()} == {state}
    finally:
        again.close()


def test_second_owner_is_refused_until_the_first_has_closed(history_dir: Path) -> None:
    first = RunStore(history_dir)
    with pytest.raises(StoreError) as caught:
        RunStore(history_dir)
    assert str(caught.value) == f"{history_dir} is in use by another server: stop that one or give --runs-dir"
    first.close()
    RunStore(history_dir).close()


def test_missing_folders_are_made(tmp_path: Path) -> None:
    RunStore(tmp_path / "a" / "b" / "runs").close()
    assert (tmp_path / "a" / "b" / "runs" / "history.sqlite").is_file()


def test_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        RunStore(tmp_path / "file" / "runs")
    message = str(caught.value)
    assert message.startswith(f"Cannot write runs to {tmp_path / 'file' / 'runs'}: ")
    assert message.endswith(". Give another --runs-dir.")


def test_read_only_directory_is_named_at_the_start(history_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the refusal is SQLite's own, asked to open the file read-only."""
    RunStore(history_dir).close()
    connect = migrations.connect
    monkeypatch.setattr(salvage, "connect", lambda path, mode="rwc": connect(path, "ro"))
    with pytest.raises(
        StoreError, match=r"Cannot write runs to .*: attempt to write a readonly database\. Give another"
    ):
        RunStore(history_dir)


def test_history_of_a_newer_version_is_left_alone(history_dir: Path) -> None:
    RunStore(history_dir).close()
    with sqlite3.connect(history_dir / "history.sqlite") as history:
        history.execute("PRAGMA user_version = 99")
    history.close()
    with pytest.raises(StoreError, match=r"written by a newer version \(99 > \d+\)"):
        RunStore(history_dir)


def test_refused_store_gives_the_directory_back(history_dir: Path) -> None:
    """One that could not be opened must not stand in the way of the next, in the same process."""
    test_history_of_a_newer_version_is_left_alone(history_dir)
    with pytest.raises(StoreError, match="newer version"):
        RunStore(history_dir)
