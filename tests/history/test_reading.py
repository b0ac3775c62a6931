"""Readers: they write nothing, wait for no disk, and see what has been handed over at once."""

import inspect
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import PATIENCE
from histories import CONFIGS, FullDisk, checkpoint_file, points, recorded, running, saved_points

from config import MODEL_NAMES
from exports.runs import as_csv, as_json
from history.log import MetricsLog
from history.reader import RunReader
from history.records import Evaluation, Event, Filters, Insight, Layer, Point, Predictions, Status, Training, new_run_id
from history.store import RunStore
from history.trainings import Question

RUN = "20260102-030405-abcd"
READERS: dict[str, Callable[[RunStore], Any]] = {
    "runs": lambda store: (store.runs(), store.runs(deleted=True)),
    "about": lambda store: store.about(RUN),
    "run": lambda store: store.run(RUN, windows=(275,)).view(),
    "fill": lambda store: store.fill(MetricsLog(MODEL_NAMES), RUN, store.statuses(RUN)),
    "configs": lambda store: store.configs(RUN),
    "statuses": lambda store: store.statuses(RUN),
    "states": lambda store: store.states(RUN),
    "run_status": lambda store: store.run_status(RUN, "model1"),
    "read": lambda store: list(store.read(Point, RUN, "model1", 100)),
    "point_at": lambda store: store.point_at(RUN, "model1", 7),
    "evaluations": lambda store: store.evaluations(RUN),
    "events": lambda store: store.events(RUN, "model1"),
    "insights": lambda store: store.insights(RUN),
    "predictions": lambda store: store.predictions(RUN),
    "checkpoints_at": lambda store: store.checkpoints_at(RUN),
    "told": lambda store: [store.told(RUN, name) for name in MODEL_NAMES],
    "checkpoint": lambda store: [store.checkpoint(RUN, name) for name in MODEL_NAMES],
    "series": lambda store: (store.series(), store.series("s"), store.series_seeds()),
    "series_of": lambda store: (store.series_of(RUN), store.series_like(RUN)),
    "trainings": lambda store: (store.trainings.find(Question()), store.trainings.groups(Question())),
    "notes": lambda store: (store.trainings.all(), store.trainings.values(), store.trainings.baseline),
    "room": lambda store: (store.room.usage(), store.room.of([Training(RUN, "model1")]), store.lineage.of(RUN)),
    "export": lambda store: ("".join(as_csv(store, RUN)), "".join(as_json(store, RUN))),
}


@pytest.fixture
def log(store: RunStore) -> MetricsLog:
    """The log of a run that is on, ten steps of which are saved."""
    store.start_series("s", {"seeds": [1], "configs": {}})
    log = recorded(store, RUN)
    hand_over(store, log, 1, 10)
    store.save_checkpoint(RUN, "model1", b"weights after 10")
    store.save()
    return log


def hand_over(store: RunStore, log: MetricsLog, first: int, last: int) -> None:
    """Measure some steps, at the last of which model 1 is evaluated and looked into."""
    evaluation = Evaluation(last, last / 7, last / 11, 1 / last, 0.5, None, b"\x07")
    log.publish("model1", running("model1"), points(first, last), [evaluation], [Event("paused", last, 1.0, 1.0)])
    layers = {"conv1": Layer(1.0, 2.0, None)}
    store.save_insight(RUN, "model1", Insight(last, last / 7, layers, Filters(1, 1, 1.0, b"\x7f")))
    answers = np.full((2, 10), last / 100, np.float32)
    store.save_predictions(RUN, "model1", Predictions("validation", last, last / 7, answers))


def test_every_reader_is_tried_here() -> None:
    names = [name for name, _ in inspect.getmembers(RunReader, inspect.isfunction) if not name.startswith("_")]
    assert set(names) <= set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_reading_method_writes_nothing(
    quiet: None, store: RunStore, disk: FullDisk, log: MetricsLog, history_dir: Path, name: str
) -> None:
    hand_over(store, log, 11, 20)
    store.wait_until_checked()
    before = contents(history_dir)
    disk.full = True  # from here on no statement but a SELECT gets through
    READERS[name](store)
    assert not disk.refused.is_set()
    assert contents(history_dir) == before
    disk.full = False


def contents(history_dir: Path) -> dict[Path, bytes]:
    """Return every file's content, without the memory that SQLite's readers share."""
    return {
        path: path.read_bytes() for path in history_dir.rglob("*") if path.is_file() and path.suffix != ".sqlite-shm"
    }


def test_reading_a_damaged_checkpoint_leaves_it_to_the_writer_to_set_it_aside(
    quiet: None, store: RunStore, log: MetricsLog, history_dir: Path
) -> None:
    path = checkpoint_file(history_dir, RUN, "model1")
    path.write_bytes(b"damaged")
    before = contents(history_dir)
    assert store.checkpoint(RUN, "model1") is None
    assert contents(history_dir) == before
    store.save_checkpoint(RUN, "model1", b"weights after 20")
    store.save()
    assert path.with_suffix(".damaged").read_bytes() == b"damaged"
    assert store.checkpoint(RUN, "model1") == b"weights after 20"
    assert str(store.warning).endswith(f"it was set aside as {path.stem}.damaged.")


