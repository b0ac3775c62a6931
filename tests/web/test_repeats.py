"""A series of repeats over HTTP: its whole course, with real trainings."""

import time
from statistics import fmean
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import DIVERGING, endless, quick, wait_for
from served import error_of, metrics_of, strict, wait_until

from config import MODEL_NAMES
from history.store import NotSaved, RunStore
from web.monitor import Monitor
from web.repeats import describe

QUICK = {name: quick(batch_size=256, hidden_units=8 * (1 + (name == "model1"))) for name in MODEL_NAMES}
BODY = {name: config.model_dump(mode="json") for name, config in QUICK.items()}
ENDLESS = {
    name: endless(seed=5, dropout=dropout).model_dump(mode="json")
    for name, dropout in zip(MODEL_NAMES, (0.5, 0.3), strict=True)
}
PRECISIONS = {"model1": "auto", "model2": "float32"}
LOSING = DIVERGING.model_dump(mode="json")


def repeats_of(client: FlaskClient) -> dict[str, Any]:
    found = strict(client.get("/api/repeats"))
    assert isinstance(found, dict)
    return found


def wait_for_series(client: FlaskClient, state: str) -> dict[str, Any]:
    wait_for(lambda: repeats_of(client)["state"] == state, f"series that is {state}")
    return repeats_of(client)


def test_series_runs_every_pair_with_one_seed_for_both_models(client: FlaskClient, monitor: Monitor) -> None:
    assert repeats_of(client)["series"] is None
    answer = client.post("/api/repeats", json={"runs": 3} | BODY)
    assert answer.status_code == 202
    error_of(client.post("/api/start", json=BODY), 409, "conflict")
    error_of(client.post("/api/repeats", json={"runs": 3} | BODY), 409, "conflict")
    error_of(client.post("/api/steer", json={"model": "model1", "learning_rate": 0.1}), 409, "conflict")
    found = wait_for_series(client, "finished")
    assert found["series"] == strict(answer)["series"]
    assert [pair["seed"] for pair in found["pairs"]] == [1, 2, 3]
    runs = {run["id"]: run for run in strict(client.get("/api/runs"))["runs"]}
    for pair in found["pairs"]:
        models = runs[pair["run"]]["models"]
        assert runs[pair["run"]]["pair"] == {"series": found["series"], "number": pair["seed"], "of": 3}
        assert [models[name]["config"] for name in MODEL_NAMES] == [
            config.model_copy(update={"seed": pair["seed"]}).model_dump(mode="json") for config in QUICK.values()
        ]
        assert pair["delta"] == models["model1"]["test_accuracy"] - models["model2"]["test_accuracy"]
    assert found["result"]["mean"] == pytest.approx(fmean(pair["delta"] for pair in found["pairs"]))
    assert found["curves"]["model1"]["epoch"][-1] == 1
    accuracies = [runs[pair["run"]]["models"]["model2"]["val_accuracy"] for pair in found["pairs"]]
    assert found["curves"]["model2"]["mean"][-1] == pytest.approx(fmean(accuracies))
    error_of(client.post("/api/repeats/stop", json={}), 409, "conflict")
    error_of(client.post("/api/repeats/continue", json={"series": found["series"]}), 409, "conflict")


def test_series_stopped_midway_keeps_what_it_has_and_goes_on_later(client: FlaskClient, monitor: Monitor) -> None:
    body = {name: config.model_copy(update={"epochs": 6}).model_dump(mode="json") for name, config in QUICK.items()}
    series = strict(client.post("/api/repeats", json={"runs": 3} | body))["series"]
    wait_for(lambda: repeats_of(client)["pairs"][1]["state"] == "running", "second pair")
    assert metrics_of(client)["repeat"] == {"pair": 2, "of": 3}
    assert client.post("/api/repeats/stop", json={}).status_code == 200
    stopped = wait_for_series(client, "stopped")
    assert stopped["result"]["pairs"] == 1
    assert client.post("/api/repeats/continue", json={"series": series}).status_code == 202
    done = wait_for_series(client, "finished")
    assert done["pairs"][0] == stopped["pairs"][0]
    assert done["pairs"][1]["run"] == stopped["pairs"][1]["run"]  # taken up again, not begun anew
    assert [pair["state"] for pair in done["pairs"]] == ["finished"] * 3


