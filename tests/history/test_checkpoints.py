"""Checkpoints of real runs: written by the writer after the points that led to them, and waited for by nobody."""

import sqlite3
import threading
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from helpers import LIVELY, as_json, wait_for
from histories import checkpoint_file
from served import (
    QUICK,
    metrics_of,
    start,
    strict,
    wait_for_steps,
    wait_until,
)

from history import checkpoints
from history.store import RunStore
from training.checkpoint import header_of
from web.monitor import Monitor


@pytest.fixture
def store(tmp_path: Path, monitor: Monitor, client: FlaskClient) -> RunStore:
    return monitor.store


def test_checkpoint_is_written_by_the_writer_and_the_latest_wins(client: FlaskClient, store: RunStore) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    for number in range(5):
        store.save_checkpoint(run, "model1", b"weights %d" % number)
    path = checkpoint_file(store.directory, run, "model1")
    wait_for(lambda: path.exists() and path.read_bytes().endswith(b"weights 4"), "checkpoint")
    assert store.checkpoint(run, "model1") == b"weights 4"
    assert store.checkpoint(run, "../../model1") is None
    assert store.checkpoint("../x", "model1") is None
    store.save()  # model 2's as well
    wait_for(lambda: [each.suffix for each in path.parent.iterdir()] == [".checkpoint"] * 2, "both models' files alone")


def test_where_a_checkpoint_was_taken_is_told_without_reading_it_whole(
    client: FlaskClient, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    store.save_checkpoint(run, "model1", b"of an earlier version")
    store.save()
    steps = metrics_of(client)["models"]["model2"]["step"]
    with monkeypatch.context() as patch:
        patch.delattr(checkpoints.CheckpointFiles, "read")
        assert strict(client.get(f"/api/runs/{run}"))["checkpoints"] == {
            "model1": {"step": None, "epoch": None, "whole": True, "weights": True},
            "model2": {"step": steps, "epoch": 1.0, "whole": True, "weights": True},
        }


@pytest.mark.parametrize(
    ("head", "step", "kept"),
    [
        (b'[430, 0.001, "cosine"]\nPK', 430, "whole"),
        (b'[430, 0.001, "cosine", "weights"]\nPK', 430, "weights"),
        (b"[430, 0.001, 0.001]\nPK", 430, "whole"),  # as earlier versions wrote it, and before them without a header
        (b"PK\x03\x04", None, "whole"),
        (b"", None, "whole"),
        (b"[", None, "whole"),
        (b"[]\n", None, "whole"),
        (b"7\n", None, "whole"),
        (b"[null, null]\n", None, "whole"),
    ],
)
def test_first_line_of_a_checkpoint_tells_its_step_and_what_is_kept(head: bytes, step: int | None, kept: str) -> None:
    assert checkpoints.told_by(head) == (step, kept)


def test_points_are_on_disk_before_the_checkpoint_that_they_led_to(
    client: FlaskClient, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    write = checkpoints.replace_file

    def look(path: Path, data_: bytes) -> None:
        run, model, _ = path.name.split(".")
        other = sqlite3.connect(f"file:{path.parent.parent / 'history.sqlite'}?mode=ro", uri=True)
        (step,) = other.execute("SELECT max(last) FROM chunks WHERE run = ? AND model = ?", (run, model)).fetchone()
        other.close()
        seen.append((step, header_of(data_[checkpoints.DIGEST_SIZE :]).step))
        write(path, data_)

    monkeypatch.setattr(checkpoints, "replace_file", look)
    start(client, as_json(LIVELY))
    wait_until(client, "finished")
    store.save()
    assert len(seen) >= 2
    assert all(points >= step for points, step in seen)


def test_trainer_does_not_wait_for_a_slow_disk(
    client: FlaskClient, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, go = threading.Event(), threading.Event()
    write = checkpoints.replace_file

    def slow(path: Path, data_: bytes) -> None:
        stuck.set()
        assert go.wait(60)
        write(path, data_)

    monkeypatch.setattr(checkpoints, "replace_file", slow)
    start(client, as_json({name: config.model_copy(update={"epochs": 500}) for name, config in LIVELY.items()}))
    assert stuck.wait(60)
    reached = metrics_of(client)["models"]["model1"]["step"]
    wait_for_steps(client, "model1", reached + 200)  # three epochs' ends
    go.set()
    assert client.post("/api/stop", json={}).status_code == 200
