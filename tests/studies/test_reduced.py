"""Checkpoints given up to make room: every way of going on is refused with the reason; what is kept still answers."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import as_json, endless, quick
from served import ENDLESS, QUICK, error_of, finish, open_monitor, predict, start, strict, wait_for_steps, wait_until

from config import MODEL_NAMES
from history.checkpoints import CheckpointFiles
from server import create_app
from web.monitor import Monitor

REASONS = {"weights": "reduced to its weights", "nothing": "dropped"}


def give_up(monitor: Monitor, run: str, kept: str, *models: str) -> None:
    """Reduce checkpoints of a run to their weights, or drop them."""
    monitor.store.save()
    for model in models or MODEL_NAMES:
        if kept == "nothing":
            CheckpointFiles(monitor.store.directory / "checkpoints").drop(run, model)
        else:
            whole = monitor.store.checkpoint(run, model)
            assert whole is not None
            monitor.store.save_checkpoint(run, model, monitor.loading.workshop.reduce(whole))
    monitor.store.save()


def stopped(client: FlaskClient, monitor: Monitor, configs: Any = ENDLESS) -> str:
    run = start(client, configs)
    for model in MODEL_NAMES:
        wait_for_steps(client, model, 20)
    client.post("/api/stop", json={})
    assert monitor.control.comparison is not None
    assert monitor.control.comparison.join(60)
    return run


def refusal(run: str, kept: str, model: str = "Model 1") -> str:
    return f"{model} of run {run} cannot go on: its checkpoint was {REASONS[kept]} to save room"


@pytest.mark.parametrize("kept", REASONS)
def test_stopped_run_is_neither_resumed_nor_trained_anew(client: FlaskClient, monitor: Monitor, kept: str) -> None:
    run = stopped(client, monitor)
    give_up(monitor, run, kept, "model1")
    shown = strict(client.get(f"/api/runs/{run}"))
    for body in ({}, {"more_epochs": 1}):
        error = error_of(client.post(f"/api/runs/{run}/resume", json=body), 409, "conflict")
        assert error["message"] == refusal(run, kept)
    assert strict(client.get(f"/api/runs/{run}")) == shown
    at = shown["checkpoints"]
    assert at["model1"] == at["model1"] | {"step": shown["models"]["model1"]["step"], "whole": False}
    assert (at["model1"]["weights"], at["model2"]["whole"]) == (kept == "weights", True)


@pytest.mark.parametrize("kept", REASONS)
def test_finished_run_is_neither_trained_further_nor_forked(client: FlaskClient, monitor: Monitor, kept: str) -> None:
    run = finish(client, QUICK)
    give_up(monitor, run, kept, "model1")
    for path, body in ((f"/api/runs/{run}/resume", {"more_epochs": 1}), ("/api/fork", {"settings": {"epochs": 3}})):
        error = error_of(client.post(path, json=body), 409, "conflict")
        assert error["message"] == refusal(run, kept)
    assert [entry["id"] for entry in strict(client.get("/api/runs"))["runs"]] == [run]


def test_model_that_is_still_to_be_trained_goes_on_beside_a_finished_one_that_was_reduced(
    client: FlaskClient, monitor: Monitor
) -> None:
    configs = as_json({"model1": quick(batch_size=256), "model2": endless()})
    run = start(client, configs)
    wait_until(client, "finished", "model1")
    client.post("/api/stop", json={})
    assert monitor.control.comparison is not None
    assert monitor.control.comparison.join(60)
    give_up(monitor, run, "nothing", "model1")
    assert client.post(f"/api/runs/{run}/resume", json={}).status_code == 202


@pytest.mark.parametrize("kept", REASONS)
def test_series_does_not_go_on_with_a_pair_that_cannot(client: FlaskClient, monitor: Monitor, kept: str) -> None:
    configs = {"runs": 3, "model1": ENDLESS["model1"], "model2": ENDLESS["model1"] | {"dropout": 0.1}}
    series = strict(client.post("/api/repeats", json=configs))["series"]
    wait_for_steps(client, "model2", 20)
    assert client.post("/api/repeats/stop", json={}).status_code == 200
    monitor.repeats.join(60)
    [run] = [entry["id"] for entry in strict(client.get("/api/runs"))["runs"]]
    give_up(monitor, run, kept, "model2")
    error = error_of(client.post("/api/repeats/continue", json={"series": series}), 409, "conflict")
    assert error["message"] == refusal(run, kept, "Model 2")
    assert strict(client.get("/api/repeats"))["state"] == "stopped"
    assert client.post(f"/api/runs/{run}/delete", json={}).status_code == 200  # and it goes on without that pair
    assert client.post("/api/repeats/continue", json={"series": series}).status_code == 202


def test_what_is_reduced_to_its_weights_answers_as_before_to_the_bit(runs_dir: Path) -> None:
    monitor = open_monitor(runs_dir)
    client = create_app(monitor).test_client()
    run = finish(client, QUICK)
    monitor.close()
    answers = []
    for _ in range(2):  # each as a new process answers
        monitor = open_monitor(runs_dir)
        try:
            client = create_app(monitor).test_client()
            answers.append(seen(client, run))
            give_up(monitor, run, "weights")
        finally:
            monitor.close()
    assert answers[0] == answers[1]


def seen(client: FlaskClient, run: str) -> list[Any]:
    """Return what a run's models make of a picture, and what is shown of their inside."""
    inside = strict(client.get(f"/api/inside?run={run}"))
    step = inside["models"]["model1"]["step"][-1]
    filters = strict(client.get(f"/api/filters?run={run}&model=model1&step={step}"))
    return [predict(client, run=run, split="test", image=7, layers=True), inside, filters]


def test_what_was_dropped_can_be_asked_no_more_and_the_rest_stays(runs_dir: Path) -> None:
    monitor = open_monitor(runs_dir)
    client = create_app(monitor).test_client()
    run = finish(client, QUICK)
    inside = strict(client.get(f"/api/inside?run={run}"))
    give_up(monitor, run, "nothing")
    monitor.close()
    monitor = open_monitor(runs_dir)
    try:
        client = create_app(monitor).test_client()
        assert predict(client, run=run, split="test", image=7)["models"] == dict.fromkeys(MODEL_NAMES)
        assert strict(client.get(f"/api/inside?run={run}")) == inside
        assert strict(client.get("/api/config"))["warning"] is None
    finally:
        monitor.close()
