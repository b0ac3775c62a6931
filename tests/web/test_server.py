import contextlib
import gzip
import json
import math
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from helpers import PATIENCE, endless, quick, wait_for
from werkzeug.test import TestResponse

import train
from config import DEFAULTS, MODEL_NAMES, SCHEMA
from data import DatasetError
from history.log import MetricsLog
from history.records import Point, Status
from history.store import RunStore
from server import create_app, parse_arguments
from studies.presets import PRESETS
from train import ModelTrainer
from training.images import FashionMNIST
from web.guard import SECURITY_HEADERS
from web.monitor import Monitor

ROOT = Path(__file__).resolve().parents[2]
QUICK = {name: quick(batch_size=256).model_dump(mode="json") for name in MODEL_NAMES}
ENDLESS = {name: endless(seed=seed).model_dump(mode="json") for seed, name in enumerate(MODEL_NAMES)}

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


@pytest.fixture
def unloaded(tmp_path: Path) -> Iterator[Monitor]:
    """A monitor that has not loaded anything yet."""
    monitor = Monitor(tmp_path / "data", RunStore(tmp_path / "runs"))
    yield monitor
    monitor.close()
    assert [thread.name for thread in threading.enumerate() if isinstance(thread, ModelTrainer)] == []


@pytest.fixture
def monitor(unloaded: Monitor, small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    """A monitor that is ready to train on a small part of the real data."""
    monkeypatch.setattr("training.images.load_fashion_mnist", lambda data_dir: small_fashion_mnist)
    monkeypatch.setattr(train, "warm_up", lambda dataset: None)  # once is enough for a whole session
    unloaded.loading.load()
    assert unloaded.loading.status == "ready"
    return unloaded


@pytest.fixture
def app(monitor: Monitor) -> Flask:
    return create_app(monitor)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.response_wrapper = Buffered
    return client


class Buffered(TestResponse):
    """A response read to its end, so that no served file stays open."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.make_sequence()
        self.close()


def strict(response: TestResponse) -> Any:
    """Return a response's JSON, which must hold no NaN, no infinity, no key twice."""
    assert response.mimetype == "application/json"

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} in {response.text[:200]}")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    return json.loads(response.data, parse_constant=refuse, object_pairs_hook=unique)