def test_reader_sees_what_waits_for_the_disk(quiet: None, store: RunStore, log: MetricsLog, history_dir: Path) -> None:
    hand_over(store, log, 11, 20)
    store.save_checkpoint(RUN, "model1", b"weights after 20")
    assert len(saved_points(history_dir)) == 10
    waiting = what_is_read(store)
    assert waiting["points"] == points(1, 20)
    assert waiting["step"] == waiting["listed"] == 20
    assert waiting["evaluations"] == waiting["events"] == waiting["insights"] == [10, 20]
    assert waiting["answers"] == (20, 0.2)
    assert waiting["checkpoint"] == b"weights after 20"
    store.save()
    assert len(saved_points(history_dir)) == 20
    assert what_is_read(store) == waiting


def what_is_read(store: RunStore) -> dict[str, Any]:
    [entry], answers = store.runs(), store.predictions(RUN)["model1"]["validation"]
    return {
        "points": [point for portion in store.read(Point, RUN, "model1", 100) for point in portion],
        "step": store.run_status(RUN, "model1").step,
        "listed": entry["models"]["model1"]["step"],
        "evaluations": [each.step for each in store.run(RUN).evaluations("model1")],
        "events": [event.step for event in store.events(RUN, "model1")],
        "insights": [insight.step for insight in store.insights(RUN)["model1"]],
        "answers": (answers.step, pytest.approx(answers.probabilities[0, 0])),
        "view": store.run(RUN).view(),
        "checkpoint": store.checkpoint(RUN, "model1"),
    }


def test_what_is_measured_while_a_batch_is_written_is_seen_and_saved_with_the_next(
    quiet: None, store: RunStore, disk: FullDisk, log: MetricsLog, history_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, seen = disk.executemany, list[int]()

    def write_beside_a_reader(sql: str, rows: Any) -> Any:
        if "chunks" in sql and not seen:
            log.publish("model1", running("model1"), points(16, 20))
            seen.extend(point.step for portion in store.read(Point, RUN, "model1", 100) for point in portion)
        return write(sql, rows)

    monkeypatch.setattr(disk, "executemany", write_beside_a_reader)
    log.publish("model1", running("model1"), points(11, 15))
    store.save()
    assert seen == list(range(1, 21))
    assert len(saved_points(history_dir)) == 15
    assert store.run_status(RUN, "model1").step == 20
    store.save()
    assert [row[0] for row in saved_points(history_dir)] == list(range(1, 21))


@pytest.fixture(params=["file", "log"])
def hanging(
    request: pytest.FixtureRequest, store: RunStore, disk: FullDisk, log: MetricsLog, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The writer's thread hangs as it flushes a checkpoint's file, or SQLite's log before it."""
    stuck, go = threading.Event(), threading.Event()
    fsync, execute = os.fsync, disk.execute

    def hang() -> None:
        stuck.set()
        assert go.wait(PATIENCE)

    def hanging_fsync(descriptor: int) -> None:
        hang()
        fsync(descriptor)

    def hanging_execute(sql: str, *values: Any) -> Any:
        if "wal_checkpoint" in sql:
            hang()
        return execute(sql, *values)

    if request.param == "file":
        monkeypatch.setattr("history.checkpoints.os.fsync", hanging_fsync)
    else:
        monkeypatch.setattr(disk, "execute", hanging_execute)
    store.save_checkpoint(RUN, "model2", b"weights that are on their way")
    assert stuck.wait(PATIENCE)
    yield
    assert not go.is_set()
    go.set()
    store.save()
    assert store.problem is None


def in_time(call: Callable[[], Any]) -> Any:
    """Return what a call returns in a thread of its own; fail where it does not."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
    thread.start()
    thread.join(20)
    assert answers, "it waits for the disk"
    return answers[0]


def test_readers_answer_while_a_flush_to_the_disk_hangs(store: RunStore, log: MetricsLog, hanging: None) -> None:
    hand_over(store, log, 11, 20)
    for name, read in READERS.items():
        assert in_time(lambda read=read: (read(store),)), name  # type: ignore[misc]
    assert in_time(lambda: store.run_status(RUN, "model1")).step == 20
    assert in_time(lambda: store.checkpoint(RUN, "model2")) == b"weights that are on their way"
    assert in_time(lambda: what_is_read(store))["points"] == points(1, 20)


def test_change_does_not_wait_for_the_file_of_a_checkpoint(
    store: RunStore, log: MetricsLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, go = threading.Event(), threading.Event()
    fsync = os.fsync

    def hang(descriptor: int) -> None:
        stuck.set()
        assert go.wait(PATIENCE)
        fsync(descriptor)

    monkeypatch.setattr("history.checkpoints.os.fsync", hang)
    store.save_checkpoint(RUN, "model1", b"weights")
    assert stuck.wait(PATIENCE)
    in_time(lambda: (store.rename(RUN, "named meanwhile"),))
    in_time(lambda: (recorded(store, "20260102-030406-abcd"),))
    assert [entry["name"] for entry in store.runs()] == [None, "named meanwhile"]
    go.set()


def test_status_that_waits_is_told_by_a_series_too(quiet: None, store: RunStore) -> None:
    store.start_series("s", {"seeds": [1], "configs": {}})
    log = MetricsLog(MODEL_NAMES, keep_unsaved=True)
    store.record(RUN, log, CONFIGS, {}, "s")
    log.publish("model1", Status("finished", step=7, test_accuracy=0.875))
    assert store.series()["runs"][RUN]["model1"].test_accuracy == 0.875


def test_run_ids_are_unique_and_sort_by_time() -> None:
    ids = [new_run_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{8}", run) for run in ids)
    assert ids == sorted(ids)
