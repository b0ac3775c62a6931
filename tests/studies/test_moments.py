"""What is asked for at an awkward moment: is done whole, or refused with all left as it was."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from branching import details, go_on
from flask.testing import FlaskClient
from helpers import DIVERGING, as_json, quick, wait_for
from histories import FullDisk, checkpoint_file
from served import ENDLESS, error_of, metrics_of, start, states, strict, wait_for_steps, wait_until

from config import MODEL_NAMES, ModelConfig
from history.checkpoints import CheckpointFiles
from history.store import NotSaved, RunStore
from studies.origins import longer_origin, peak_after
from training.checkpoint import read_checkpoint, write_checkpoint
from training.engine import Engine
from training.examiner import Examiner
from training.schedule import scheduled_learning_rate
from web.monitor import Monitor

COSINE = quick(batch_size=16, epochs=400, schedule="cosine")


def stop(client: FlaskClient, monitor: Monitor) -> None:
    client.post("/api/stop", json={})
    assert monitor.control.comparison is not None
    assert monitor.control.comparison.join(60)
    monitor.store.save()


def stopped(client: FlaskClient, monitor: Monitor, config: ModelConfig = COSINE) -> str:
    """Train two models for a while, model 1 steered to 0.002; return the stopped run."""
    run = start(client, as_json(dict.fromkeys(MODEL_NAMES, config)))
    client.post("/api/steer", json={"model": "model1", "learning_rate": 0.002})
    wait_for_steps(client, "model1", 100)
    stop(client, monitor)
    return run


def checkpoint_of(monitor: Monitor, run: str) -> bytes:
    found = monitor.store.checkpoint(run, "model1")
    assert found is not None
    return found


def without_schedule(checkpoint: bytes) -> bytes:
    state = read_checkpoint(checkpoint)
    del state["engine"]["schedule"]
    return write_checkpoint(state)


# More epochs


@pytest.mark.parametrize("is_old", [False, True])
def test_more_epochs_that_cannot_be_saved_change_nothing(
    client: FlaskClient, monitor: Monitor, monkeypatch: pytest.MonkeyPatch, is_old: bool
) -> None:
    run = stopped(client, monitor)
    if is_old:
        monitor.store.save_checkpoint(run, "model1", without_schedule(checkpoint_of(monitor, run)))

    def refuse(*_: Any, **__: Any) -> None:
        raise NotSaved("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(RunStore, "reopen", refuse)
        assert client.post(f"/api/runs/{run}/resume", json={"more_epochs": 50}).status_code == 503
    header = monitor.loading.require().header(checkpoint_of(monitor, run))
    assert monitor.store.configs(run)["model1"] == COSINE
    assert peak_after(header, COSINE) == 0.002
    go_on(client, run, 0)
    wait_for_steps(client, "model1", header.step + 5)
    assert metrics_of(client)["models"]["model1"]["learning_rate"] == 0.002


def test_old_checkpoint_does_not_bring_the_rate_of_a_schedule_that_was_left(
    client: FlaskClient, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped(client, monitor)
    monitor.store.save_checkpoint(run, "model1", without_schedule(checkpoint_of(monitor, run)))
    monkeypatch.setattr("train.Comparison.start", lambda self: None)  # killed before the next one is kept
    go_on(client, run, 50)
    monitor.store.save()
    header = monitor.loading.require().header(checkpoint_of(monitor, run))
    held = monitor.store.run_status(run, "model1").held_rate
    assert held == scheduled_learning_rate(COSINE, header.step - 1, 64 * 400, 0.002)
    assert peak_after(header, COSINE.held_at(held)) == held


def test_copy_with_another_rate_keeps_that_before_its_first_step_too(client: FlaskClient, monitor: Monitor) -> None:
    workshop, checkpoint = monitor.loading.require(), checkpoint_of(monitor, stopped(client, monitor))
    config = COSINE.model_copy(update={"learning_rate": 1e-5})
    origin = longer_origin(workshop, "model2", config, None, workshop.copy(checkpoint, "learning_rate"), 2)
    assert origin.held_rate == scheduled_learning_rate(config, origin.step - 1, 64 * 400)


def test_model_off_its_schedule_that_lost_its_checkpoint_is_not_trained_anew(
    client: FlaskClient, monitor: Monitor
) -> None:
    run = stopped(client, monitor)
    step = metrics_of(client)["models"]["model1"]["step"]
    go_on(client, run, 50)
    wait_for_steps(client, "model1", step + 5)
    stop(client, monitor)
    checkpoint_file(monitor.store.directory, run, "model1").unlink()
    error = error_of(client.post(f"/api/runs/{run}/resume", json={}), 409, "conflict")
    assert error["message"] == f"Model 1 of run {run} has no checkpoint to go on from"


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_more_epochs_are_refused_while_the_checkpoint_that_they_begin_at_is_not_saved(
    client: FlaskClient, monitor: Monitor, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(CheckpointFiles, "write", refuse)
        run = stopped(client, monitor, COSINE.model_copy(update={"schedule": schedule}))
        answer = client.post(f"/api/runs/{run}/resume", json={"more_epochs": 20})
        assert "No space left" in error_of(answer, 503, "not_saved")["message"]
    assert monitor.store.configs(run)["model1"].epochs == 400
    go_on(client, run, 20)


# Forks


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_fork_for_fewer_epochs_than_were_trained_is_refused_and_stops_nothing(
    client: FlaskClient, schedule: str
) -> None:
    config = quick(batch_size=128, epochs=500, schedule=schedule)
    start(client, as_json(dict.fromkeys(MODEL_NAMES, config)))
    wait_for_steps(client, "model1", 20)
    error = error_of(client.post("/api/fork", json={"settings": {"epochs": 2}}), 409, "conflict")
    assert "its copy for 2 has nothing left to train" in error["message"]
    assert set(states(client).values()) == {"running"}


@pytest.fixture
def may_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until it is set, no model looks at the test images."""
    asked, examine = threading.Event(), Examiner.test

    def test_late(*given: Any) -> None:
        assert asked.wait(60)
        examine(*given)

    monkeypatch.setattr(Examiner, "test", test_late)
    yield asked
    asked.set()


