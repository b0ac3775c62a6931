import json
import math
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import CPU, PATIENCE, endless, quick, wait_for
from hypothesis import given, settings
from hypothesis import strategies as st

from config import MODEL_NAMES, ModelConfig
from history import salvage as database
from history import tables
from history.curves import MAX_POINTS
from history.log import MetricsLog
from history.records import Evaluation, Event, Point, Status
from history.store import RunStore, StoreError, UnknownRun
from train import Comparison
from training.images import FashionMNIST

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {"model1": quick(), "model2": quick(optimizer="sgd", learning_rate=0.01)}


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def store(runs_dir: Path) -> Iterator[RunStore]:
    store = RunStore(runs_dir)
    yield store
    store.close()


def running(model: str, **news: Any) -> Status:
    return Status("running", config=CONFIGS[model].model_dump(mode="json"), **news)


class Log(MetricsLog):
    """A log whose statuses have come as far as the points that they come with, as a trainer's have."""

    def publish(
        self, model: str, status: Status, points: Sequence[Point] = (), *more: Any, flush: bool = False
    ) -> None:
        evaluations = more[0] if more else ()
        step = max([self.status(model).step, status.step, *(row.step for row in (*points, *evaluations))])
        super().publish(model, replace(status, step=step), points, *more, flush=flush)


def recorded(store: RunStore, run: str = "20260102-030405-abcd") -> MetricsLog:
    """Return the log of a new run that the store records, both models running."""
    log = Log(MODEL_NAMES, keep_unsaved=True)
    for model in MODEL_NAMES:
        log.publish(model, running(model))
    store.record(run, log, CONFIGS, {"torch": "2"})
    return log


def points(first: int, last: int) -> list[Point]:
    return [Point(step, step / 7, step / 11, 1 / step, 0.5) for step in range(first, last + 1)]


def saved_points(runs_dir: Path, model: str = "model1") -> list[tuple[Any, ...]]:
    """Return a model's points as another process reads them from the disk."""
    with sqlite3.connect(f"file:{runs_dir / 'history.sqlite'}?mode=ro", uri=True) as history:
        rows = history.execute(
            "SELECT step, epoch, seconds, loss, accuracy FROM points WHERE model = ? ORDER BY step", (model,)
        ).fetchall()
    history.close()
    return rows


# What is saved


def test_every_point_is_saved_at_full_resolution(store: RunStore, runs_dir: Path) -> None:
    log, measured = recorded(store), points(1, 3 * MAX_POINTS)
    log.publish("model1", running("model1"), measured)
    store.save()
    assert saved_points(runs_dir) == [tuple(point) for point in measured]
    assert saved_points(runs_dir, "model2") == []


def test_saving_goes_on_by_itself_while_a_run_is_recorded(store: RunStore, runs_dir: Path) -> None:
    log = recorded(store)
    log.publish("model1", running("model1"), points(1, 10))
    wait_for(lambda: len(saved_points(runs_dir)) == 10, "saved points")
    log.publish("model1", running("model1"), points(11, 20))
    wait_for(lambda: len(saved_points(runs_dir)) == 20, "further saved points")


def test_real_run_is_saved_as_it_was_measured(
    store: RunStore, runs_dir: Path, small_fashion_mnist: FashionMNIST
) -> None:
    log = MetricsLog(MODEL_NAMES, keep_unsaved=True)
    comparison = Comparison(CONFIGS, small_fashion_mnist, device=CPU, metrics=log)
    store.record(comparison.run_id, log, CONFIGS, {})
    comparison.start()
    assert comparison.join(PATIENCE)
    _, expected = log.view()
    _, shown = store.run(comparison.run_id).view()
    assert shown == expected
    assert shown["model1"]["state"] == "finished"
    assert shown["model1"]["points"]["step"] == list(range(1, 17))


