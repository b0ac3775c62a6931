"""What a run has been promised when another goes on from it, when others read the file, when the disk refuses."""

import os
import sqlite3
from pathlib import Path

import pytest
from histories import CONFIGS, FullDisk, checkpoint_file, points, recorded, running, saved_points

from config import MODEL_NAMES
from history.branches import Origin
from history.records import Point
from history.store import RunStore

pytestmark = pytest.mark.usefixtures("quiet")

RUN, CHILD = "20260102-030405-abcd", "20260102-030406-abcd"


@pytest.mark.parametrize("goes_on", ["under its own id", "as a new run"])
def test_run_has_its_weights_on_the_disk_before_anything_goes_on_from_it(
    store: RunStore, history_dir: Path, goes_on: str
) -> None:
    log = recorded(store, RUN)
    log.publish("model1", running("model1"), points(1, 10))
    for name in MODEL_NAMES:
        store.save_checkpoint(RUN, name, b"weights")
    if goes_on == "as a new run":
        origins = {name: Origin(name, 10, b"weights", CONFIGS[name], None) for name in MODEL_NAMES}
        store.branch(RUN, "forked", CHILD, origins, {})
    else:
        store.reopen(RUN, dict.fromkeys(MODEL_NAMES, 10))
    assert len(saved_points(history_dir)) >= 10
    for name in MODEL_NAMES:  # as a process finds it that begins after this one was killed
        assert checkpoint_file(history_dir, RUN, name).read_bytes().endswith(b"weights")


def test_checkpoint_is_written_while_another_program_reads_the_history(store: RunStore, history_dir: Path) -> None:
    log = recorded(store, RUN)
    store.save()
    foreign = sqlite3.connect(history_dir / "history.sqlite")
    try:
        foreign.execute("BEGIN")
        foreign.execute("SELECT count(*) FROM runs").fetchone()
        log.publish("model1", running("model1"), points(1, 10))
        store.save_checkpoint(RUN, "model1", b"weights")
        store.save()
        assert store.problem is None
        assert checkpoint_file(history_dir, RUN, "model1").exists()
    finally:
        foreign.close()


def test_damaged_checkpoint_that_stays_where_it_is_stops_no_saving(
    store: RunStore, history_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = recorded(store, RUN)
    store.save_checkpoint(RUN, "model1", b"weights")
    store.save()
    checkpoint_file(history_dir, RUN, "model1").write_bytes(b"damaged")
    assert store.checkpoint(RUN, "model1") is None

    def refuse(*paths: object) -> None:
        raise PermissionError(13, "in use")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refuse)
        log.publish("model1", running("model1"), points(1, 10))
        store.save()
        assert store.problem is None
    assert len(saved_points(history_dir)) == 10


def test_steps_that_wait_twice_are_told_once_and_in_order(store: RunStore, disk: FullDisk, history_dir: Path) -> None:
    log = recorded(store, RUN)
    log.publish("model1", running("model1"), points(1, 10))
    store.save()
    disk.full = True
    log.publish("model1", running("model1"), points(11, 20))
    again = recorded(store, RUN)  # the run goes on from an earlier checkpoint while its last steps still wait
    again.publish("model1", running("model1"), points(8, 30))
    told = [point.step for portion in store.read(Point, RUN, "model1", 100) for point in portion]
    assert told == [*range(1, 31)]
    disk.full = False
    store.save()
    assert [point.step for portion in store.read(Point, RUN, "model1", 100) for point in portion] == told
