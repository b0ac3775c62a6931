"""Polls: the cursor, and the size of an answer."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import quick
from served import error_of, metrics_of, start, states, strict, wait_until

from config import DEFAULTS, MODEL_NAMES
from history.log import MetricsLog
from history.records import Point, Status
from history.store import RunStore
from web.monitor import Monitor


def test_metrics_before_the_first_run_are_idle_and_empty(client: FlaskClient, monitor: Monitor) -> None:
    metrics = metrics_of(client)
    assert (metrics["boot"], metrics["run"], metrics["reset"]) == (monitor.boot, None, True)
    assert list(metrics["models"]) == ["model1", "model2"]
    for model in metrics["models"].values():
        assert (model["state"], model["step"], model["loss"]) == ("idle", 0, None)
        assert model["points"]["step"] == []
        assert model["config"] == DEFAULTS.model_dump(mode="json")


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


def test_damage_is_told_once_to_each_page_and_idle_polls_stay_small(client: FlaskClient, monitor: Monitor) -> None:
    start(client)
    wait_until(client, "finished")
    first = metrics_of(client)
    database = monitor.store._database
    for warning in ("x" * 1000, "y" * 1000):  # found after the start
        database.warning = warning
        told = metrics_of(client, first)
        assert (told["warning"], told["models"], told["reset"]) == (warning, {}, False)
        assert metrics_of(client, first) == told  # another page with the same cursor
        assert len(str(metrics_of(client, told))) <= 300
        assert metrics_of(client)["warning"] == warning  # a page that is opened now
        first = told
    start(client)
    latest = metrics_of(client)
    assert latest["warning"] == database.warning
    wait_until(client, "finished")
    assert "warning" not in metrics_of(client, metrics_of(client))


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
def test_cursor_that_is_not_a_whole_number_is_refused(client: FlaskClient, since: str) -> None:
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
