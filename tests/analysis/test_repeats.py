"""Series of repeats: their statistics, held to statsmodels and scipy, and their course over HTTP."""

import json
import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from helpers import endless, quick, wait_for
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from served import error_of, metrics_of, strict, wait_until

from analysis.repeats import confidence, mean_curves, pair_state, result, student_interval
from config import MODEL_NAMES, ModelConfig
from history.store import RunStore
from studies.plan import new_seeds
from web.monitor import Monitor
from web.repeats import describe

QUICK = {name: quick(batch_size=256, hidden_units=8 * (1 + (name == "model1"))) for name in MODEL_NAMES}
BODY = {name: config.model_dump(mode="json") for name, config in QUICK.items()}
ENDLESS = {
    name: endless(seed=5, dropout=dropout).model_dump(mode="json")
    for name, dropout in zip(MODEL_NAMES, (0.5, 0.3), strict=True)
}
# each step multiplies the weights by −9
DIVERGING = quick(optimizer="sgd", learning_rate=10.0, weight_decay=1.0, batch_size=16).model_dump(mode="json")


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


def test_seeds_of_earlier_series_are_passed_over() -> None:
    assert new_seeds(ModelConfig(seed=7), 3, {8, 10, 99}) == [9, 11, 12]
    assert new_seeds(ModelConfig(seed=2**32 - 1), 2, {0}) == [1, 2]


@given(st.lists(st.integers(-500, 500), min_size=2, max_size=20))
def test_interval_is_students_whatever_the_differences(counts: list[int]) -> None:
    differences = [count / 10_000 for count in counts]
    found = student_interval(differences)
    if len(set(counts)) == 1:
        assert found is None
        return
    expected = stats.t.interval(confidence(len(counts)), len(counts) - 1, np.mean(differences), stats.sem(differences))
    assert found is not None
    assert found[:2] == pytest.approx(expected)
    assert found[2] == pytest.approx(stats.ttest_rel(differences, np.zeros(len(counts))).pvalue)


def told(differences: Sequence[float], ended: bool = True, **about: Any) -> dict[str, Any]:
    """Return the result, which must be strict JSON, and say "better" only where it claims something."""
    found = result(differences, ended, **about)
    assert found is not None
    json.dumps(found, allow_nan=False)
    assert ("better" in found["text"]) == (found["claim"] is not None), found["text"]
    assert found["wins1"] + found["wins2"] + found["ties"] == found["pairs"] == len(differences)
    return found


CLEAR = (-0.01, -0.012, -0.009, -0.011, -0.01)


def test_no_pair_says_nothing_and_few_say_nothing_of_the_settings() -> None:
    assert result((), ended=True) is None
    one = told((0.01,))
    assert (one["mean"], one["low"], one["high"], one["wins1"]) == (0.01, None, None, 1)
    for count in (1, 3, 4):
        assert told((0.01, 0.011, 0.012, 0.011)[:count])["text"].startswith(f"Only {count} pair")
        assert "at least 5 are needed" in told((0.01, 0.011, 0.012, 0.011)[:count])["text"]


def test_enough_pairs_say_which_settings_are_better_or_that_it_cannot_be_told() -> None:
    better = told(CLEAR)
    assert better["claim"] == "model2"
    assert better["text"].startswith("Model 2's settings are better: over 5 pairs of seeds, −1.04 points")
    assert "(99 % interval −1.27 to −0.81, model 1 minus model 2)" in better["text"]
    assert "(98.7 % interval" in told(2 * CLEAR)["text"]
    assert better["high"] < 0
    unclear = told((-0.01, 0.012, -0.009, 0.011, 0.0))
    assert unclear["text"].startswith("Too close to call: over 5 pairs of seeds, +0.08 points")
    assert (unclear["wins1"], unclear["wins2"], unclear["ties"]) == (2, 2, 1)
    assert unclear["mean"] == pytest.approx(fmean((-0.01, 0.012, -0.009, 0.011, 0.0)))


@pytest.mark.parametrize(
    ("about", "start", "says"),
    [
        ({"ended": False}, "5 pairs so far: −1.04 points", "A claim takes at least 5 pairs, and the end of the series"),
        ({"ended": False, "stopped": True}, "Stopped early, after 5 pairs: −1.04 points", "takes all pairs"),
        ({"ended": True, "missing": 1}, "No claim: 1 pair of the series is missing", "can choose the winner"),
        ({"ended": True, "missing": 3}, "No claim: 3 pairs of the series are missing", "can choose the winner"),
    ],
)
def test_only_a_whole_series_that_has_ended_as_planned_claims_something(
    about: dict[str, Any], start: str, says: str
) -> None:
    assert told(CLEAR)["claim"] == "model2"
    found = told(CLEAR, **about)
    assert found["claim"] is None
    assert found["text"].startswith(start)
    assert says in found["text"]
    assert found["high"] < 0  # the interval is shown all the same


