"""The history over HTTP: resume to the bit, rename, delete and restore; and the checkpoints behind it."""

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from flask.testing import FlaskClient
from helpers import LIVELY, as_json, quick, wait_for
from served import (
    ENDLESS,
    QUICK,
    assert_as_uninterrupted,
    continue_run,
    error_of,
    metrics_of,
    open_monitor,
    start,
    states,
    strict,
    wait_for_steps,
    wait_until,
)

from config import MODEL_NAMES
from history import checkpoints as checkpoints_module
from history import store as store_module
from history.records import Insight, Predictions
from history.store import RunStore
from server import create_app
from train import Comparison
from training.checkpoint import checkpoint_step
from web.monitor import Monitor

# Resuming


def test_run_stopped_in_an_epoch_goes_on_as_if_it_had_not_been(
    client: FlaskClient, monitor: Monitor, uninterrupted: Any
) -> None:
    run = start(client, as_json(LIVELY))
    wait_for_steps(client, "model1", 100)
    assert client.post("/api/stop", json={}).status_code == 200
    assert monitor.control.comparison.join(60)
    steps = {name: model["step"] for name, model in metrics_of(client)["models"].items()}
    assert any(step % 64 for step in steps.values())
    continue_run(client, run)
    wait_until(client, "finished")
    assert_as_uninterrupted(monitor, run, uninterrupted)
    events = metrics_of(client)["models"]["model1"]["events"]
    assert events["kind"] == ["running", "stopped", "running", "finished"]
    assert events["step"][0] <= events["step"][1] <= steps["model1"] == events["step"][2]


def test_finished_run_goes_on_for_more_epochs_also_after_a_restart(runs_dir: Path, uninterrupted: Any) -> None:
    shorter = {name: config.model_copy(update={"epochs": 2}) for name, config in LIVELY.items()}
    monitor = open_monitor(runs_dir)
    try:
        client = create_app(monitor).test_client()
        run = start(client, as_json(shorter))
        wait_until(client, "finished")
    finally:
        monitor.close()
    monitor = open_monitor(runs_dir)
    try:
        client = create_app(monitor).test_client()
        longer = strict(client.post(f"/api/runs/{run}/resume", json={"more_epochs": 2}))["run"]
        wait_until(client, "finished")
        assert_as_uninterrupted(monitor, longer, uninterrupted)
        runs = strict(client.get("/api/runs"))["runs"]
        assert [(entry["id"], entry["models"]["model1"]["config"]["epochs"]) for entry in runs] == [
            (longer, 4),
            (run, 2),
        ]
    finally:
        monitor.close()


