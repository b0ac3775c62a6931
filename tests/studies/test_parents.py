"""Parents and children: what a fork or a continued run takes over, and what is said of it."""

import re
from pathlib import Path

import pytest
from branching import all_of, details, go_on
from flask.testing import FlaskClient
from helpers import as_json, quick
from histories import checkpoint_file
from served import (
    ENDLESS,
    QUICK,
    error_of,
    metrics_of,
    open_monitor,
    start,
    strict,
    wait_for_steps,
    wait_until,
)

from config import MODEL_NAMES
from history.store import UnknownRun
from server import create_app
from training.schedule import scheduled_learning_rate
from web.monitor import Monitor


def test_copy_of_a_finished_model_keeps_the_last_rate_of_its_schedule_and_says_so(
    client: FlaskClient, monitor: Monitor
) -> None:
    config = quick(batch_size=256, epochs=2, schedule="cosine", optimizer="sgd", learning_rate=0.1)
    start(client, as_json(dict.fromkeys(MODEL_NAMES, config)))
    wait_until(client, "finished")
    assert client.post("/api/fork", json={"settings": {"epochs": 3}}).status_code == 202
    wait_until(client, "finished")
    last = scheduled_learning_rate(config, 7, 8)
    model = metrics_of(client)["models"]["model2"]
    assert model["config"] == config.model_copy(update={"epochs": 3}).model_dump(mode="json")
    assert model["held_rate"] == model["learning_rate"] == last
    said = f"epochs 2 → 3, learning rate held at {last:.4g}"
    assert details(client, "forked", "model2") == [f"from model 1: {said}"]
    assert f"with one change ({said})" in strict(client.get("/api/comparison"))["attribution"]["text"]


def test_copy_whose_schedule_is_stretched_says_how_its_rate_jumps(client: FlaskClient, monitor: Monitor) -> None:
    config = quick(batch_size=16, epochs=400, schedule="cosine")
    start(client, as_json(dict.fromkeys(MODEL_NAMES, config)))
    wait_for_steps(client, "model1", 100)
    assert client.post("/api/fork", json={"settings": {"epochs": 500}}).status_code == 202
    monitor.control.comparison.end()
    assert monitor.control.comparison.join(60)
    [said] = details(client, "forked", "model2")
    assert re.fullmatch(r"from model 1: epochs 400 → 500, learning rate 0\.\S+ → 0\.\S+", said)


def test_branch_that_has_lost_a_checkpoint_is_not_trained_anew_under_its_name(
    client: FlaskClient, monitor: Monitor
) -> None:
    start(client, ENDLESS)
    wait_for_steps(client, "model1", 20)
    assert client.post("/api/fork", json={"settings": {"dropout": 0.1}}).status_code == 202
    run = metrics_of(client)["run"]
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monitor.store.save()
    before = all_of(monitor, run)
    path = checkpoint_file(monitor.store.directory, run, "model2")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    error = error_of(client.post(f"/api/runs/{run}/resume", json={}), 409, "conflict")
    assert error["message"] == f"Model 2 of run {run} has no checkpoint to go on from"
    assert strict(client.get(f"/api/runs/{run}"))["models"]["model2"]["step"] > 0
    assert all_of(monitor, run)[0] == before[0]


def test_child_does_not_miss_its_deleted_parent(runs_dir: Path) -> None:
    monitor = open_monitor(runs_dir)
    client = create_app(monitor).test_client()
    old = start(client, QUICK)
    wait_until(client, "finished")
    new = go_on(client, old, 1)
    wait_until(client, "finished")
    assert client.post(f"/api/runs/{old}/delete", json={}).status_code == 200
    before = all_of(monitor, new)
    monitor.close()
    monitor = open_monitor(runs_dir)
    try:
        client = create_app(monitor).test_client()
        with pytest.raises(UnknownRun):
            monitor.store.run(old)
        assert all_of(monitor, new) == before
        [entry] = strict(client.get("/api/runs"))["runs"]
        assert entry["parent"] == {"run": old, "kind": "continued"}
        third = go_on(client, new, 1)
        wait_until(client, "finished")
        assert strict(client.get(f"/api/runs/{third}"))["models"]["model1"]["epoch"] == 3
    finally:
        monitor.close()


def test_fork_names_its_parent_and_takes_nothing_over_from_beyond(client: FlaskClient, monitor: Monitor) -> None:
    old = start(client, as_json(dict.fromkeys(MODEL_NAMES, quick(epochs=2, batch_size=64))))
    wait_until(client, "finished")
    before = all_of(monitor, old)
    answer = client.post("/api/fork", json={"settings": {"epochs": 400}})
    new = strict(answer)["run"]
    rows = all_of(monitor, new)[0]
    assert [row[0] for row in rows["predictions"]] == [new] * len(rows["predictions"])
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    assert strict(client.get(f"/api/runs/{new}"))["parent"] == {"run": old, "kind": "forked"}
    assert all_of(monitor, old) == before
    assert metrics_of(client)["models"]["model2"]["events"]["kind"][:3] == ["running", "forked", "running"]


def test_branch_that_cannot_be_written_is_not_there(
    client: FlaskClient, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    monitor.store.save()

    asked: list[str] = []

    def full(path: Path, content: bytes) -> None:
        if path.stem.endswith("model2"):
            new = path.stem.split(".")[0]
            asked.append(new)
            assert monitor.store.runs(deleted=True) == []  # nor while it is being written
            error_of(client.post(f"/api/runs/{new}/restore", json={}), 404, "unknown_run")
            raise OSError(28, "No space left on device")
        path.write_bytes(content)

    with monkeypatch.context() as patched:
        patched.setattr("history.checkpoints.replace_file", full)
        error_of(client.post(f"/api/runs/{run}/resume", json={"more_epochs": 1}), 503, "not_saved")
        assert [entry["id"] for entry in strict(client.get("/api/runs"))["runs"]] == [run]
    [new] = asked
    assert monitor.store.runs(deleted=True) == []
    error_of(client.post(f"/api/runs/{new}/restore", json={}), 404, "unknown_run")
    rows, files = all_of(monitor, new)
    assert (list(filter(None, rows.values())), files) == ([], {})
    assert metrics_of(client)["run"] == run
    go_on(client, run, 1)
    wait_until(client, "finished")