def test_run_reads_the_same_after_the_store_was_closed_and_opened_again(runs_dir: Path) -> None:
    store = RunStore(runs_dir)
    log = recorded(store, "run")
    for model, other in (("model1", 0.1), ("model2", 0.2)):
        done = Status("finished", config=CONFIGS[model].model_dump(mode="json"), step=30, val_accuracy=other)
        log.publish(
            model,
            done,
            points(1, 30),
            [Evaluation(15, 0.5, 1.5, other, 0.75), Evaluation(30, 1.0, 3.0, other, 0.875, 0.9)],
            [Event("running", 0, 0.0, 0.0), Event("finished", 30, 1.0, 3.0)],
        )
    _, expected = log.view()
    store.close()
    again = RunStore(runs_dir)
    try:
        assert again.run("run").view()[1] == expected
        (entry,) = again.runs()
        assert entry["models"]["model1"]["state"] == "finished"
    finally:
        again.close()


def test_events_of_one_step_keep_their_order(store: RunStore) -> None:
    log = recorded(store, "run")
    kinds = ["running", "paused", "running", "paused", "running", "paused", "stopped"]
    for place, kind in enumerate(kinds):
        log.publish("model1", running("model1"), [], [], [Event(kind, 0 if place == 0 else 5, 0.0, 0.0)])
    assert [event.kind for event in store.run("run").events("model1")] == kinds


@given(
    # SQLite keeps -0.0 as 0.0
    st.lists(
        (st.floats() | st.sampled_from([math.nan, math.inf, -math.inf])).map(lambda x: x + 0.0), min_size=1, max_size=20
    ),
    st.lists(st.floats(0, 1), min_size=20, max_size=20),
)
@settings(max_examples=20)
def test_any_loss_survives_the_way_to_the_disk_and_back(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float], accuracies: list[float]
) -> None:
    store = RunStore(tmp_path_factory.mktemp("runs"))
    try:
        log = recorded(store, "run")
        measured = [
            Point(step, 0.5, 0.25, loss, accuracy)
            for step, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=False), 1)
        ]
        log.publish("model1", running("model1", loss=losses[-1]), measured, [Evaluation(1, 0.1, 0.1, losses[0], 0.5)])
        _, expected = log.view()
        back = store.run("run")
        assert back.view()[1] == expected
        assert repr(back.evaluations("model1")) == repr(log.evaluations("model1"))
    finally:
        store.close()


def test_broken_loss_comes_back_where_the_run_broke(store: RunStore) -> None:
    log = recorded(store, "run")
    log.publish("model1", running("model1", loss=math.nan), [*points(1, 9), Point(10, 0.1, 0.1, math.nan, 0.1)])
    shown = store.run("run").view()[1]["model1"]
    assert shown["points"]["loss"][-1] is None
    assert shown["points"]["step"][-1] == 10
    assert shown["loss"] is None


def test_runs_come_newest_first_with_what_differs(store: RunStore) -> None:
    assert store.runs() == []
    for run in ("20260101-000000-aaaa", "20260103-000000-aaaa", "20260102-000000-aaaa"):
        recorded(store, run)
    runs = store.runs()
    assert [run["id"] for run in runs] == ["20260103-000000-aaaa", "20260102-000000-aaaa", "20260101-000000-aaaa"]
    for run in runs:
        assert run["differing"] == ["optimizer", "learning_rate"]
        assert list(run["models"]) == ["model1", "model2"]
        assert run["models"]["model2"]["config"] == CONFIGS["model2"].model_dump(mode="json")
        assert run["started"][:2] == "20"
        assert run["started"].endswith("+00:00")
    json.dumps(runs, allow_nan=False)


def test_history_counts_differing_settings_as_the_verdict_does(store: RunStore) -> None:
    configs = {"model1": quick(kernels=(4, 8)), "model2": quick(kernels=(4, 8, 8))}
    store.record("run", MetricsLog(MODEL_NAMES, keep_unsaved=True), configs, {})
    assert [run["differing"] for run in store.runs()] == [["kernels"]]


def test_next_run_does_not_lose_the_end_of_the_one_before(store: RunStore, runs_dir: Path) -> None:
    log = recorded(store, "first")
    log.publish("model1", running("model1"), points(1, 5))
    recorded(store, "second")
    assert [row[0] for row in saved_points(runs_dir)] == [1, 2, 3, 4, 5]


def test_unknown_run_is_refused(store: RunStore) -> None:
    for name in ("20260101-000000-aaaa", "", "../history", "' OR 1=1 --"):
        with pytest.raises(UnknownRun):
            store.run(name)


def test_saving_without_a_run_does_nothing(store: RunStore) -> None:
    store.save()
    assert (store.problem, store.runs()) == (None, [])


