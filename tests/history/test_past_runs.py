"""Past runs that go on: as if they had never been interrupted, to the bit."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import DIVERGING, LIVELY, as_json
from histories import checkpoint_file, history_file, points_in
from served import (
    ENDLESS,
    QUICK,
    assert_as_uninterrupted,
    continue_run,
    error_of,
    metrics_of,
    open_monitor,
    start,
    strict,
    wait_for_steps,
    wait_until,
)

from config import MODEL_NAMES
from history.points import put
from history.records import Insight, Point, Predictions
from server import create_app
from train import Comparison
from training.checkpoint import header_of
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
    with history_file(monitor.store.directory) as database:
        for name in MODEL_NAMES:
            kept = [point for point in map(Point._make, points_in(database, name, run)) if point.step <= 200]
            database.execute("DELETE FROM chunks WHERE run = ? AND model = ?", (run, name))
            put(database, run, name, kept, is_end=False)
        database.execute("UPDATE models SET status = json_set(status, '$.state', 'interrupted', '$.step', 200)")
    continue_run(client, run)
    first = metrics_of(client)["models"]
    assert all(min(model["points"]["step"]) == 1 for model in first.values())
    wait_until(client, "finished")
    assert_as_uninterrupted(monitor, run, uninterrupted, one_clock=False)


class CheckpointsOnly:
    """A training.keeper.Keeper that remembers checkpoints."""

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
    return next(data_ for data_ in keeper.kept if header_of(data_).step == steps)


def test_run_without_a_checkpoint_starts_over(client: FlaskClient, monitor: Monitor, uninterrupted: Any) -> None:
    run = start(client, as_json(LIVELY))
    wait_for_steps(client, "model1", 10)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monitor.store.save()
    for path in (monitor.store.directory / "checkpoints").iterdir():
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
    path = checkpoint_file(monitor.store.directory, run, "model1")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    continue_run(client, run)
    whole = metrics_of(client)
    assert "checkpoint of model1" in whole["warning"]
    assert "warning" not in metrics_of(client, whole)  # it is told once to each page
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
    log = monitor.store.reopen(run, {"model1": before["step"], "model2": 0})
    status = log.status("model1")
    assert (status.step, status.epoch, status.parameters) == (before["step"], before["epoch"], before["parameters"])
    assert status.loss == pytest.approx(before["loss"])
    assert status.elapsed_seconds == pytest.approx(before["points"]["seconds"][-1], rel=1e-5)
    assert log.recent("model1").step == before["step"]
    other = log.status("model2")
    assert (other.step, other.epoch, other.loss, other.elapsed_seconds) == (0, 0.0, None, 0.0)
    assert log.view()[1]["model2"]["points"]["step"] == []
    assert log.take_news() == {}


def test_what_was_lost_is_put_on_record_once_be_the_run_reopened_ever_so_often(
    client: FlaskClient, monitor: Monitor
) -> None:
    run = start(client, ENDLESS)
    wait_for_steps(client, "model2", 30)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monitor.store.save()
    before, left = (monitor.store.run_status(run, name) for name in ("model1", "model2"))
    log = monitor.store.reopen(run, {"model1": before.step, "model2": 0})
    again = monitor.store.reopen(run, {"model1": before.step, "model2": 0})
    assert log.events("model2") == again.events("model2")
    assert [event.kind for event in again.events("model1")] == ["running", "stopped"]
    assert again.events("model2") == [
        ("running", 0, 0.0, 0.0, None),
        ("undone", *again.events("model2")[1][1:4], "stopped"),
        ("stopped", 0, 0.0, 0.0, f"at epoch {left.epoch:.2f}, continued from the start"),
    ]


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
    run = start(client, {"model1": DIVERGING.model_dump(mode="json"), "model2": QUICK["model2"]})
    wait_until(client, "failed", "model1")
    wait_until(client, "finished", "model2")
    continue_run(client, run)
    wait_until(client, "failed", "model1")  # it is the same again
    wait_until(client, "finished", "model2")
