"""The queue: comparisons run one after another, none is lost, and it waits after a stop and in a new process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import as_json, quick, wait_for
from histories import history_file
from served import ENDLESS, QUICK, error_of, metrics_of, open_monitor, start, states, strict, wait_for_steps, wait_until

import train as train_module
from config import MODEL_NAMES, ModelConfig
from history.store import NotSaved, RunStore
from server import create_app
from training.engine import Engine
from web.monitor import Monitor

RUN = "20260101-000000-aaaa"
pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")


def comparison(seed: int) -> dict[str, Any]:
    """Return settings that tell one comparison from another by their seed."""
    return as_json(dict.fromkeys(MODEL_NAMES, quick(batch_size=256, seed=seed)))


def put(client: FlaskClient, configs: dict[str, Any]) -> str:
    response = client.post("/api/queue", json=configs)
    assert response.status_code == 202, response.text
    item: str = strict(response)["item"]
    return item


def line(client: FlaskClient) -> Any:
    return strict(client.get("/api/queue"))


def seeds_in_line(client: FlaskClient) -> list[int]:
    return [item["configs"]["model1"]["seed"] for item in line(client)["items"]]


def seeds_run(client: FlaskClient) -> list[int]:
    """Return the seeds of all runs in the order of their start."""
    runs = sorted(strict(client.get("/api/runs"))["runs"], key=lambda run: str(run["started"]))  # ids tell seconds
    return [run["models"]["model1"]["config"]["seed"] for run in runs]


def wait_for_runs(client: FlaskClient, seeds: list[int]) -> None:
    wait_for(lambda: seeds_run(client) == seeds, f"runs {seeds}")
    wait_until(client, "finished")


def test_comparisons_in_line_run_one_after_another_and_land_in_the_history(client: FlaskClient) -> None:
    first = start(client, ENDLESS)
    items = [put(client, comparison(seed)) for seed in (11, 12, 13)]
    said = line(client)
    assert (said["state"], [item["id"] for item in said["items"]]) == ("running", items)
    assert said["items"][0]["differing"] == []
    assert metrics_of(client)["run"] == first
    error_of(client.post("/api/start", json=QUICK), 409, "conflict")
    forked = client.post("/api/fork", json={"settings": {"dropout": 0.1}})  # it takes the place of what is on
    assert forked.status_code == 202, forked.text
    wait_for_steps(client, "model2", 1)
    assert len(line(client)["items"]) == 3
    client.post("/api/stop", json={"model": "model1"})
    client.post("/api/stop", json={"model": "model2"})
    wait_for(lambda: line(client)["state"] == "waiting", "a line that waits")
    client.post("/api/queue/go", json={})
    wait_for_runs(client, [0, 0, 11, 12, 13])
    assert (line(client)["state"], line(client)["items"]) == ("idle", [])


def test_a_line_that_was_empty_starts_by_itself_and_goes_on_with_what_comes_later(client: FlaskClient) -> None:
    put(client, comparison(1))
    wait_for_runs(client, [1])
    put(client, comparison(2))
    wait_for_runs(client, [1, 2])


def test_comparisons_are_moved_and_taken_out(client: FlaskClient) -> None:
    start(client, ENDLESS)
    items = {seed: put(client, comparison(seed)) for seed in (11, 12, 13)}
    before = metrics_of(client)["queue"]
    moved = client.post(f"/api/queue/{items[13]}/move", json={"to": 0})
    assert moved.status_code == 200
    assert seeds_in_line(client) == [13, 11, 12]
    client.post(f"/api/queue/{items[13]}/move", json={"to": 19})
    assert seeds_in_line(client) == [11, 12, 13]
    assert client.post(f"/api/queue/{items[12]}/delete", json={}).status_code == 200
    assert seeds_in_line(client) == [11, 13]
    assert metrics_of(client)["queue"] > before
    error_of(client.post(f"/api/queue/{items[12]}/delete", json={}), 404, "unknown_item")
    error_of(client.post(f"/api/queue/{items[12]}/move", json={"to": 0}), 404, "unknown_item")
    fields = error_of(client.post(f"/api/queue/{items[11]}/move", json={"to": 20}), 400, "bad_request")["fields"]
    assert fields == {"to": "to must be a whole number from 0 to 19, got 20"}


def test_the_line_takes_twenty(client: FlaskClient) -> None:
    start(client, ENDLESS)
    for seed in range(20):
        put(client, comparison(seed))
    error = error_of(client.post("/api/queue", json=comparison(20)), 409, "conflict")
    assert error["message"] == "The line is full: 20 comparisons wait"
    assert seeds_in_line(client) == list(range(20))


def test_settings_that_cannot_be_used_are_not_put_in_line(client: FlaskClient) -> None:
    start(client, ENDLESS)
    response = client.post("/api/queue", json={"model1": {"epochs": 0}, "model2": {"dropout": 2}})
    assert set(error_of(response, 400, "invalid_settings")["fields"]) == {"model1.epochs", "model2.dropout"}
    assert line(client)["items"] == []


def test_after_a_stop_the_line_waits_until_it_is_told_to_go_on(client: FlaskClient) -> None:
    error_of(client.post("/api/queue/go", json={}), 409, "conflict")
    start(client, ENDLESS)
    put(client, comparison(11))
    client.post("/api/stop", json={})
    wait_until(client, "stopped")
    wait_for(lambda: line(client)["state"] == "waiting", "a line that waits")
    put(client, comparison(12))
    assert (line(client)["state"], seeds_in_line(client)) == ("waiting", [11, 12])
    start(client, ENDLESS)  # what somebody starts meanwhile comes first
    assert strict(client.post("/api/queue/go", json={}))["state"] == "running"
    wait_for_steps(client, "model1", 1)
    assert seeds_in_line(client) == [11, 12]
    client.post("/api/stop", json={})
    wait_for(lambda: line(client)["state"] == "waiting", "a line that waits again")
    client.post("/api/queue/go", json={})
    wait_for_runs(client, [0, 0, 11, 12])


def test_a_model_that_fails_does_not_stop_the_line(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(config: ModelConfig, *rest: Any) -> Engine:
        if config.seed == 11:
            raise ValueError("no such network")
        return Engine(config, *rest)

    monkeypatch.setattr(train_module, "Engine", build)
    put(client, comparison(11))
    put(client, comparison(12))
    wait_for_runs(client, [11, 12])
    runs = {run["models"]["model1"]["config"]["seed"]: run for run in strict(client.get("/api/runs"))["runs"]}
    assert {model["state"] for model in runs[11]["models"].values()} == {"failed"}


def test_one_model_that_is_stopped_does_not_stop_the_line(client: FlaskClient) -> None:
    configs = {"model1": ENDLESS["model1"], "model2": quick(epochs=3).model_dump(mode="json")}
    start(client, configs)
    put(client, comparison(11))
    wait_for_steps(client, "model1", 1)
    client.post("/api/stop", json={"model": "model1"})
    wait_for_runs(client, [0, 11])


def test_line_and_repeats_wait_for_each_other(client: FlaskClient, monitor: Monitor) -> None:
    differing = {name: quick(batch_size=256, hidden_units=8 + place) for place, name in enumerate(MODEL_NAMES)}
    assert client.post("/api/repeats", json={"runs": 3} | as_json(differing)).status_code == 202
    put(client, comparison(90))
    error_of(client.post("/api/repeats", json={"runs": 3} | as_json(differing)), 409, "conflict")
    wait_for_runs(client, [1, 2, 3, 90])
    assert monitor.queue.state == "idle"


# A new process


@pytest.fixture
def reopened(runs_dir: Path) -> Iterator[Monitor]:
    """A monitor over a history in which 11 and 12 wait, as a new process has it."""
    before = open_monitor(runs_dir)
    try:
        old = create_app(before).test_client()
        start(old, ENDLESS)
        for seed in (11, 12):
            put(old, comparison(seed))
    finally:
        before.close()
    monitor = open_monitor(runs_dir)
    yield monitor
    monitor.close()


def test_the_line_is_kept_over_a_restart_and_waits(reopened: Monitor) -> None:
    client = create_app(reopened).test_client()
    assert (line(client)["state"], seeds_in_line(client)) == ("waiting", [11, 12])
    assert metrics_of(client)["queue"] == 1
    assert states(client) == dict.fromkeys(MODEL_NAMES, "idle")
    client.post("/api/queue/go", json={})
    wait_for_runs(client, [0, 11, 12])
    assert line(client)["state"] == "idle"


@pytest.mark.parametrize("entered", [False, True], ids=["before its run was entered", "after"])
def test_a_comparison_whose_turn_had_come_is_neither_lost_nor_run_twice(tmp_path: Path, entered: bool) -> None:
    """As the file stands when the process is killed between the steps in which one leaves the line."""
    store = RunStore(tmp_path)
    try:
        first, second = (store.queue.add(comparison(seed)) for seed in (11, 12))
        store.queue.claim(first, RUN)
        assert [item.id for item in store.queue.items()] == [second]
        if entered:
            with history_file(tmp_path) as history:
                history.execute("INSERT INTO runs (id, started, environment) VALUES (?, '2026', '{}')", (RUN,))
    finally:
        store.close()
    again = RunStore(tmp_path)
    try:
        assert [item.id for item in again.queue.items()] == ([second] if entered else [first, second])
    finally:
        again.close()


def test_a_history_that_cannot_be_written_keeps_the_line_waiting_and_says_why(
    client: FlaskClient, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: str) -> None:
        raise NotSaved("The history could not be changed: the disk is full")

    monkeypatch.setattr(monitor.store.queue, "claim", refuse)
    put(client, comparison(11))
    wait_for(lambda: line(client)["problem"] is not None, "a problem")
    assert "disk is full" in line(client)["problem"]
    assert (line(client)["state"], seeds_in_line(client)) == ("waiting", [11])