def test_readers_and_the_writer_do_not_get_in_each_others_way(store: RunStore, runs_dir: Path) -> None:
    log, problems = recorded(store, "run"), list[Exception]()

    def read() -> None:
        try:
            for _ in range(30):
                store.runs()
                store.run("run")
                store.save()
        except Exception as error:
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for first in range(1, 1001, 10):
        log.publish("model1", running("model1"), points(first, first + 9))
    for reader in readers:
        reader.join(PATIENCE)
    store.save()
    assert problems == []
    assert [row[0] for row in saved_points(runs_dir)] == list(range(1, 1001))


# Who may open it


def test_run_that_its_process_left_behind_is_marked_interrupted(runs_dir: Path) -> None:
    killed = """
import os, sys
sys.path[:0] = [".", "tests", "tests/history"]
from pathlib import Path
from test_store import points, recorded, running
from store import RunStore
store = RunStore(Path(sys.argv[1]))
log = recorded(store, "run")
log.publish("model1", running("model1", step=7, eta_seconds=9.0), points(1, 7))
store.save()
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", killed, str(runs_dir)], cwd=ROOT, timeout=PATIENCE)
    assert done.returncode == -9
    store = RunStore(runs_dir)  # the lock has died with its holder
    try:
        (entry,) = store.runs()
        assert {model["state"] for model in entry["models"].values()} == {"interrupted"}
        shown = store.run("run").view()[1]["model1"]
        assert shown["points"]["step"] == list(range(1, 8))
        assert (shown["step"], shown["eta_seconds"]) == (7, None)
    finally:
        store.close()


@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_run_that_was_over_keeps_its_state(runs_dir: Path, state: str) -> None:
    store = RunStore(runs_dir)
    log = recorded(store, "run")
    for model in MODEL_NAMES:
        log.publish(model, Status(state, config=CONFIGS[model].model_dump(mode="json")))
    store.close()
    again = RunStore(runs_dir)
    try:
        assert {model["state"] for model in again.runs()[0]["models"].values()} == {state}
    finally:
        again.close()


def test_second_owner_is_refused_until_the_first_has_closed(runs_dir: Path) -> None:
    first = RunStore(runs_dir)
    with pytest.raises(StoreError) as caught:
        RunStore(runs_dir)
    assert str(caught.value) == f"{runs_dir} is in use by another server: stop that one or give --runs-dir"
    first.close()
    RunStore(runs_dir).close()


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


def test_read_only_directory_is_named_at_the_start(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the refusal is SQLite's own, asked to open the file read-only."""
    RunStore(runs_dir).close()
    connect = tables.connect
    monkeypatch.setattr(database, "connect", lambda path, mode="rwc": connect(path, "ro"))
    with pytest.raises(
        StoreError, match=r"Cannot write runs to .*: attempt to write a readonly database\. Give another"
    ):
        RunStore(runs_dir)


def test_history_of_a_newer_version_is_left_alone(runs_dir: Path) -> None:
    RunStore(runs_dir).close()
    with sqlite3.connect(runs_dir / "history.sqlite") as history:
        history.execute("PRAGMA user_version = 99")
    history.close()
    with pytest.raises(StoreError, match=r"written by a newer version \(99 > \d+\)"):
        RunStore(runs_dir)


def test_refused_store_gives_the_directory_back(runs_dir: Path) -> None:
    """One that could not be opened must not stand in the way of the next, in the same process."""
    test_history_of_a_newer_version_is_left_alone(runs_dir)
    with pytest.raises(StoreError, match="newer version"):
        RunStore(runs_dir)


# Trouble with the disk


