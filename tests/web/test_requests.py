"""Settings and bodies that cannot be used: each is refused, and what was at fault is named."""

import json
import re

import pytest
from flask.testing import FlaskClient
from served import ENDLESS, error_of, metrics_of, start, states, strict

from config import SCHEMA


def test_bad_settings_of_both_models_are_named_and_nothing_starts(client: FlaskClient) -> None:
    given = {
        "model1": {"learning_rate": 0, "kernels": [8, 8], "kernel_sizes": [2, 3]},
        "model2": {"batch_size": "64", "colour": "blue"},
    }
    error = error_of(client.post("/api/start", json=given), 400, "invalid_settings")
    assert error["message"] == "4 settings cannot be used"
    assert error["fields"] == {
        "model1.learning_rate": "learning_rate must be a number above 0 and at most 10, got 0",
        "model1.kernel_sizes": "kernel_sizes must each be one of 1, 3, 5, 7, got 2, 3",
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
def test_model_that_is_not_an_object_is_named(client: FlaskClient, model: object) -> None:
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
def test_body_that_is_not_strict_json_is_refused(client: FlaskClient, path: str, body: bytes, reason: str) -> None:
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
def test_value_that_is_not_json_is_named_with_its_field(
    client: FlaskClient, path: str, body: str, field: str, given: str
) -> None:
    response = client.post(f"/api/{path}", data=body, content_type="application/json")
    assert response.status_code == 400
    fields = strict(response)["error"]["fields"]
    assert list(fields) == [field]
    assert re.match(f"{field.split('.')[-1]} must (each )?be ", fields[field])
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
def test_body_that_is_not_an_object_is_refused(client: FlaskClient, path: str, body: object) -> None:
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