def test_stop_button_ends_the_series_too_and_only_the_series_goes_on_with_its_pair(
    client: FlaskClient, monitor: Monitor
) -> None:
    client.post("/api/repeats", json={"runs": 3} | ENDLESS)
    wait_until(client, "running")
    assert client.post("/api/stop", json={}).status_code == 200
    found = wait_for_series(client, "stopped")
    assert [pair["state"] for pair in found["pairs"]] == ["stopped", "waiting", "waiting"]
    assert found["result"] is None
    run = found["pairs"][0]["run"]
    for body in ({}, {"more_epochs": 1}):  # by itself it could be trained longer, and steered, and would still count
        error = error_of(client.post(f"/api/runs/{run}/resume", json=body), 409, "conflict")
        assert "it is a pair of repeats: continue the series" in error["message"]
    assert client.post("/api/repeats/continue", json={"series": found["series"]}).status_code == 202
    wait_until(client, "running")
    client.post("/api/repeats/stop", json={})
    assert wait_for_series(client, "stopped")["pairs"][0]["run"] == run


def test_pair_whose_training_fails_is_lost_and_the_series_goes_on(client: FlaskClient, monitor: Monitor) -> None:
    client.post("/api/repeats", json={"runs": 6} | BODY | {"model1": LOSING})
    found = wait_for_series(client, "finished")
    assert [(pair["state"], pair["failed"], pair["delta"]) for pair in found["pairs"]] == [
        ("failed", ["model1"], None)
    ] * 6
    assert all(pair["model1"] is None and pair["model2"] > 0 for pair in found["pairs"])
    assert found["result"]["claim"] == "model2"
    assert (found["result"]["failed1"], found["result"]["wins2"], found["result"]["mean"]) == (6, 6, None)


def seeds_of(client: FlaskClient) -> list[int]:
    return [pair["seed"] for pair in repeats_of(client)["pairs"]]