def error_of(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Return the error of a refused request, which must be of the given status and code."""
    assert response.status_code == status, response.text
    body = strict(response)
    assert list(body) == ["error"]
    error: dict[str, Any] = body["error"]
    assert set(error) <= {"code", "message", "fields"}
    assert error["code"] == code
    assert error["message"]
    return error


def metrics_of(client: FlaskClient, cursor: dict[str, Any] | None = None) -> Any:
    query = {"boot": cursor["boot"], "run": cursor["run"] or "", "since": cursor["next"]} if cursor else {}
    response = client.get("/api/metrics", query_string=query)
    assert response.status_code == 200, response.text
    return strict(response)


def states(client: FlaskClient) -> dict[str, str]:
    return {name: model["state"] for name, model in metrics_of(client)["models"].items()}


def start(client: FlaskClient, configs: dict[str, Any] = QUICK) -> str:
    response = client.post("/api/start", json=configs)
    assert response.status_code == 202, response.text
    run: str = strict(response)["run"]
    return run


def wait_until(client: FlaskClient, state: str, *models: str) -> None:
    wait_for(lambda: all(states(client)[model] == state for model in models or MODEL_NAMES), state)


def wait_for_steps(client: FlaskClient, model: str, count: int) -> None:
    wait_for(lambda: metrics_of(client)["models"][model]["step"] >= count, f"{count} steps of {model}")


# Reading


def test_page_is_served_as_html(client: FlaskClient) -> None:
    response = client.get("/")
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert "FashionMNIST CNN Training Monitor" in response.text


def test_page_and_its_parts_come_from_here_alone(client: FlaskClient) -> None:
    page = client.get("/").text
    parts = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert parts
    for part in parts:
        assert part.startswith("/"), part
        assert client.get(part).status_code == 200, part


def test_plotly_is_served_from_the_package_and_kept_a_day(client: FlaskClient) -> None:
    response = client.get("/vendor/plotly.min.js")
    assert response.status_code == 200
    assert "javascript" in response.mimetype
    assert len(response.data) > 1_000_000
    assert "max-age=86400" in response.headers["Cache-Control"]


def test_config_tells_what_the_page_needs(client: FlaskClient, monitor: Monitor) -> None:
    config = strict(client.get("/api/config"))
    assert config["schema"] == json.loads(json.dumps(SCHEMA))
    assert list(config["schema"]["properties"]) == list(SCHEMA["properties"])  # the order of the form
    assert config["defaults"] == DEFAULTS.model_dump(mode="json")
    assert config["presets"] == [preset.model_dump(mode="json") for preset in PRESETS]
    assert all(set(preset) == {"name", "description", "model1", "model2"} for preset in config["presets"])
    assert (config["status"], config["problem"], config["boot"]) == ("ready", None, monitor.boot)
    assert isinstance(config["device"], str)
    assert config["images"] == {"train": 55_000, "validation": 5_000, "test": 10_000}


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


def test_metrics_before_the_first_run_are_idle_and_empty(client: FlaskClient, monitor: Monitor) -> None:
    metrics = metrics_of(client)
    assert (metrics["boot"], metrics["run"], metrics["reset"]) == (monitor.boot, None, True)
    assert list(metrics["models"]) == ["model1", "model2"]
    for model in metrics["models"].values():
        assert (model["state"], model["step"], model["loss"]) == ("idle", 0, None)
        assert model["points"]["step"] == []
        assert model["config"] == DEFAULTS.model_dump(mode="json")


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
        assert model["evaluations"]["epoch"] == [0.25, 1.0]
        for series, columns, length in (
            ("points", {"step", "epoch", "seconds", "loss", "accuracy"}, 4),
            ("evaluations", {"epoch", "seconds", "loss", "accuracy"}, 2),
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
        assert states(client) == {"model1": state, "model2": state}


def test_one_model_pauses_resumes_and_stops_alone(client: FlaskClient) -> None:
    start(client, ENDLESS)
    for command, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        assert client.post(f"/api/{command}", json={"model": "model2"}).status_code == 200
        assert states(client) == {"model1": "running", "model2": state}
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
    diverging = quick(optimizer="sgd", learning_rate=10.0, dropout=0.0).model_dump(mode="json")
    start(client, {"model1": diverging, "model2": QUICK["model2"]})
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


# Bad settings and bad bodies


def test_bad_settings_of_both_models_are_named_and_nothing_starts(client: FlaskClient) -> None:
    given = {
        "model1": {"learning_rate": 0, "kernels": [8, 8], "kernel_sizes": [2, 3]},
        "model2": {"batch_size": "64", "colour": "blue"},
    }
    error = error_of(client.post("/api/start", json=given), 400, "invalid_settings")
    assert error["message"] == "4 settings cannot be used"
    assert error["fields"] == {
        "model1.learning_rate": "learning_rate must be a number above 0 and at most 10, got 0",
        "model1.kernel_sizes": (
            "kernel_sizes must be a list of 1 to 8 values, each one of 1, 3, 5, 7, "
            "one for each of the 2 layers, got 2, 3"
        ),
        "model2.batch_size": 'batch_size must be a whole number from 1 to 8192, got "64"',
        "model2.colour": f'"colour" is not a setting; the settings are {", ".join(SCHEMA["properties"])}',
    }
    assert metrics_of(client)["run"] is None
    assert strict(client.get("/api/runs")) == {"runs": []}


def test_bad_setting_does_not_disturb_the_run_that_is_on(client: FlaskClient) -> None:
    run = start(client, ENDLESS)
    error_of(client.post("/api/start", json={"model1": {"epochs": 0}}), 400, "invalid_settings")
    assert metrics_of(client)["run"] == run
    assert states(client) == {"model1": "running", "model2": "running"}


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("start", {"model3": {}}, {"model3": "unknown key; expected model1, model2"}),
        ("start", {"model1": {}, "x": 1, "y": 2}, dict.fromkeys("xy", "unknown key; expected model1, model2")),
        ("pause", {"models": "model1"}, {"models": "unknown key; expected model"}),
        ("pause", {"model": "model3"}, {"model": 'model must be model1 or model2, got "model3"'}),
        ("resume", {"model": 1}, {"model": "model must be model1 or model2, got 1"}),
        ("stop", {"model": []}, {"model": "model must be model1 or model2, got []"}),
        ("stop", {"model": {"model1": 1}}, {"model": 'model must be model1 or model2, got {"model1": 1}'}),
    ],
)
def test_unknown_key_or_model_is_named(client: FlaskClient, path: str, body: object, fields: dict[str, str]) -> None:
    assert error_of(client.post(f"/api/{path}", json=body), 400, "bad_request")["fields"] == fields


@pytest.mark.parametrize("model", [None, [], "adam", 3, True])
def test_model_that_is_no_object_is_named(client: FlaskClient, model: object) -> None:
    error = error_of(client.post("/api/start", json={"model2": model}), 400, "invalid_settings")
    assert error["fields"] == {"model2": f"model2 must be an object of settings, got {json.dumps(model)}"}


BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"epochs=5", "Expecting value"),
    "cut off": (b'{"model1": {"epochs": 5', "Expecting ',' delimiter"),
    "trailing comma": (b'{"model1": {},}', ""),
    "more than one value": (b"{} {}", "Extra data"),
    "5,000-digit number": (b'{"model1": {"epochs": ' + b"9" * 5000 + b"}}", "limit"),
    "60,000 open brackets": (b"[" * 60_000, "nested too deeply"),
    "60,000 brackets": (b"[" * 30_000 + b"]" * 30_000, "nested too deeply"),
    "60,000 brackets as a value": (b'{"model1": {"epochs": ' + b"[" * 30_000 + b"]" * 30_000 + b"}}", "nested"),
    "bad UTF-8": (b'{"model1": {"optimizer": "\xff"}}', "utf-8"),
    "UTF-16": ('{"model1": {}}'.encode("utf-16"), "utf-8"),
    "byte order mark": (b"\xef\xbb\xbf{}", ""),
    "null byte": (b'{"model1": "\x00"}', "Invalid control character"),
}


@pytest.mark.parametrize("path", ["start", "describe", "pause"])
@pytest.mark.parametrize(("body", "reason"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_body_that_is_no_strict_json_is_refused(client: FlaskClient, path: str, body: bytes, reason: str) -> None:
    response = client.post(f"/api/{path}", data=body, content_type="application/json")
    error = error_of(response, 400, "bad_request")
    assert error["message"].startswith("The body is not JSON: ")
    assert reason in error["message"]
    assert len(error["message"]) < 300
    assert metrics_of(client)["run"] is None


@pytest.mark.parametrize(
    ("path", "body", "field", "given"),
    [
        ("start", '{"model1": {"dropout": NaN}}', "model1.dropout", "NaN"),
        ("start", '{"model2": {"dropout": Infinity}}', "model2.dropout", "Infinity"),
        ("start", '{"model1": {"dropout": -Infinity}}', "model1.dropout", "-Infinity"),
        ("start", '{"model1": {"learning_rate": 1e999}}', "model1.learning_rate", "1e999"),
        ("start", '{"model1": {"learning_rate": -1e999}}', "model1.learning_rate", "-1e999"),
        ("start", '{"model1": {"kernels": [8, NaN]}}', "model1.kernels", "8, NaN"),
        ("start", '{"model1": {"optimizer": NaN}}', "model1.optimizer", "NaN"),
        ("start", '{"model1": {"epochs": 1, "epochs": 2}}', "model1.epochs", "1 and 2: it stands there twice"),
        ("start", '{"model1": {}, "model1": {}}', "model1", "{} and {}: it stands there twice"),
        ("describe", '{"learning_rate": NaN}', "config.learning_rate", "NaN"),
        ("steer", '{"model": "model1", "learning_rate": 1e999}', "model1.learning_rate", "1e999"),
        ("repeats", '{"runs": NaN}', "runs", "NaN"),
        ("repeats", '{"runs": 5, "model2": {"seed": NaN}}', "model2.seed", "NaN"),
        ("stop", '{"model": "model1", "model": "model1"}', "model", '"model1" and "model1": it stands there twice'),
        ("runs/none/rename", '{"name": NaN}', "name", "NaN"),
        ("runs/none/resume", '{"more_epochs": Infinity}', "more_epochs", "Infinity"),
        ("predict", '{"pixels": NaN}', "pixels", "NaN"),
    ],
)
def test_value_that_is_no_json_is_named_with_its_field(
    client: FlaskClient, path: str, body: str, field: str, given: str
) -> None:
    response = client.post(f"/api/{path}", data=body, content_type="application/json")
    assert response.status_code == 400
    fields = strict(response)["error"]["fields"]
    assert list(fields) == [field]
    assert fields[field].startswith(f"{field.split('.')[-1]} must be ")
    assert fields[field].endswith(f", got {given}")
    assert metrics_of(client)["run"] is None


@pytest.mark.parametrize(
    "path", ["start", "describe", "repeats", "repeats/continue", "steer", "fork", "runs/none/resume"]
)
def test_empty_body_starts_and_changes_nothing(client: FlaskClient, path: str) -> None:
    response = client.post(f"/api/{path}", data=b"", content_type="application/json")
    assert error_of(response, 400, "bad_request")["message"].startswith("The body is empty")
    assert metrics_of(client)["run"] is None


@pytest.mark.parametrize("path", ["start", "pause", "resume", "stop"])
@pytest.mark.parametrize("body", [[], None, "adam", 3, True])
def test_body_that_is_no_object_is_refused(client: FlaskClient, path: str, body: object) -> None:
    response = client.post(f"/api/{path}", data=json.dumps(body), content_type="application/json")
    assert error_of(response, 400, "bad_request")["message"] == "The body must be a JSON object"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model1": {"optimizer": "\\ud800"}}',
        b'{"model1": {"\\ud800": 1}}',
        b'{"model1": {"epochs": 99999999999999999999999999}}',
        b'{"model1": {"learning_rate": 1e-999}}',
        b'{"model1": {"kernels": {"0": 1}}}',
        b'{"model1": {"": 1}}',
        b'{"model1": {"__class__": 1}}',
        b'{"model1": {"model_config": {}}}',
        b'{"model1": {"kernels": [' + b"1," * 30_000 + b"1]}}",
    ],
    ids=lambda body: body[:50].decode(),
)
def test_odd_settings_are_named_like_any_other(client: FlaskClient, body: bytes) -> None:
    response = client.post("/api/start", data=body, content_type="application/json")
    error = error_of(response, 400, "invalid_settings")
    assert len(error["fields"]) == 1
    assert len(response.data) < 1000


def test_odd_key_of_the_body_is_shortened(client: FlaskClient) -> None:
    response = client.post("/api/start", json={"\ud800" + "x" * 1000: 1})
    assert [len(key) for key in error_of(response, 400, "bad_request")["fields"]] == [80]


def test_value_nested_almost_too_deeply_is_no_server_error(client: FlaskClient) -> None:
    """Between what the parser takes and what it refuses lies a depth that only the message cannot show."""
    for depth in range(700, 1000):
        body = b'{"model1": {"epochs": ' + b"[" * depth + b"]" * depth + b"}}"
        response = client.post("/api/start", data=body, content_type="application/json")
        assert response.status_code == 400, depth


def test_markup_in_a_body_comes_back_as_text(client: FlaskClient) -> None:
    response = client.post("/api/start", json={"model1": {"optimizer": "<script>alert(1)</script>"}})
    assert response.mimetype == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "<script>" in strict(response)["error"]["fields"]["model1.optimizer"]


# Who may ask, and for what


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/nothing", 404, "not_found"),
        ("POST", "/api/nothing", 404, "not_found"),
        ("GET", "/api/runs/20260101-000000-aaaa", 404, "unknown_run"),
        ("GET", "/api/runs/..%2f..%2fhistory.sqlite", 404, "not_found"),
        ("GET", "/static/../server.py", 404, "not_found"),
        ("GET", "/static/%2e%2e/server.py", 404, "not_found"),
        ("GET", "/vendor/../plotly.py", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
        ("GET", "/api/start", 405, "method_not_allowed"),
        ("GET", "/api/pause", 405, "method_not_allowed"),
        ("DELETE", "/api/runs", 405, "method_not_allowed"),
        ("PUT", "/api/start", 405, "method_not_allowed"),
    ],
)
def test_what_there_is_not_is_answered_in_json(
    client: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    response = client.open(path, method=method, data="{}", content_type="application/json")
    error_of(response, status, code)
    assert ("Allow" in response.headers) == (status == 405)


def routes(app: Flask) -> list[tuple[str, str]]:
    """Return method and path of everything that the app answers, and of what it does not."""
    found = [("GET", "/nothing"), ("POST", "/nothing")]
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<path:filename>", "style.css")
        choice = re.search(r"<any\((.*)\):\w+>", path)
        for chosen in choice[1].split(", ") if choice else [""]:
            filled = re.sub(r"<\w+>", "20260101-000000-aaaa", re.sub(r"<any\(.*\):\w+>", chosen, path))
            found += [(method, filled) for method in sorted(rule.methods or ()) if method != "HEAD"]
    return found


def test_every_route_of_the_design_is_there(app: Flask) -> None:
    assert set(routes(app)) >= {
        ("GET", "/"),
        ("GET", "/static/style.css"),
        ("GET", "/vendor/plotly.min.js"),
        ("GET", "/api/config"),
        ("GET", "/api/metrics"),
        ("GET", "/api/runs"),
        ("GET", "/api/runs/20260101-000000-aaaa"),
        ("POST", "/api/describe"),
        ("POST", "/api/start"),
        ("POST", "/api/pause"),
        ("POST", "/api/resume"),
        ("POST", "/api/stop"),
    }


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8080", "10.0.0.1", ""])
def test_forged_host_is_refused_on_every_route(app: Flask, client: FlaskClient, host: str) -> None:
    for method, path in routes(app):
        response = client.open(path, method=method, data="{}", content_type="application/json", headers={"Host": host})
        error_of(response, 400, "bad_host")
    assert metrics_of(client)["run"] is None


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Origin": "http://evil.example"}, 403, "foreign_origin"),
        ({"Origin": "null"}, 403, "foreign_origin"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "foreign_origin"),
        ({"Content-Type": "text/plain"}, 415, "not_json"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "not_json"),
    ],
)
def test_post_from_another_site_is_refused_on_every_route(
    app: Flask, client: FlaskClient, headers: dict[str, str], status: int, code: str
) -> None:
    for method, path in routes(app):
        if method == "POST":
            response = client.post(path, data="{}", headers={"Content-Type": "application/json"} | headers)
            error_of(response, status, code)
    assert metrics_of(client)["run"] is None


def test_every_answer_carries_the_security_headers(app: Flask, client: FlaskClient) -> None:
    statuses = set()
    for method, path in routes(app):
        response = client.open(path, method=method, data='{"x": 1}', content_type="application/json")
        assert dict(SECURITY_HEADERS).items() <= dict(response.headers).items(), path
        assert "Access-Control-Allow-Origin" not in response.headers, path
        statuses.add(response.status_code)
    assert statuses >= {200, 400, 404}


def test_large_body_is_refused(client: FlaskClient) -> None:
    body = json.dumps({"model1": {"optimizer": "x" * 70_000}})
    error_of(client.post("/api/start", data=body, content_type="application/json"), 413, "too_large")


def test_figures_are_never_kept_by_a_cache(client: FlaskClient) -> None:
    for path in ("/api/metrics", "/api/config", "/api/runs", "/api/nothing"):
        assert client.get(path).headers["Cache-Control"] == "no-store"


# The cursor


def test_idle_poll_takes_at_most_300_bytes(client: FlaskClient) -> None:
    start(client)
    wait_until(client, "finished")
    cursor = metrics_of(client)
    query = {"boot": cursor["boot"], "run": cursor["run"], "since": cursor["next"]}
    response = client.get("/api/metrics", query_string=query)
    assert len(response.data) <= 300
    body = strict(response)
    assert (body["models"], body["reset"], body["next"]) == ({}, False, cursor["next"])


def test_idle_poll_before_the_first_run_takes_at_most_300_bytes(client: FlaskClient) -> None:
    cursor = metrics_of(client)
    response = client.get("/api/metrics", query_string={"boot": cursor["boot"], "run": "", "since": cursor["next"]})
    assert len(response.data) <= 300
    assert (strict(response)["models"], strict(response)["reset"]) == ({}, False)


def test_polls_by_cursor_put_together_are_the_whole(client: FlaskClient) -> None:
    start(client, {name: quick(epochs=5).model_dump(mode="json") for name in MODEL_NAMES})
    cursor = metrics_of(client)
    seen = {name: model["points"]["step"] for name, model in cursor["models"].items()}
    evaluated = {name: model["evaluations"]["epoch"] for name, model in cursor["models"].items()}
    over = False
    while not over:
        over = set(states(client).values()) == {"finished"}
        cursor = metrics_of(client, cursor)
        assert cursor["reset"] is False
        for name, model in cursor["models"].items():
            seen[name] += model["points"]["step"]
            evaluated[name] += model["evaluations"]["epoch"]
    for name, model in metrics_of(client)["models"].items():
        assert seen[name] == model["points"]["step"] == list(range(1, 81))
        assert evaluated[name] == model["evaluations"]["epoch"]


@pytest.mark.parametrize(
    "change",
    [
        {"boot": "00000000"},
        {"boot": None},
        {"run": "20260101-000000-aaaa"},
        {"run": None},
        {"run": ""},
        {"since": "999999999"},
        {"since": None},
    ],
    ids=lambda change: json.dumps(change),
)
def test_cursor_that_does_not_belong_gets_the_whole_history(client: FlaskClient, change: dict[str, Any]) -> None:
    start(client)
    wait_until(client, "finished")
    whole = metrics_of(client)
    query = {"boot": whole["boot"], "run": whole["run"], "since": str(whole["next"])} | change
    response = client.get(
        "/api/metrics", query_string={key: value for key, value in query.items() if value is not None}
    )
    body = strict(response)
    assert body == whole
    assert body["reset"] is True


def test_cursor_of_the_run_before_gets_the_whole_of_the_new_one(client: FlaskClient) -> None:
    start(client)
    wait_until(client, "finished")
    cursor = metrics_of(client)
    run = start(client)
    wait_until(client, "finished")
    body = metrics_of(client, cursor)
    assert (body["run"], body["reset"]) == (run, True)
    assert body["models"]["model1"]["points"]["step"] == [1, 2, 3, 4]


@pytest.mark.parametrize("since", ["-1", "1.5", "one", "", "0x10", "१२", "9" * 20, " 1", "NaN"])
def test_cursor_that_is_no_whole_number_is_refused(client: FlaskClient, since: str) -> None:
    error = error_of(client.get("/api/metrics", query_string={"since": since}), 400, "bad_request")
    assert error["fields"]["since"].startswith("since must be a whole number, got ")


def test_boot_changes_with_every_process(tmp_path: Path, monitor: Monitor) -> None:
    other = Monitor(tmp_path, RunStore(tmp_path / "other"))
    assert other.boot != monitor.boot
    other.close()


# Size


def test_whole_history_of_a_long_run_stays_small(client: FlaskClient, monitor: Monitor) -> None:
    log = MetricsLog(MODEL_NAMES)
    for name in MODEL_NAMES:
        for first in range(1, 300_001, 1000):
            steps = range(first, first + 1000)
            points = [
                Point(step, step / 860, step / 7.3, math.exp(-step / 1e5) + step % 7 / 9.1, 0.9) for step in steps
            ]
            log.publish(name, Status("running"), points)
        log.publish(name, Status("stopped"), flush=True)
    monitor.control.latest = monitor.control.latest._replace(metrics=log)
    response = client.get("/api/metrics", headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert len(response.data) <= 150_000
    body = json.loads(gzip.decompress(response.data))
    for model in body["models"].values():
        assert model["points"]["step"][0] < 1000
        assert model["points"]["step"][-1] == 300_000
    assert json.loads(client.get("/api/metrics").data) == body  # the same without compression


def test_small_answers_are_not_compressed(client: FlaskClient) -> None:
    response = client.get("/api/runs", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in response.headers


def test_trouble_with_the_disk_is_shown(client: FlaskClient, monitor: Monitor) -> None:
    monitor.store.problem = "Not saved: database or disk is full."
    assert metrics_of(client)["problem"] == "Not saved: database or disk is full."


# The program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """`python server.py` as a user starts it."""

    def __init__(self, runs_dir: Path, *options: str, data_dir: Path, python_path: Path | None = None) -> None:
        self.port = free_port()
        command = [sys.executable, "server.py", "--port", str(self.port), "--runs-dir", str(runs_dir)]
        self.process = subprocess.Popen(
            [*command, "--data-dir", str(data_dir), *options],
            cwd=ROOT,
            env={"PATH": "", "HOME": str(runs_dir), "PYTHONPATH": str(python_path or "")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()  # there as soon as it listens

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                text = response.read()
                return response.status, json.loads(text) if path.startswith("/api") else text.decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def is_ready(self) -> bool:
        return bool(self.ask("/api/config")[1]["status"] == "ready")

    def end(self, *signals: signal.Signals) -> int:
        """Send signals one after the other and return the exit code; kill it if it does not end."""
        for number in signals:
            self.process.send_signal(number)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.output = self.process.communicate()


@pytest.fixture
def program(tmp_path: Path, data_dir: Path) -> Iterator[Callable[..., Program]]:
    """Start programs; those that a test has not ended are killed."""
    started: list[Program] = []

    def launch(*options: str, **settings: Any) -> Program:
        started.append(Program(tmp_path / "runs", *options, **({"data_dir": data_dir} | settings)))
        return started[-1]

    yield launch
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


@pytest.fixture
def without_torch(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH under which torch cannot be imported before the file `go` stands there."""
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "sitecustomize.py").write_text("""
import importlib.machinery, pathlib, sys, time

class Wait:
    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def execute_late(module):
            while not pathlib.Path(__file__).with_name("go").exists():
                time.sleep(0.02)
            execute(module)

        spec.loader.exec_module = execute_late
        return spec

sys.meta_path.insert(0, Wait())
""")
    return tmp_path / "late"


