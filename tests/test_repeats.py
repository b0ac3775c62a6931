"""Series of repeats: their statistics, held to statsmodels and scipy, and their course over HTTP."""

from statistics import fmean
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from helpers import endless, quick, wait_for
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from test_server import error_of, metrics_of, strict, wait_until

from config import MODEL_NAMES, ModelConfig
from monitor import Monitor
from repeats import bootstrap_interval, mean_curves, new_seeds, pair_state, result, sentence
from store import RunStore

QUICK = {name: quick(batch_size=256, hidden_units=8 * (1 + (name == "model1"))) for name in MODEL_NAMES}
BODY = {name: config.model_dump(mode="json") for name, config in QUICK.items()}
ENDLESS = {name: endless(seed=5).model_dump(mode="json") for name in MODEL_NAMES}


def repeats_of(client: FlaskClient) -> dict[str, Any]:
    found = strict(client.get("/api/repeats"))
    assert isinstance(found, dict)
    return found


def wait_for_series(client: FlaskClient, state: str) -> dict[str, Any]:
    wait_for(lambda: repeats_of(client)["state"] == state, f"series that is {state}")
    return repeats_of(client)


# Statistics


def test_seeds_are_new_and_differ() -> None:
    assert new_seeds(ModelConfig(seed=7), 3) == [8, 9, 10]
    assert new_seeds(ModelConfig(seed=2**32 - 1), 3) == [0, 1, 2]


@given(st.lists(st.floats(-0.05, 0.05), min_size=3, max_size=20, unique=True))
def test_interval_holds_the_mean_and_is_always_the_same(deltas: list[float]) -> None:
    interval = bootstrap_interval(tuple(deltas))
    assert interval == bootstrap_interval.__wrapped__(tuple(deltas))
    if interval:
        assert min(deltas) - 1e-12 <= interval[0] <= interval[1] <= max(deltas) + 1e-12


def test_interval_is_about_that_of_student_for_normal_values() -> None:
    deltas = np.random.default_rng(0).normal(0.01, 0.004, 20)
    low, high = stats.t.interval(0.95, 19, deltas.mean(), stats.sem(deltas))
    found = bootstrap_interval(tuple(deltas))
    assert found == pytest.approx((low, high), abs=0.0006)


def test_too_few_pairs_say_nothing_of_the_settings() -> None:
    assert result(()) is None
    assert bootstrap_interval((0.01,)) is None
    for count in (1, 2, 4):
        found = result((0.01, 0.02, 0.03, 0.04)[:count])
        assert found is not None
        assert "at least 5" in found["text"]
        assert found["wins1"] == count


def test_enough_pairs_say_which_settings_are_better_or_that_it_cannot_be_told() -> None:
    better = result((-0.01, -0.012, -0.009, -0.011, -0.01))
    assert better is not None
    assert better["text"].startswith("Model 2's settings are better: by 1.04 points")
    assert better["wins2"] == 5
    unclear = result((-0.01, 0.012, -0.009, 0.011, 0.0))
    assert unclear is not None
    assert unclear["text"].startswith("Too close to call: over 5 pairs")
    assert (unclear["wins1"], unclear["wins2"], unclear["ties"]) == (2, 2, 1)
    assert unclear["mean"] == pytest.approx(fmean((-0.01, 0.012, -0.009, 0.011, 0.0)))


def test_equal_pairs_are_too_close_to_call() -> None:
    assert sentence((0.0,) * 5, 0.0, 0.0).startswith("Too close to call")


def test_curves_are_averaged_where_all_runs_were_evaluated() -> None:
    curves = [{"epoch": [0.5, 1.0, 2.0], "accuracy": [0.5, 0.7, 0.9]}, {"epoch": [0.5, 1.0], "accuracy": [0.7, 0.8]}]
    found = mean_curves(curves)
    assert found["epoch"] == [0.5, 1.0]
    assert found["mean"] == pytest.approx([0.6, 0.75])
    assert (found["low"], found["high"]) == ([0.5, 0.7], [0.7, 0.8])
    assert mean_curves([]) == {"epoch": [], "mean": [], "low": [], "high": []}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("running", "finished"), "running"),
        (("stopped", "paused"), "running"),
        (("stopped", "finished"), "stopped"),
        (("failed", "finished"), "failed"),
        (("finished", "finished"), "finished"),
    ],
)
def test_state_of_a_pair(states: tuple[str, str], expected: str) -> None:
    assert pair_state(states) == pair_state(states[::-1]) == expected


# Over HTTP


def test_series_runs_every_pair_with_one_seed_for_both_models(client: FlaskClient, monitor: Monitor) -> None:
    assert repeats_of(client)["series"] is None
    answer = client.post("/api/repeats", json={"runs": 3} | BODY)
    assert answer.status_code == 202
    error_of(client.post("/api/start", json=BODY), 409, "conflict")
    error_of(client.post("/api/repeats", json={"runs": 3} | BODY), 409, "conflict")
    found = wait_for_series(client, "finished")
    assert found["series"] == strict(answer)["series"]
    assert [pair["seed"] for pair in found["pairs"]] == [1, 2, 3]
    runs = {run["id"]: run for run in strict(client.get("/api/runs"))["runs"]}
    for pair in found["pairs"]:
        models = runs[pair["run"]]["models"]
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


def test_stop_button_ends_the_series_too(client: FlaskClient, monitor: Monitor) -> None:
    client.post("/api/repeats", json={"runs": 3} | ENDLESS)
    wait_until(client, "running")
    assert client.post("/api/stop", json={}).status_code == 200
    found = wait_for_series(client, "stopped")
    assert [pair["state"] for pair in found["pairs"]] == ["stopped", "waiting", "waiting"]
    assert found["result"] is None


def test_pair_that_fails_is_left_out_and_the_series_goes_on(client: FlaskClient, monitor: Monitor) -> None:
    diverging = quick(optimizer="sgd", learning_rate=10.0, dropout=0.0).model_dump(mode="json")
    body = BODY | {"model1": diverging}
    client.post("/api/repeats", json={"runs": 3} | body)
    found = wait_for_series(client, "finished")
    done = [pair for pair in found["pairs"] if pair["state"] == "finished"]
    assert len(done) < 3
    assert all(pair["delta"] is None for pair in found["pairs"] if pair["state"] == "failed")
    assert found["result"] is None if not done else found["result"]["pairs"] == len(done)


def test_series_survives_a_restart(client: FlaskClient, monitor: Monitor) -> None:
    series = strict(client.post("/api/repeats", json={"runs": 3} | ENDLESS))["series"]
    wait_until(client, "running")
    monitor.close()
    with monitor.store._owner:
        pass  # it has been given back
    store = RunStore(monitor.store._checkpoints.parent)
    try:
        found = store.series()
        assert (found["id"], found["state"]) == (series, "stopped")
        assert len(found["runs"]) == 1
        store._database.execute("UPDATE series SET state = 'running'")
        store._database.commit()
    finally:
        store.close()
    again = RunStore(monitor.store._checkpoints.parent)
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