def test_second_series_starts_as_soon_as_the_first_has_ended_and_has_other_seeds(
    client: FlaskClient, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = RunStore.set_series_state

    def write_and_linger(store: RunStore, series: str, state: str) -> None:
        write(store, series, state)
        time.sleep(2)  # the series' thread is still alive

    monkeypatch.setattr(RunStore, "set_series_state", write_and_linger)
    client.post("/api/repeats", json={"runs": 3} | BODY)
    wait_for_series(client, "finished")
    assert seeds_of(client) == [1, 2, 3]
    later = {name: settings | {"seed": 2 * number} for number, (name, settings) in enumerate(BODY.items())}
    answer = client.post("/api/repeats", json={"runs": 4} | later)  # at 0, as the first, and model 2 seen with 2
    assert answer.status_code == 202
    wait_for_series(client, "finished")
    assert seeds_of(client) == [4, 5, 6, 7]


def test_series_whose_end_cannot_be_saved_at_once_ends_when_there_is_room(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, refused = RunStore.set_series_state, list[str]()

    def write_late(store: RunStore, series: str, state: str) -> None:
        if len(refused) < 2:
            refused.append(state)
            raise NotSaved("the disk is full")
        write(store, series, state)

    monkeypatch.setattr("studies.local.RETRY", 0.05)
    monkeypatch.setattr(RunStore, "set_series_state", write_late)
    client.post("/api/repeats", json={"runs": 3} | BODY)
    wait_for_series(client, "finished")
    assert refused == ["finished", "finished"]
    error_of(client.post("/api/repeats/stop", json={}), 409, "conflict")
    assert client.post("/api/start", json=BODY).status_code == 202


def test_settings_that_differ_only_in_the_seed_are_refused(client: FlaskClient) -> None:
    same = BODY["model1"]
    error = error_of(
        client.post("/api/repeats", json={"runs": 3, "model1": same, "model2": same | {"seed": 9}}), 400, "bad_request"
    )
    assert set(error["fields"]) == {"runs", "model2.seed"}
    assert "would train alike" in error["fields"]["model2.seed"]
    error = error_of(client.post("/api/repeats", json={"runs": 3, "model1": same, "model2": same}), 400, "bad_request")
    assert error["fields"] == {"runs": error["message"]}
    assert "differ in more than the seed" in error["message"]
    assert repeats_of(client)["series"] is None


def test_precisions_that_come_to_the_same_make_no_series(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.machine.resolve_precision", lambda wanted, device: "float32")
    body = {"runs": 3} | {name: BODY["model1"] | {"precision": precision} for name, precision in PRECISIONS.items()}
    error = error_of(client.post("/api/repeats", json=body), 400, "bad_request")
    assert error["fields"]["model2.precision"].startswith("precision is float32 for both models on this machine: ")
    monkeypatch.undo()


def test_deleted_pair_is_named_and_takes_the_claim_away(client: FlaskClient, monitor: Monitor) -> None:
    client.post("/api/repeats", json={"runs": 6} | BODY | {"model1": LOSING})
    second = wait_for_series(client, "finished")["pairs"][1]["run"]
    assert client.post(f"/api/runs/{second}/delete", json={}).status_code == 200
    found = repeats_of(client)
    assert found["pairs"][1] | {"seed": 2} == {
        "run": None, "seed": 2, "state": "deleted", "failed": [], "delta": None, "model1": None, "model2": None
    }  # fmt: skip
    assert (found["result"]["pairs"], found["result"]["claim"]) == (5, None)
    assert found["result"]["text"].startswith("No claim: 1 pair of the series is missing")
    client.post(f"/api/runs/{second}/restore", json={})
    assert repeats_of(client)["result"]["claim"] == "model2"


def test_deleted_pair_of_a_stopped_series_is_not_waited_for(client: FlaskClient, monitor: Monitor) -> None:
    body = {name: config.model_copy(update={"epochs": 6}).model_dump(mode="json") for name, config in QUICK.items()}
    series = strict(client.post("/api/repeats", json={"runs": 3} | body))["series"]
    wait_for(lambda: repeats_of(client)["pairs"][1]["state"] == "running", "second pair")
    client.post("/api/repeats/stop", json={})
    stopped = wait_for_series(client, "stopped")
    assert stopped["result"]["text"].startswith("Stopped early, after 1 pair: ")
    client.post(f"/api/runs/{stopped['pairs'][0]['run']}/delete", json={})
    assert [pair["state"] for pair in repeats_of(client)["pairs"]] == ["deleted", "stopped", "waiting"]
    client.post("/api/repeats/continue", json={"series": series})
    found = wait_for_series(client, "finished")
    assert [pair["state"] for pair in found["pairs"]] == ["deleted", "finished", "finished"]
    assert found["result"]["text"].startswith("No claim: 1 pair")
    monitor.close()  # the next start purges what was deleted
    store = RunStore(monitor.store.directory)
    try:
        assert store.series(series)["deleted"] == {1}
        assert len(store.series(series)["runs"]) == 2
    finally:
        store.close()


def test_pair_lost_with_a_damaged_history_is_missing_and_not_waited_for() -> None:
    plan = {"seeds": [1, 2], "configs": {}}
    ended = {"id": "s", "state": "finished", "started": "", "runs": {}, "deleted": {2}, "plan": plan}
    found = describe(ended, lambda run: {})
    assert [pair["state"] for pair in found["pairs"]] == ["missing", "deleted"]
    assert found["result"] is None


def test_series_survives_a_restart(client: FlaskClient, monitor: Monitor) -> None:
    series = strict(client.post("/api/repeats", json={"runs": 3} | ENDLESS))["series"]
    wait_until(client, "running")
    monitor.close()
    store = RunStore(monitor.store.directory)
    try:
        found = store.series()
        assert (found["id"], found["state"]) == (series, "stopped")
        assert len(found["runs"]) == 1
        store.set_series_state(series, "running")
    finally:
        store.close()
    again = RunStore(monitor.store.directory)
    try:
        assert again.series(series)["state"] == "interrupted"  # as after a kill
    finally:
        again.close()


@pytest.mark.parametrize("runs", [2, 21, 3.0, True, None, "3", [3]])
def test_number_of_pairs_must_be_one_that_makes_sense(client: FlaskClient, runs: object) -> None:
    error = error_of(client.post("/api/repeats", json={"runs": runs} | BODY), 400, "bad_request")
    assert "whole number from 3 to 20" in error["fields"]["runs"]


def test_series_that_is_not_there_is_named_as_such(client: FlaskClient) -> None:
    error_of(client.get("/api/repeats?series=nothing"), 404, "unknown_run")
    error_of(client.post("/api/repeats/continue", json={"series": "nothing"}), 404, "unknown_run")
    error_of(client.post("/api/repeats/continue", json={"series": 3}), 400, "bad_request")
    assert metrics_of(client)["run"] is None