def test_page_is_there_before_torch_and_says_that_it_is_loading(
    program: Callable[..., Program], without_torch: Path
) -> None:
    server = program(python_path=without_torch)
    assert server.first_line == (
        f"FashionMNIST CNN Training Monitor on http://localhost:{server.port} (Ctrl-C to stop)\n"
    )
    status, page = server.ask("/")
    assert (status, "FashionMNIST CNN Training Monitor" in page) == (200, True)
    assert server.ask("/api/config")[1]["status"] == "loading"
    assert server.ask("/api/start", {})[0] == 503
    (without_torch / "go").touch()
    wait_for(server.is_ready, "readiness")
    assert server.ask("/api/describe", {})[1]["parameters"] == 422_026
    assert server.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_signal_while_loading_ends_the_program_with_0(
    program: Callable[..., Program], without_torch: Path, number: signal.Signals
) -> None:
    server = program(python_path=without_torch)  # sent as soon as the address is printed
    assert server.end(number) == 0


def test_signal_while_training_saves_the_run_and_exits_with_0(program: Callable[..., Program], tmp_path: Path) -> None:
    server = program()
    wait_for(server.is_ready, "readiness")
    _, answer = server.ask("/api/start", ENDLESS)
    wait_for(lambda: server.ask("/api/metrics")[1]["models"]["model2"]["step"] > 20, "training")
    before = server.ask("/api/metrics")[1]["models"]["model2"]["step"]
    asked = time.monotonic()
    assert server.end(signal.SIGTERM) == 0
    assert time.monotonic() - asked < 10
    store = RunStore(tmp_path / "runs")
    try:
        models = store.run(answer["run"]).view()[1]
        assert {model["state"] for model in models.values()} == {"stopped"}
        assert models["model2"]["step"] >= before
        assert models["model2"]["points"]["step"][-1] == models["model2"]["step"]
    finally:
        store.close()