def test_so_far_is_said_only_of_a_series_that_goes_on() -> None:
    assert "so far" in told(CLEAR[:3], ended=False)["text"]
    assert "so far" not in told(CLEAR[:3], ended=True)["text"]


LOST1, LOST2, BOTH = -math.inf, math.inf, math.nan


@pytest.mark.parametrize(
    ("differences", "p", "claim"),
    [
        ((LOST1,) * 8, 0.0078, "model2"),  # eight failed trainings are no "All 8 pairs have finished"
        ((LOST2,) * 6, 0.0312, "model1"),
        ((LOST2,) * 5, 0.0625, None),  # five decided pairs cannot reach 5 %
        ((LOST1, 0.01, 0.011, 0.012, 0.01, 0.01), 0.219, None),  # one failed: it loses its pair, and no mean is known
        ((LOST1, 0.01, 0.011, 0.012, 0.01, 0.01, 0.01, 0.01, 0.01), 0.039, "model1"),
        ((BOTH,) * 8, 1.0, None),
        ((LOST2, 0.01, 0.01, 0.01, 0.01, BOTH, 0.0), 0.0625, None),  # ties decide nothing
    ],
)
def test_failed_training_loses_its_pair(differences: tuple[float, ...], p: float, claim: str | None) -> None:
    found = told(differences)
    assert (found["claim"], found["mean"], found["low"], found["high"]) == (claim, None, None, None)
    assert found["p"] == pytest.approx(p, rel=0.01)
    lost1 = sum(one == LOST1 or math.isnan(one) for one in differences)
    lost2 = sum(one == LOST2 or math.isnan(one) for one in differences)
    assert (found["failed1"], found["failed2"]) == (lost1, lost2)
    assert "a failed training loses its pair" in found["text"]
    assert (f"model 1 failed in {lost1}" in found["text"]) == (lost1 > 0)
    assert (f"model 2 failed in {lost2}" in found["text"]) == (lost2 > 0)


def test_pairs_that_all_differ_alike_have_no_interval_and_are_counted() -> None:
    assert told((0.0,) * 5)["text"].startswith("Too close to call: over 5 pairs of seeds, +0.00 points")
    assert told((-0.0,) * 20)["claim"] is None
    assert told((0.01,) * 5)["claim"] is None
    alike = told([(9000 + number) / 10_000 - (8900 + number) / 10_000 for number in range(6)])  # but for rounding
    assert (alike["low"], alike["claim"]) == (None, "model1")
    assert "+1.00 points of test accuracy in each, model 1 minus model 2 (sign test, p = 0.031)" in alike["text"]


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
    error_of(client.post("/api/steer", json={"model": "model1", "learning_rate": 0.1}), 409, "conflict")
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
    client.post("/api/repeats", json={"runs": 6} | BODY | {"model1": DIVERGING})
    found = wait_for_series(client, "finished")
    assert [(pair["state"], pair["failed"], pair["delta"]) for pair in found["pairs"]] == [
        ("failed", ["model1"], None)
    ] * 6
    assert all(pair["model1"] is None and pair["model2"] > 0 for pair in found["pairs"])
    assert found["result"]["claim"] == "model2"
    assert (found["result"]["failed1"], found["result"]["wins2"], found["result"]["mean"]) == (6, 6, None)


def seeds_of(client: FlaskClient) -> list[int]:
    return [pair["seed"] for pair in repeats_of(client)["pairs"]]


def test_second_series_has_other_seeds(client: FlaskClient, monitor: Monitor) -> None:
    client.post("/api/repeats", json={"runs": 3} | BODY)
    wait_for_series(client, "finished")
    assert seeds_of(client) == [1, 2, 3]
    later = {name: settings | {"seed": 2 * number} for number, (name, settings) in enumerate(BODY.items())}
    client.post("/api/repeats", json={"runs": 4} | later)  # at 0, as the first, and model 2 has been seen with 2
    wait_for_series(client, "finished")
    assert seeds_of(client) == [4, 5, 6, 7]


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


def test_deleted_pair_is_named_and_takes_the_claim_away(client: FlaskClient, monitor: Monitor) -> None:
    client.post("/api/repeats", json={"runs": 6} | BODY | {"model1": DIVERGING})
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
    with monitor.store._owner:
        pass  # it has been given back
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
    with monitor.store._owner:
        pass  # it has been given back
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