def test_run_that_lost_its_last_points_goes_on_from_its_checkpoint(
    client: FlaskClient, monitor: Monitor, uninterrupted: Any
) -> None:
    """As after kill -9: the file is ahead of the checkpoint, by other times of the same steps."""
    run = start(client, as_json(LIVELY))
    wait_until(client, "finished")
    half = {name: 2 * -(-1024 // config.batch_size) for name, config in LIVELY.items()}
    checkpoints = {name: checkpoint_after(half[name], name, monitor) for name in MODEL_NAMES}
    for name, data_ in checkpoints.items():
        monitor.store.save_checkpoint(run, name, data_)
    with monitor.store._lock, monitor.store._database as database:
        database.execute("DELETE FROM points WHERE run = ? AND step > 200", (run,))
        database.execute("UPDATE models SET status = json_set(status, '$.state', 'interrupted', '$.step', 200)")
    continue_run(client, run)
    first = metrics_of(client)["models"]
    assert all(min(model["points"]["step"]) == 1 for model in first.values())
    wait_until(client, "finished")
    assert_as_uninterrupted(monitor, run, uninterrupted, one_clock=False)


class CheckpointsOnly:
    """A train.Keeper that remembers checkpoints."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def save_checkpoint(self, model: str, checkpoint: bytes) -> None:
        self.kept.append(checkpoint)

    def save_insight(self, model: str, insight: Insight, predictions: Predictions) -> None:
        """Not wanted."""

    def save_predictions(self, model: str, predictions: Predictions) -> None:
        """Not wanted."""


def checkpoint_after(steps: int, name: str, monitor: Monitor) -> bytes:
    """Return the checkpoint that a trainer hands over after so many steps."""
    keeper = CheckpointsOnly()
    comparison = Comparison({name: LIVELY[name]}, monitor.loading.workshop.dataset, keeper=keeper)
    for trainer in comparison.trainers.values():
        trainer.threads = monitor.control.comparison.trainers[name].threads
    comparison.start()
    assert comparison.join(60)
    return next(data_ for data_ in keeper.kept if checkpoint_step(data_) == steps)


def test_run_without_a_checkpoint_starts_over(client: FlaskClient, monitor: Monitor, uninterrupted: Any) -> None:
    run = start(client, as_json(LIVELY))
    wait_for_steps(client, "model1", 10)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monitor.store.save()
    for path in monitor.store._checkpoints.iterdir():
        path.unlink()
    continue_run(client, run)
    wait_until(client, "finished")
    assert_as_uninterrupted(monitor, run, uninterrupted)


def test_damaged_checkpoint_is_set_aside_and_named(client: FlaskClient, monitor: Monitor, uninterrupted: Any) -> None:
    run = start(client, as_json(LIVELY))
    wait_for_steps(client, "model1", 70)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monitor.store.save()
    path = monitor.store._checkpoint_path(run, "model1")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    continue_run(client, run)
    whole = metrics_of(client)
    assert "checkpoint of model1" in whole["warning"]
    assert strict(client.get("/api/config"))["warning"] == whole["warning"]
    assert path.with_suffix(".damaged").read_bytes() == bytes(content)
    wait_until(client, "finished")
    assert_as_uninterrupted(monitor, run, uninterrupted)


def test_cursor_from_before_the_resume_gets_the_whole(client: FlaskClient, monitor: Monitor) -> None:
    run = start(client, ENDLESS)
    wait_for_steps(client, "model1", 30)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    cursor = metrics_of(client)
    assert metrics_of(client, cursor)["reset"] is False
    continue_run(client, run)
    news = metrics_of(client, cursor)
    assert (news["run"], news["reset"]) == (run, True)
    assert news["next"] > cursor["next"]
    assert news["models"]["model1"]["points"]["step"][0] == 1
    assert metrics_of(client, news)["reset"] is False


def test_status_of_a_resumed_run_begins_where_its_checkpoint_was_taken(client: FlaskClient, monitor: Monitor) -> None:
    run = start(client, ENDLESS)
    wait_for_steps(client, "model1", 30)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    before = metrics_of(client)["models"]["model1"]
    monitor.store.save()
    log = monitor.store.resume(run, {"model1": before["step"], "model2": 0})
    status = log.status("model1")
    assert (status.step, status.epoch, status.parameters) == (before["step"], before["epoch"], before["parameters"])
    assert status.loss == pytest.approx(before["loss"])
    assert status.elapsed_seconds == pytest.approx(before["points"]["seconds"][-1], rel=1e-5)
    assert log.recent("model1").step == before["step"]
    other = log.status("model2")
    assert (other.step, other.epoch, other.loss, other.elapsed_seconds) == (0, 0.0, None, 0.0)
    assert log.view()[1]["model2"]["points"]["step"] == []
    assert log.take_news() == {}


def test_resume_is_refused_where_it_makes_no_sense(client: FlaskClient) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    other = start(client, ENDLESS)
    message = f"Run {other} is still on: stop it before you resume one"
    assert error_of(client.post(f"/api/runs/{run}/resume", json={}), 409, "conflict")["message"] == message
    client.post("/api/stop", json={})
    error = error_of(client.post(f"/api/runs/{run}/resume", json={}), 409, "conflict")
    assert error["message"] == f"Run {run} is finished: give more_epochs to train it further"
    error_of(client.post("/api/runs/20260101-000000-aaaa/resume", json={}), 404, "unknown_run")
    error = error_of(client.post(f"/api/runs/{run}/resume", json={"more_epochs": 500}), 400, "bad_request")
    assert error["fields"]["more_epochs"].startswith("more_epochs must be at most 499")
    assert metrics_of(client)["run"] == other


@pytest.mark.parametrize("given", [-1, 501, 1.0, "1", True, None, [], {}])
def test_more_epochs_must_be_a_whole_number(client: FlaskClient, given: object) -> None:
    error = error_of(client.post("/api/runs/x/resume", json={"more_epochs": given}), 400, "bad_request")
    expected = f"more_epochs must be a whole number from 0 to 500, got {json.dumps(given)}"
    assert error["fields"] == {"more_epochs": expected}


def test_failed_run_can_be_tried_again_from_its_checkpoint(client: FlaskClient) -> None:
    diverging = quick(optimizer="sgd", learning_rate=10.0, dropout=0.0).model_dump(mode="json")
    run = start(client, {"model1": diverging, "model2": QUICK["model2"]})
    wait_until(client, "failed", "model1")
    wait_until(client, "finished", "model2")
    continue_run(client, run)
    wait_until(client, "failed", "model1")  # it is the same again
    wait_until(client, "finished", "model2")


# Rename, delete, restore


def test_run_can_be_named(client: FlaskClient) -> None:
    run = start(client, QUICK)
    assert strict(client.get("/api/runs"))["runs"][0]["name"] is None
    for name in ("Adam against SGD", "<script>alert(1)</script>", "größer 😀 ×", "x" * 100, "../../x"):
        response = client.post(f"/api/runs/{run}/rename", json={"name": name})
        assert (response.status_code, strict(response)) == (200, {"run": run, "name": name})
        assert strict(client.get("/api/runs"))["runs"][0]["name"] == name
        assert strict(client.get(f"/api/runs/{run}"))["name"] == name


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", "\x00", "\x7f", "a\u200b", "\ud800", 1, None, []])
def test_name_that_cannot_be_shown_is_refused(client: FlaskClient, name: object) -> None:
    run = start(client, QUICK)
    error = error_of(client.post(f"/api/runs/{run}/rename", json={"name": name}), 400, "bad_request")
    assert error["fields"]["name"].startswith("name must be 1 to 100 characters without control characters, got ")
    error_of(client.post(f"/api/runs/{run}/rename", json={}), 400, "bad_request")
    assert strict(client.get("/api/runs"))["runs"][0]["name"] is None


def test_deleted_run_is_gone_until_it_is_restored(client: FlaskClient) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    whole = strict(client.get(f"/api/runs/{run}"))
    assert strict(client.post(f"/api/runs/{run}/delete", json={})) == {"run": run}
    assert strict(client.get("/api/runs"))["runs"] == []
    error_of(client.get(f"/api/runs/{run}"), 404, "unknown_run")
    for what, body in (("delete", {}), ("resume", {}), ("rename", {"name": "x"})):
        error_of(client.post(f"/api/runs/{run}/{what}", json=body), 404, "unknown_run")
    assert strict(client.post(f"/api/runs/{run}/restore", json={})) == {"run": run}
    assert strict(client.get(f"/api/runs/{run}")) == whole
    assert client.post(f"/api/runs/{run}/restore", json={}).status_code == 200


def test_deleted_run_is_listed_as_such_until_it_is_restored(client: FlaskClient) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    [known] = strict(client.get("/api/runs"))["runs"]
    client.post(f"/api/runs/{run}/delete", json={})
    assert strict(client.get("/api/runs")) == {"runs": [], "deleted": [known]}
    client.post(f"/api/runs/{run}/restore", json={})
    assert strict(client.get("/api/runs")) == {"runs": [known]}


def test_deleted_latest_run_is_latest_no_more(client: FlaskClient) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    seen = metrics_of(client)
    assert client.post(f"/api/runs/{run}/delete", json={}).status_code == 200
    empty = metrics_of(client, seen)
    assert (empty["run"], empty["reset"], states(client)) == (None, True, dict.fromkeys(MODEL_NAMES, "idle"))
    assert strict(client.get("/api/comparison"))["run"] is None
    error_of(client.post("/api/stop", json={}), 409, "conflict")
    error_of(client.post("/api/fork", json={"settings": {"seed": 3}}), 409, "conflict")
    client.post(f"/api/runs/{run}/restore", json={})
    assert strict(client.get(f"/api/runs/{run}"))["models"] == seen["models"]
    start(client, QUICK)
    wait_until(client, "finished")


@pytest.mark.parametrize("what", ["delete", "restore", "rename"])
def test_change_of_a_run_that_is_not_there_is_refused(client: FlaskClient, what: str) -> None:
    body = {"name": "x"} if what == "rename" else {}
    error_of(client.post(f"/api/runs/20260101-000000-aaaa/{what}", json=body), 404, "unknown_run")
    error_of(client.post(f"/api/runs/..%2f..%2fx/{what}", json=body), 404, "not_found")
    unknown = client.post(f"/api/runs/20260101-000000-aaaa/{what}", json={"path": "/"})
    assert error_of(unknown, 400, "bad_request")["fields"]


def test_run_that_is_on_cannot_be_deleted(client: FlaskClient) -> None:
    run = start(client, ENDLESS)
    error = error_of(client.post(f"/api/runs/{run}/delete", json={}), 409, "conflict")
    assert error["message"] == f"Run {run} is still on: stop it before you delete it"
    assert states(client) == dict.fromkeys(MODEL_NAMES, "running")
    client.post("/api/stop", json={})
    assert client.post(f"/api/runs/{run}/delete", json={}).status_code == 200


def test_deleted_run_is_purged_at_the_next_start_with_its_checkpoints(runs_dir: Path) -> None:
    monitor = open_monitor(runs_dir)
    client = create_app(monitor).test_client()
    first = start(client, QUICK)
    wait_until(client, "finished")
    second = start(client, QUICK)
    wait_until(client, "finished")
    client.post(f"/api/runs/{first}/delete", json={})
    monitor.close()
    files = sorted(path.name for path in (runs_dir / "checkpoints").iterdir())
    assert files == [f"{run}.{model}.checkpoint" for run in sorted([first, second]) for model in MODEL_NAMES]
    store = RunStore(runs_dir)
    try:
        assert [run["id"] for run in store.runs()] == [second]
        with pytest.raises(store_module.UnknownRun):
            store.restore(first)
        files = sorted(path.name for path in (runs_dir / "checkpoints").iterdir())
        assert files == [f"{second}.{model}.checkpoint" for model in MODEL_NAMES]
    finally:
        store.close()
    with sqlite3.connect(runs_dir / "history.sqlite") as database:
        assert database.execute("SELECT DISTINCT run FROM points").fetchall() == [(second,)]
    database.close()


def test_one_run_tells_its_name_start_and_environment(client: FlaskClient, monitor: Monitor) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    body = strict(client.get(f"/api/runs/{run}"))
    assert body["environment"]["torch"] == torch.__version__
    assert "revision" in body["environment"]
    assert body["started"].endswith("+00:00")
    assert body["models"] == metrics_of(client)["models"]


# Checkpoints


@pytest.fixture
def store(tmp_path: Path, monitor: Monitor, client: FlaskClient) -> RunStore:
    return monitor.store


def test_checkpoint_is_written_by_the_writer_and_the_latest_wins(client: FlaskClient, store: RunStore) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    for number in range(5):
        store.save_checkpoint(run, "model1", b"weights %d" % number)
    path = store._checkpoint_path(run, "model1")
    wait_for(lambda: path.exists() and path.read_bytes().endswith(b"weights 4"), "checkpoint")
    assert store.checkpoint(run, "model1") == b"weights 4"
    assert store.checkpoint(run, "../../model1") is None
    assert store.checkpoint("../x", "model1") is None
    assert [path.suffix for path in path.parent.iterdir()] == [".checkpoint"] * 2


def test_points_are_on_disk_before_the_checkpoint_that_they_led_to(
    client: FlaskClient, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    write = checkpoints_module.replace_file

    def look(path: Path, data_: bytes) -> None:
        run, model, _ = path.name.split(".")
        other = sqlite3.connect(f"file:{path.parent.parent / 'history.sqlite'}?mode=ro", uri=True)
        (step,) = other.execute("SELECT max(step) FROM points WHERE run = ? AND model = ?", (run, model)).fetchone()
        other.close()
        seen.append((step, checkpoint_step(data_[checkpoints_module.DIGEST_SIZE :])))
        write(path, data_)

    monkeypatch.setattr(store_module, "replace_file", look)
    start(client, as_json(LIVELY))
    wait_until(client, "finished")
    store.save()
    assert len(seen) >= 2
    assert all(points >= step for points, step in seen)


def test_trainer_does_not_wait_for_a_slow_disk(
    client: FlaskClient, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, go = threading.Event(), threading.Event()
    write = checkpoints_module.replace_file

    def slow(path: Path, data_: bytes) -> None:
        stuck.set()
        assert go.wait(60)
        write(path, data_)

    monkeypatch.setattr(store_module, "replace_file", slow)
    start(client, as_json({name: config.model_copy(update={"epochs": 500}) for name, config in LIVELY.items()}))
    assert stuck.wait(60)
    reached = metrics_of(client)["models"]["model1"]["step"]
    wait_for_steps(client, "model1", reached + 200)  # three epochs' ends
    go.set()
    assert client.post("/api/stop", json={}).status_code == 200
