"""A served app or program as tests speak to it: ask, start, wait; and strict about every answer."""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from helpers import PATIENCE, FullLog, as_json, endless, quick, wait_for
from werkzeug.test import TestResponse

from config import MODEL_NAMES
from history.records import Evaluation, Point
from history.store import RunStore
from web.monitor import Monitor

ROOT = Path(__file__).resolve().parent.parent


QUICK = as_json(dict.fromkeys(MODEL_NAMES, quick(batch_size=256)))


ENDLESS = as_json({name: endless(seed=seed) for seed, name in enumerate(MODEL_NAMES)})
SHORT = {
    "model1": quick(batch_size=128).model_dump(mode="json"),
    "model2": quick(batch_size=128, kernels=(6,), kernel_sizes=(5,), epochs=2).model_dump(mode="json"),
}


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


def finish(client: FlaskClient, configs: dict[str, Any] = QUICK) -> str:
    """Start a run, wait for its end and return its id."""
    run = start(client, configs)
    wait_until(client, "finished")
    return run


def continue_run(client: FlaskClient, run: str, **body: int) -> None:
    """Go on with a past run under its own id."""
    response = client.post(f"/api/runs/{run}/resume", json=body)
    assert (response.status_code, strict(response)) == (202, {"run": run}), response.text


def open_monitor(runs_dir: Path) -> Monitor:
    """Return a monitor that is ready to train, as a new process would have it."""
    monitor = Monitor(runs_dir.parent / "data", RunStore(runs_dir))
    monitor.loading.load()
    assert monitor.loading.status == "ready"
    return monitor


def measured(monitor: Monitor, run: str, model: str, kind: type[Point] | type[Evaluation] = Point) -> list[Any]:
    """Return what the history holds of a model at full resolution, its times left out."""
    monitor.store.save()
    rows = [row for rows in monitor.store.read(kind, run, model, last_step=10**9) for row in rows]
    return [without_time(row) for row in rows]


def without_time(row: Point | Evaluation) -> Any:
    return row._replace(seconds=0.0)


def assert_as_uninterrupted(monitor: Monitor, run: str, uninterrupted: FullLog, *, one_clock: bool = True) -> None:
    """Assert that a run of LIVELY models has measured what it does when nothing comes in between."""
    for model in MODEL_NAMES:
        assert measured(monitor, run, model) == [without_time(one) for one in uninterrupted.all_points[model]]
        evaluations = [without_time(one) for one in uninterrupted.evaluations(model)]
        assert measured(monitor, run, model, Evaluation) == evaluations
        points = [one for portion in monitor.store.read(Point, run, model, last_step=10**9) for one in portion]
        seconds = [one.seconds for one in points]
        assert seconds == sorted(seconds) or not one_clock  # the time goes on where it was held
        assert monitor.control.latest.metrics.status(model).test_accuracy == uninterrupted.status(model).test_accuracy


def predict(client: FlaskClient, **body: Any) -> Any:
    """Return what the models make of a picture."""
    response = client.post("/api/predict", json=body)
    assert response.status_code == 200, response.text
    return strict(response)


def wait_until(client: FlaskClient, state: str, *models: str) -> None:
    wait_for(lambda: all(states(client)[model] == state for model in models or MODEL_NAMES), state)


def wait_for_steps(client: FlaskClient, model: str, count: int) -> None:
    wait_for(lambda: metrics_of(client)["models"][model]["step"] >= count, f"{count} steps of {model}")


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