class FullDisk:
    """Stands before a connection: while `full`, every write fails as SQLite's does on a full disk."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.full = False
        self.refused = threading.Event()
        self._database = database

    def executemany(self, sql: str, rows: Any) -> Any:
        self._refuse()
        return self._database.executemany(sql, rows)

    def execute(self, sql: str, *values: Any) -> Any:
        if not sql.startswith("SELECT"):
            self._refuse()
        return self._database.execute(sql, *values)

    def _refuse(self) -> None:
        if self.full:
            self.refused.set()
            raise sqlite3.OperationalError("database or disk is full")

    def __enter__(self) -> Any:
        return self._database.__enter__()

    def __exit__(self, *error: Any) -> Any:
        return self._database.__exit__(*error)

    def close(self) -> None:
        self._database.close()


@pytest.fixture
def disk(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    disk = FullDisk(store._database)
    monkeypatch.setattr(store, "_database", disk)
    return disk


def test_full_disk_is_reported_and_nothing_is_lost_when_saving_resumes(
    store: RunStore, disk: FullDisk, runs_dir: Path
) -> None:
    log = recorded(store, "run")
    log.publish("model1", running("model1"), points(1, 10))
    store.save()
    disk.full = True
    log.publish("model1", running("model1"), points(11, 20), [Evaluation(20, 1.0, 1.0, 0.5, 0.5)])
    store.save()
    assert store.problem == "Not saved: database or disk is full. Training goes on; saving is tried again."
    log.publish("model1", running("model1"), points(21, 30))
    store.save()
    assert len(saved_points(runs_dir)) == 10
    disk.full = False
    wait_for(lambda: store.problem is None, "saving again")  # by itself
    assert [row[0] for row in saved_points(runs_dir)] == list(range(1, 31))
    assert len(store.run("run").evaluations("model1")) == 1


def test_history_stays_readable_while_the_disk_is_full(store: RunStore, disk: FullDisk) -> None:
    log = recorded(store, "run")
    log.publish("model1", running("model1"), points(1, 10))
    store.save()
    disk.full = True
    log.publish("model1", running("model1"), points(11, 20))
    assert [run["id"] for run in store.runs()] == ["run"]
    assert store.run("run").view()[1]["model1"]["points"]["step"] == list(range(1, 11))


def test_start_on_a_full_disk_still_records_the_run_once_there_is_room(
    store: RunStore, disk: FullDisk, runs_dir: Path
) -> None:
    """Faults, row 4: training goes on, the page says "not saved", saving resumes by itself."""
    disk.full = True
    log = recorded(store, "run")
    log.publish("model1", running("model1"), points(1, 10))
    store.save()
    assert "Not saved: database or disk is full" in str(store.problem)
    disk.full = False
    wait_for(lambda: store.problem is None, "saving again")
    assert [run["id"] for run in store.runs()] == ["run"]
    assert len(saved_points(runs_dir)) == 10


def test_run_started_after_a_full_disk_takes_nothing_from_the_one_before(
    store: RunStore, disk: FullDisk, runs_dir: Path
) -> None:
    first = recorded(store, "first")
    disk.full = True
    first.publish("model1", running("model1"), points(1, 10))
    store.save()
    disk.full = False
    recorded(store, "second")
    assert len(store.run("first").view()[1]["model1"]["points"]["step"]) == 10
    assert store.run("second").view()[1]["model1"]["points"]["step"] == []


def test_training_does_not_notice_a_full_disk(
    store: RunStore, disk: FullDisk, small_fashion_mnist: FashionMNIST, runs_dir: Path
) -> None:
    configs = {"model1": endless(), "model2": endless(seed=1)}
    log = MetricsLog(MODEL_NAMES, keep_unsaved=True)
    comparison = Comparison(configs, small_fashion_mnist, device=CPU, metrics=log)
    store.record("run", log, configs, {})
    disk.full = True
    comparison.start()
    assert disk.refused.wait(PATIENCE)
    before = log.status("model1").step
    wait_for(lambda: log.status("model1").step > before + 50, "training")
    disk.full = False
    comparison.stop()
    assert comparison.join(PATIENCE)
    store.save()
    for model in MODEL_NAMES:
        assert [row[0] for row in saved_points(runs_dir, model)] == list(range(1, log.status(model).step + 1))


def test_close_saves_what_is_left_and_ends_the_writer(runs_dir: Path) -> None:
    store = RunStore(runs_dir)
    log = recorded(store, "run")
    log.publish("model1", running("model1"), points(1, 10))
    store.close()
    assert len(saved_points(runs_dir)) == 10
    assert "store" not in [thread.name for thread in threading.enumerate()]


def test_config_of_a_run_comes_back_as_a_config(store: RunStore) -> None:
    recorded(store, "run")
    (entry,) = store.runs()
    assert {name: ModelConfig(**model["config"]) for name, model in entry["models"].items()} == CONFIGS