def test_second_server_on_the_same_runs_is_refused(
    program: Callable[..., Program], without_torch: Path, tmp_path: Path
) -> None:
    program(python_path=without_torch)
    second = program()
    assert second.end() == 1
    assert second.output[1] == f"{tmp_path / 'runs'} is in use by another server: stop that one or give --runs-dir\n"


def test_port_in_use_is_named_in_one_line_at_once(program: Callable[..., Program], without_torch: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = program("--port", str(port), python_path=without_torch)  # torch would never load
        assert server.end() == 1
    assert server.first_line == ""
    assert re.fullmatch(rf"Cannot listen on 127\.0\.0\.1:{port} \(.+\): choose another with --port\n", server.output[1])


def test_host_that_is_none_is_named_in_one_line_at_once(program: Callable[..., Program], without_torch: Path) -> None:
    server = program("--host", "no such host", python_path=without_torch)
    assert server.end() == 1
    assert re.fullmatch(r"Cannot listen on no such host:\d+ \(.+\): choose another with --port\n", server.output[1])


@pytest.mark.parametrize("port", ["99999", "65536", "0", "-1", "http", "８０８０"])
def test_number_that_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments([f"--port={port}"])
    assert caught.value.code == 2
    assert f"argument --port: must be a whole number from 1 to 65535, got {port!r}" in capsys.readouterr().err


def test_endless_and_enormous_bodies_are_cut_off(program: Callable[..., Program], without_torch: Path) -> None:
    server = program(python_path=without_torch)
    head = f"POST /api/start HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Type: application/json\r\n"

    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
        sent = 0
        with contextlib.suppress(ConnectionError):  # it hangs up on us
            while sent < 50_000_000:  # far beyond the limit, and what lies in buffers on the way
                sent += connection.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
        assert sent < 50_000_000
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall((head + "Content-Length: 1000000000\r\n\r\n{").encode())
        assert b" 413 " in connection.recv(100)
    assert server.ask("/api/config")[0] == 200


def test_beyond_loopback_a_token_is_printed_and_asked_for(program: Callable[..., Program], without_torch: Path) -> None:
    server = program("--host", "0.0.0.0", python_path=without_torch)
    found = re.search(r"\?token=([\w-]{32}) ", server.first_line)
    assert found
    assert server.ask("/api/config")[0] == 401
    assert server.ask("/api/start", {})[0] == 401
    bearer = {"Authorization": f"Bearer {found[1]}"}
    assert server.ask("/api/config", **bearer)[0] == 200
    assert server.end(signal.SIGTERM) == 0
    assert found[1] not in server.output[1]  # not in the log


def test_help_names_every_option() -> None:
    done = subprocess.run([sys.executable, "server.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for option in ("--host", "--port", "--data-dir", "--runs-dir"):
        assert option in done.stdout
