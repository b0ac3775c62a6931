"""Starting, pausing, resuming and stopping, and what the state forbids."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from helpers import DIVERGING, PATIENCE
from served import ENDLESS, QUICK, error_of, metrics_of, start, states, strict, wait_for_steps, wait_until

from config import DEFAULTS, MODEL_NAMES
from data import DatasetError
from server import create_app
from train import ModelTrainer
from training.images import FashionMNIST
from web.monitor import Monitor

MODEL_FIELDS = {
    "state": str,
    "error": (str, type(None)),
    "config": dict,
    "parameters": (int, type(None)),
    "epoch": (int, float),
    "step": int,
    "elapsed_seconds": (int, float),
    "eta_seconds": (int, float, type(None)),
    "loss": (float, type(None)),
    "accuracy": (float, type(None)),
    "val_loss": (float, type(None)),
    "val_accuracy": (float, type(None)),
    "test_accuracy": (float, type(None)),
    "batches_per_second": (float, type(None)),
    "images_per_second": (float, type(None)),
    "points": dict,
    "evaluations": dict,
}


def test_describe_tells_what_a_model_costs(client: FlaskClient) -> None:
    response = client.post("/api/describe", json={})
    assert response.status_code == 200
    described = strict(response)
    assert described["parameters"] == 422_026
    assert described["flops_per_image"] > 10**7
    assert described["training_flops_per_image"] > 2 * described["flops_per_image"]
    assert [layer["name"] for layer in described["layers"]] == ["conv1", "conv2", "conv3", "conv4", "hidden", "output"]
    assert described["steps_per_epoch"] == 1024 // 64
    assert strict(client.post("/api/describe", json={"kernels": [8], "batch_size": 100}))["steps_per_epoch"] == 11


def test_describe_names_every_bad_field(client: FlaskClient) -> None:
    response = client.post("/api/describe", json={"kernels": [], "epochs": "5", "speed": 1})
    assert set(error_of(response, 400, "invalid_settings")["fields"]) == {
        "config.kernels",
        "config.epochs",
        "config.speed",
    }


def test_describe_wants_an_object(client: FlaskClient) -> None:
    assert error_of(client.post("/api/describe", json=[1]), 400, "invalid_settings")["fields"] == {
        "config": "config must be an object of settings, got [1]"
    }


# One run


def test_run_goes_from_the_start_to_the_history(client: FlaskClient) -> None:
    run = start(client)
    wait_until(client, "finished")
    metrics = metrics_of(client)
    assert metrics["run"] == run
    for name, model in metrics["models"].items():
        assert set(model) >= set(MODEL_FIELDS)
        for field, kind in MODEL_FIELDS.items():
            assert isinstance(model[field], kind), field
        assert model["config"] == QUICK[name]
        assert model["points"]["step"] == [1, 2, 3, 4]
        assert model["points"]["epoch"] == [0.25, 0.5, 0.75, 1.0]
        assert model["evaluations"]["epoch"] == [0.25, 0.5, 1.0]
        for series, columns, length in (
            ("points", {"step", "epoch", "seconds", "loss", "accuracy"}, 4),
            ("evaluations", {"epoch", "seconds", "loss", "accuracy"}, 3),
        ):
            assert set(model[series]) >= columns
            assert {len(column) for column in model[series].values()} == {length}
        assert 0 <= model["test_accuracy"] <= 1
        assert (model["epoch"], model["step"], model["eta_seconds"], model["error"]) == (1.0, 4, 0.0, None)
    (entry,) = strict(client.get("/api/runs"))["runs"]
    assert entry["id"] == run
    assert {name: model["state"] for name, model in entry["models"].items()} == dict.fromkeys(MODEL_NAMES, "finished")
    stored = client.get(f"/api/runs/{run}")
    assert stored.status_code == 200
    body = strict(stored)
    assert (body["run"], body["reset"], body["boot"]) == (run, True, metrics["boot"])
    assert body["models"] == metrics["models"]


def test_absent_settings_take_their_defaults(client: FlaskClient) -> None:
    start(client, {"model2": {"seed": 3}})
    models = metrics_of(client)["models"]
    assert models["model1"]["config"] == DEFAULTS.model_dump(mode="json")
    assert models["model2"]["config"] == DEFAULTS.model_dump(mode="json") | {"seed": 3}
    assert client.post("/api/stop", json={}).status_code == 200


def test_both_models_pause_resume_and_stop(client: FlaskClient) -> None:
    run = start(client, ENDLESS)
    for command, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        response = client.post(f"/api/{command}", json={})
        assert (response.status_code, strict(response)) == (200, {"run": run})
        wait_until(client, state)


def test_one_model_pauses_resumes_and_stops_alone(client: FlaskClient) -> None:
    start(client, ENDLESS)
    for command, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        assert client.post(f"/api/{command}", json={"model": "model2"}).status_code == 200
        wait_until(client, state, "model2")
        assert states(client)["model1"] == "running"
    wait_for_steps(client, "model1", metrics_of(client)["models"]["model1"]["step"] + 5)


def test_command_works_without_a_body(client: FlaskClient) -> None:
    start(client, ENDLESS)
    response = client.post("/api/stop", content_type="application/json")
    assert response.status_code == 200


def test_next_run_can_start_when_the_last_is_over(client: FlaskClient) -> None:
    first = start(client, ENDLESS)
    client.post("/api/stop", json={})
    second = start(client)
    wait_until(client, "finished")
    assert second != first
    assert [run["id"] for run in strict(client.get("/api/runs"))["runs"]] == sorted([first, second], reverse=True)


def test_failed_model_is_shown_with_its_reason_and_the_slot_is_free_again(client: FlaskClient) -> None:
    start(client, {"model1": DIVERGING.model_dump(mode="json"), "model2": QUICK["model2"]})
    wait_until(client, "failed", "model1")
    wait_until(client, "finished", "model2")
    model = metrics_of(client)["models"]["model1"]
    assert re.match(r"The loss became (NaN|infinite) at step \d+ \(epoch 0\.\d\d\)", model["error"])
    assert None in model["points"]["loss"]
    start(client)
    wait_until(client, "finished")


# What the state forbids


@pytest.mark.parametrize("command", ["pause", "resume", "stop"])
def test_command_before_the_first_run_is_refused(client: FlaskClient, command: str) -> None:
    error = error_of(client.post(f"/api/{command}", json={}), 409, "conflict")
    assert error["message"] == f"Nothing to {command}: no run has been started"


def test_second_start_is_refused_while_one_is_on(client: FlaskClient) -> None:
    run = start(client, ENDLESS)
    message = f"Run {run} is still on: stop it before you start another"
    assert error_of(client.post("/api/start", json=QUICK), 409, "conflict")["message"] == message
    client.post("/api/pause", json={})
    assert error_of(client.post("/api/start", json=QUICK), 409, "conflict")["message"] == message
    client.post("/api/stop", json={"model": "model1"})
    assert error_of(client.post("/api/start", json=QUICK), 409, "conflict")["message"] == message


@pytest.mark.parametrize(
    ("before", "command", "message"),
    [
        ([], "resume", "model1 is running and cannot become running: only one that is paused can"),
        (["pause"], "pause", "model1 is paused and cannot become paused: only one that is running can"),
        (["stop"], "pause", "model1 is stopped and cannot become paused: only one that is running can"),
        (["stop"], "resume", "model1 is stopped and cannot become running: only one that is paused can"),
        (["stop"], "stop", "model1 is stopped and cannot become stopped: only one that is running or paused can"),
    ],
)
@pytest.mark.parametrize("body", [{}, {"model": "model1"}], ids=["both", "one"])
def test_command_that_the_state_forbids_is_refused(
    client: FlaskClient, before: list[str], command: str, message: str, body: dict[str, str]
) -> None:
    start(client, ENDLESS)
    for earlier in before:
        assert client.post(f"/api/{earlier}", json=body).status_code == 200
        if earlier == "stop":
            wait_until(client, "stopped", *body.values())
    assert error_of(client.post(f"/api/{command}", json=body), 409, "conflict")["message"] == message


def test_of_many_simultaneous_starts_exactly_one_succeeds(app: Flask) -> None:
    together = threading.Barrier(50)

    def press(_: int) -> int:
        client = app.test_client()
        together.wait(PATIENCE)
        return client.post("/api/start", json=ENDLESS).status_code

    with ThreadPoolExecutor(50) as pool:
        answers = sorted(pool.map(press, range(50)))
    assert answers == [202] + [409] * 49
    trainers = [thread.name for thread in threading.enumerate() if isinstance(thread, ModelTrainer)]
    assert sorted(trainers) == ["model1", "model2"]
    assert len(strict(app.test_client().get("/api/runs"))["runs"]) == 1


def test_storm_of_requests_is_answered_and_leaves_one_run_at_most(app: Flask) -> None:
    calls = [
        ("start", ENDLESS),
        ("pause", {}),
        ("resume", {"model": "model1"}),
        ("stop", {}),
        ("pause", {"model": "model2"}),
        ("resume", {}),
    ]

    def storm(offset: int) -> set[int]:
        client = app.test_client()
        answers = set()
        for number in range(30):
            path, body = calls[(number * (offset + 1) + offset) % len(calls)]
            answers.add(client.post(f"/api/{path}", json=body).status_code)
            answers.add(client.get("/api/metrics").status_code)
        return answers

    with ThreadPoolExecutor(6) as pool:
        answers = set().union(*pool.map(storm, range(6)))
    assert answers <= {200, 202, 409}
    client = app.test_client()
    if "running" in states(client).values() or "paused" in states(client).values():
        assert client.post("/api/stop", json={}).status_code == 200
    start(client)
    wait_until(client, "finished")


# Loading


def test_everything_but_training_works_while_loading(unloaded: Monitor) -> None:
    client = create_app(unloaded).test_client()
    assert client.get("/").status_code == 200
    config = strict(client.get("/api/config"))
    assert (config["status"], config["device"]) == ("loading", None)
    assert states(client) == {"model1": "idle", "model2": "idle"}
    assert strict(client.get("/api/runs")) == {"runs": []}
    for path, body in (("start", QUICK), ("describe", {})):
        error = error_of(client.post(f"/api/{path}", json=body), 503, "not_ready")
        assert error["message"].startswith("Still loading PyTorch and the data set")


def test_bad_settings_are_named_even_while_loading(unloaded: Monitor) -> None:
    response = create_app(unloaded).test_client().post("/api/start", json={"model1": {"epochs": 0}})
    assert set(error_of(response, 400, "invalid_settings")["fields"]) == {"model1.epochs"}


def test_damaged_data_set_is_named_and_the_server_stays_up(unloaded: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(data_dir: Path) -> FashionMNIST:
        raise DatasetError("data/train-images-idx3-ubyte.gz is damaged")

    monkeypatch.setattr("training.images.load_fashion_mnist", damaged)
    unloaded.loading.load()
    client = create_app(unloaded).test_client()
    config = strict(client.get("/api/config"))
    assert (config["status"], config["problem"]) == ("failed", "data/train-images-idx3-ubyte.gz is damaged")
    error = error_of(client.post("/api/start", json=QUICK), 503, "not_ready")
    assert error["message"] == "data/train-images-idx3-ubyte.gz is damaged"
    assert client.get("/").status_code == 200