def test_fork_for_more_epochs_holds_the_last_rate_of_a_schedule_that_is_over_be_the_model_finished_or_not(
    client: FlaskClient, may_test: threading.Event
) -> None:
    config = quick(batch_size=128, epochs=1, schedule="cosine")
    start(client, as_json(dict.fromkeys(MODEL_NAMES, config)))
    wait_for(lambda: metrics_of(client)["models"]["model1"]["step"] == 8, "last step")
    threading.Timer(0.3, may_test.set).start()  # by then the fork waits for the models to end
    assert client.post("/api/fork", json={"settings": {"epochs": 2}}).status_code == 202
    last = scheduled_learning_rate(config, 7, 8)
    assert details(client, "forked", "model2") == [f"from model 1: epochs 1 → 2, learning rate held at {last:.4g}"]
    wait_until(client, "finished")


def test_model_at_its_test_images_is_neither_forked_nor_steered_and_finishes(
    client: FlaskClient, may_test: threading.Event
) -> None:
    start(client, as_json(dict.fromkeys(MODEL_NAMES, quick(batch_size=128, epochs=1))))
    wait_for(lambda: metrics_of(client)["models"]["model1"]["step"] == 8, "last step")
    error = error_of(client.post("/api/fork", json={"settings": {"dropout": 0.1}}), 409, "conflict")
    assert "nothing left to train" in error["message"]
    steered = client.post("/api/steer", json={"model": "model1", "learning_rate": 0.02})
    assert "is past its last batch" in error_of(steered, 409, "conflict")["message"]
    may_test.set()
    wait_until(client, "finished")


def test_fork_that_cannot_be_saved_stops_nothing(disk: FullDisk, client: FlaskClient) -> None:
    start(client, ENDLESS)
    wait_for_steps(client, "model1", 5)
    disk.full = True
    error_of(client.post("/api/fork", json={"settings": {"dropout": 0.1}}), 503, "not_saved")
    assert set(states(client).values()) == {"running"}
    disk.full = False


def test_fork_to_the_rate_that_was_asked_for_changes_nothing_and_stops_nothing(client: FlaskClient) -> None:
    start(client, ENDLESS)
    wait_for_steps(client, "model1", 5)
    client.post("/api/pause", json={})
    client.post("/api/steer", json={"model": "model1", "learning_rate": 0.05})
    error_of(client.post("/api/fork", json={"settings": {"learning_rate": 0.05}}), 400, "bad_request")
    assert set(states(client).values()) == {"paused"}


def test_model_that_failed_before_its_first_checkpoint_cannot_be_forked_and_the_other_goes_on(
    client: FlaskClient,
) -> None:
    start(client, {"model1": DIVERGING.model_dump(mode="json"), "model2": ENDLESS["model2"]})
    wait_for(lambda: states(client)["model1"] == "failed", "failure")
    error = error_of(client.post("/api/fork", json={"settings": {"dropout": 0.1}}), 409, "conflict")
    assert "has no checkpoint" in error["message"]
    assert states(client)["model2"] == "running"


# Steering


def test_steering_in_the_last_batch_is_refused(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    is_there, goes_on, take = threading.Event(), threading.Event(), Engine.train_step

    def take_last_late(engine: Engine) -> None:
        if engine.step == engine.total_steps - 1:
            is_there.set()
            assert goes_on.wait(60)
        take(engine)

    monkeypatch.setattr(Engine, "train_step", take_last_late)
    try:
        start(client, as_json(dict.fromkeys(MODEL_NAMES, quick(batch_size=128, epochs=1))))
        assert is_there.wait(60)
        answers = {
            name: client.post("/api/steer", json={"model": name, "learning_rate": 0.25}).status_code
            for name in MODEL_NAMES
        }
    finally:
        goes_on.set()
    wait_until(client, "finished")
    assert 409 in answers.values()  # one of them is there, the other may have come to it
    for name, answer in answers.items():
        rate = metrics_of(client)["models"][name]["learning_rate"]
        assert (answer, rate, len(details(client, "steered", name))) in ((409, 0.001, 0), (200, 0.25, 1))


@pytest.mark.parametrize("way", ["stop", "fork"])
def test_rate_that_was_asked_for_in_a_pause_is_kept_by_what_goes_on(
    client: FlaskClient, monitor: Monitor, way: str
) -> None:
    run = start(client, ENDLESS)
    wait_for_steps(client, "model1", 5)
    client.post("/api/pause", json={})
    client.post("/api/steer", json={"model": "model1", "learning_rate": 0.05})
    if way == "fork":
        run = strict(client.post("/api/fork", json={"settings": {"dropout": 0.1}}))["run"]
    else:
        stop(client, monitor)
        go_on(client, run, 0)
    step = metrics_of(client)["models"]["model1"]["step"]
    wait_for_steps(client, "model1", step + 5)
    assert metrics_of(client)["models"]["model1"]["learning_rate"] == 0.05
    assert way == "stop" or details(client, "stopped") == []  # that was the parent's
    assert [detail.endswith("→ 0.05") for detail in details(client, "steered")] == [True]
