"""Renaming, deleting and restoring runs over HTTP, and what one run tells of itself."""

from pathlib import Path

import pytest
import torch
from flask.testing import FlaskClient
from histories import history_file
from served import (
    ENDLESS,
    QUICK,
    error_of,
    metrics_of,
    open_monitor,
    start,
    states,
    strict,
    wait_until,
)

from config import MODEL_NAMES
from history.store import RunStore, UnknownRun
from server import create_app
from web.monitor import Monitor


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
        with pytest.raises(UnknownRun):
            store.restore(first)
        store.wait_until_checked()  # nothing is thrown away before that
        files = sorted(path.name for path in (runs_dir / "checkpoints").iterdir())
        assert files == [f"{second}.{model}.checkpoint" for model in MODEL_NAMES]
    finally:
        store.close()
    with history_file(runs_dir) as database:
        assert database.execute("SELECT DISTINCT run FROM chunks").fetchall() == [(second,)]


def test_one_run_tells_its_name_start_and_environment(client: FlaskClient, monitor: Monitor) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    body = strict(client.get(f"/api/runs/{run}"))
    assert body["environment"]["torch"] == torch.__version__
    assert "revision" in body["environment"]
    assert body["started"].endswith("+00:00")
    assert body["models"] == metrics_of(client)["models"]
