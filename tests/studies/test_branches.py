"""Runs that go on from others: the old one stays as it was, the new one says whence it comes and is what it says."""

from typing import Any

import pytest
from branching import TABLES, all_of, details, go_on
from flask.testing import FlaskClient
from helpers import LIVELY, as_json, quick
from histories import checkpoint_file, history_file
from served import (
    QUICK,
    assert_as_uninterrupted,
    continue_run,
    error_of,
    metrics_of,
    start,
    states,
    strict,
    wait_for_steps,
    wait_until,
)

from config import MODEL_NAMES
from studies.branches import MAX_EPOCHS
from studies.origins import peak_after
from training.schedule import scheduled_learning_rate
from web.monitor import Monitor

# A finished run


def test_finished_run_goes_on_as_a_new_one_and_stays_as_it_was(
    client: FlaskClient, monitor: Monitor, uninterrupted: Any
) -> None:
    shorter = {name: config.model_copy(update={"epochs": 2}) for name, config in LIVELY.items()}
    old = start(client, as_json(shorter))
    wait_until(client, "finished")
    before, shown = all_of(monitor, old), strict(client.get(f"/api/runs/{old}"))
    new = go_on(client, old, 2)
    assert new != old
    assert metrics_of(client)["run"] == new
    wait_until(client, "finished")
    assert_as_uninterrupted(monitor, new, uninterrupted)
    assert all_of(monitor, old) == before
    assert strict(client.get(f"/api/runs/{old}")) == shown
    entries = {run["id"]: run for run in strict(client.get("/api/runs"))["runs"]}
    assert (entries[old]["parent"], entries[new]["parent"]) == (None, {"run": old, "kind": "continued"})
    assert strict(client.get(f"/api/runs/{new}"))["parent"] == {"run": old, "kind": "continued"}
    for name in MODEL_NAMES:
        assert entries[new]["models"][name]["config"]["epochs"] == 4
        assert details(client, "continued", name) == ["for 2 more epochs"]
        kinds = metrics_of(client)["models"][name]["events"]["kind"]
        assert kinds == ["running", "continued", "running", "finished"]  # not the end that the old one came to


def test_schedule_of_a_finished_run_stays_at_its_last_rate_and_the_settings_stay_as_they_were(
    client: FlaskClient, monitor: Monitor
) -> None:
    configs = {
        "model1": quick(batch_size=256, epochs=2, schedule="cosine", optimizer="sgd", learning_rate=0.1),
        "model2": quick(batch_size=256, epochs=2, schedule="one_cycle"),
    }
    old = start(client, as_json(configs))
    wait_until(client, "finished")
    go_on(client, old, 1)
    wait_until(client, "finished")
    models = metrics_of(client)["models"]
    for name, config in configs.items():
        last = scheduled_learning_rate(config, 7, 8)
        assert models[name]["config"] == config.model_copy(update={"epochs": 3}).model_dump(mode="json")
        assert models[name]["learning_rate"] == models[name]["held_rate"] == last
        title = config.schedule.replace("_", "-")
        said = f"for 1 more epoch: {title} schedule over, learning rate held at {last:.4g}"
        assert details(client, "continued", name) == [said]
        header = monitor.loading.workshop.header(monitor.store.checkpoint(metrics_of(client)["run"], name))
        assert (header.learning_rate, header.schedule) == (last, "constant")


def test_steered_model_goes_on_at_the_rate_that_it_has(client: FlaskClient, monitor: Monitor) -> None:
    old = start(client, as_json(dict.fromkeys(MODEL_NAMES, quick(epochs=2, batch_size=16))))
    client.post("/api/pause", json={})
    client.post("/api/steer", json={"model": "model2", "learning_rate": 0.25})
    client.post("/api/resume", json={})
    wait_until(client, "finished")
    go_on(client, old, 1)
    wait_until(client, "finished")
    models = metrics_of(client)["models"]
    assert (models["model2"]["learning_rate"], models["model1"]["learning_rate"]) == (0.25, 0.001)
    assert details(client, "steered", "model2") == ["learning rate 0.001 → 0.25"]


def test_run_without_its_checkpoint_cannot_go_on_as_a_new_one(client: FlaskClient, monitor: Monitor) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    monitor.store.save()
    checkpoint_file(monitor.store.directory, run, "model2").unlink()
    error = error_of(client.post(f"/api/runs/{run}/resume", json={"more_epochs": 1}), 409, "conflict")
    assert error["message"] == f"Model 2 of run {run} has no checkpoint to go on from"
    assert [entry["id"] for entry in strict(client.get("/api/runs"))["runs"]] == [run]


# A run that is over for one model only


def half_finished(client: FlaskClient, monitor: Monitor, epochs: int = 300) -> str:
    configs = {"model1": quick(batch_size=256), "model2": quick(batch_size=16, epochs=epochs, seed=3)}
    run = start(client, as_json(configs))
    wait_until(client, "finished", "model1")
    wait_for_steps(client, "model2", 100)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    assert states(client) == {"model1": "finished", "model2": "stopped"}
    return run


def of_model1(all_: tuple[dict[str, list[Any]], dict[str, str]]) -> list[Any]:
    rows, files = all_
    return [row for table in TABLES[1:] for row in rows[table] if row[1] == "model1"] + [
        digest for name, digest in files.items() if "model1" in name
    ]


def test_model_that_has_finished_keeps_its_result_while_the_other_is_resumed(
    client: FlaskClient, monitor: Monitor
) -> None:
    run = half_finished(client, monitor)
    before = all_of(monitor, run)
    continue_run(client, run)
    assert states(client)["model1"] == "finished"
    error = error_of(client.post("/api/stop", json={"model": "model1"}), 409, "conflict")
    assert "model1 is finished" in error["message"]
    step = metrics_of(client)["models"]["model2"]["step"]
    wait_for_steps(client, "model2", step + 20)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    after = all_of(monitor, run)
    assert of_model1(after) == of_model1(before)
    assert len(after[0]["points"]) > len(before[0]["points"])
    assert strict(client.get(f"/api/runs/{run}"))["models"]["model1"]["test_accuracy"] is not None


def test_more_epochs_for_a_half_finished_run_make_a_new_one(client: FlaskClient, monitor: Monitor) -> None:
    run = half_finished(client, monitor, epochs=MAX_EPOCHS)
    error = error_of(client.post(f"/api/runs/{run}/resume", json={"more_epochs": 1}), 400, "bad_request")
    assert "at most 0" in error["fields"]["more_epochs"]  # the other has as many as there may be
    run = half_finished(client, monitor)
    before = all_of(monitor, run)
    new = go_on(client, run, 1)
    assert new != run
    monitor.control.comparison.end()
    assert monitor.control.comparison.join(60)
    assert all_of(monitor, run) == before
    models = metrics_of(client)["models"]
    assert [models[name]["config"]["epochs"] for name in MODEL_NAMES] == [2, 301]


def test_what_an_interrupted_model_has_lost_is_on_record_also_where_it_goes_on_as_a_new_run(
    client: FlaskClient, monitor: Monitor
) -> None:
    run = half_finished(client, monitor)
    monitor.store.save()
    at = monitor.store.run_status(run, "model2")
    with history_file(monitor.store.directory) as database:  # as a kill some steps later leaves it
        database.execute(
            "UPDATE models SET status = json_set(status, '$.state', 'interrupted', '$.step', ?, '$.epoch', ?)"
            " WHERE run = ? AND model = 'model2'",
            (at.step + 32, at.epoch + 0.5, run),
        )
    go_on(client, run, 1)
    lost = f"at epoch {at.epoch + 0.5:.2f}, continued from {at.epoch:.2f}"
    assert details(client, "interrupted", "model2") == [lost]
    assert details(client, "interrupted", "model1") == []
    monitor.control.comparison.end()
    assert monitor.control.comparison.join(60)


@pytest.mark.parametrize("steered", [False, True])
def test_stopped_run_with_more_epochs_keeps_its_id_and_its_last_rate_and_says_so(
    client: FlaskClient, monitor: Monitor, steered: bool
) -> None:
    config = quick(batch_size=16, epochs=400, schedule="one_cycle")
    run = start(client, as_json(dict.fromkeys(MODEL_NAMES, config)))
    if steered:
        client.post("/api/steer", json={"model": "model1", "learning_rate": 0.002})
    wait_for_steps(client, "model1", 200)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monitor.store.save()
    step = monitor.store.run_status(run, "model1").step
    last = scheduled_learning_rate(config, step - 1, 64 * 400, 0.002 if steered else None)
    assert go_on(client, run, 50) == run
    said = f"for 50 more epochs: left its one-cycle schedule at {step / 256:.3g} %, learning rate held at {last:.4g}"
    assert details(client, "continued") == [said]
    now = metrics_of(client)["models"]["model1"]
    assert now["config"] == config.model_copy(update={"epochs": 450}).model_dump(mode="json")
    assert now["held_rate"] == now["learning_rate"] == last
    told = strict(client.get("/api/comparison"))["attribution"]
    assert said in told["text"]
    assert told["differing"] == []
    wait_for_steps(client, "model1", step + 20)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monitor.store.save()
    stored = strict(client.get(f"/api/runs/{run}"))["models"]["model1"]["events"]["detail"]
    assert [detail for detail in stored if detail and detail.startswith("for ")] == [said]
    header = monitor.loading.workshop.header(monitor.store.checkpoint(run, "model1"))
    assert (header.learning_rate, header.schedule) == (last, "constant")
    assert [entry["parent"] for entry in strict(client.get("/api/runs"))["runs"]] == [None]


def test_stopped_run_that_is_killed_just_after_it_was_given_more_epochs_keeps_its_last_rate(
    client: FlaskClient, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = quick(batch_size=16, epochs=400, schedule="cosine")
    run = start(client, as_json(dict.fromkeys(MODEL_NAMES, config)))
    client.post("/api/steer", json={"model": "model1", "learning_rate": 0.002})
    wait_for_steps(client, "model1", 100)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monkeypatch.setattr("train.Comparison.start", lambda self: None)  # no step is taken any more
    assert go_on(client, run, 50) == run
    monitor.store.save()
    header = monitor.loading.workshop.header(monitor.store.checkpoint(run, "model1"))
    held = monitor.store.run_status(run, "model1").held_rate
    assert held == scheduled_learning_rate(config, header.step - 1, 64 * 400, 0.002)
    assert peak_after(header, monitor.store.configs(run)["model1"].held_at(held)) == held


def test_finished_pair_goes_on_as_a_new_run_and_leaves_the_series_alone(client: FlaskClient, monitor: Monitor) -> None:
    body = as_json({name: quick(batch_size=256, hidden_units=8 + place) for place, name in enumerate(MODEL_NAMES)})
    client.post("/api/repeats", json={"runs": 3} | body)
    monitor.repeats.join(60)
    before = strict(client.get("/api/repeats"))
    new = go_on(client, before["pairs"][0]["run"], 1)
    wait_until(client, "finished")
    assert strict(client.get("/api/repeats")) == before
    assert new not in [pair["run"] for pair in before["pairs"]]


# Answers belong to a step


@pytest.mark.parametrize("way", ["continue", "fork"])
def test_test_answers_of_a_finished_run_are_not_those_of_what_goes_on_from_it(
    client: FlaskClient, monitor: Monitor, way: str
) -> None:
    old = start(client, as_json(dict.fromkeys(MODEL_NAMES, quick(epochs=2, batch_size=64))))
    wait_until(client, "finished")
    asked = ("mistakes?show=all", "classes")
    before = [strict(client.get(f"/api/{each}")) for each in asked]
    assert {each["split"] for each in before} == {"test"}
    assert before[0]["at"] == {name: {"step": 32, "epoch": 2.0} for name in MODEL_NAMES}
    tested = strict(client.get("/api/comparison"))["significance"]
    assert (tested["split"], tested["at"]) == ("test", before[0]["at"])
    new = (
        go_on(client, old, 498)
        if way == "continue"
        else strict(client.post("/api/fork", json={"settings": {"epochs": 500}}))["run"]
    )
    wait_for_steps(client, "model2", 40)
    for each in asked:
        now = strict(client.get(f"/api/{each}"))
        assert (now["run"], now["split"]) == (new, "validation")
        assert now["at"]["model2"]["step"] in metrics_of(client)["models"]["model2"]["evaluations"]["step"]
    assert strict(client.get("/api/comparison"))["significance"] is None
    monitor.control.comparison.end()  # not tested as they are now
    assert monitor.control.comparison.join(60)
    assert {strict(client.get(f"/api/{each}"))["split"] for each in asked} == {"validation"}
    assert strict(client.get("/api/comparison"))["significance"] is None
    for each, what in zip(asked, before, strict=True):  # those of the old one are still its own
        mark = "&" if "?" in each else "?"
        assert strict(client.get(f"/api/{each}{mark}run={old}")) == what


def test_old_test_answers_in_a_history_of_an_earlier_version_are_left_out(
    client: FlaskClient, monitor: Monitor
) -> None:
    """There a finished run that was trained further, and stopped, kept the answers that it had given before."""
    run = start(client, QUICK)
    wait_until(client, "finished")
    assert "test" in monitor.store.predictions(run)["model1"]
    monitor.store.save()
    with history_file(monitor.store.directory) as database:
        database.execute(
            "UPDATE models SET status = json_set(status, '$.step', 99, '$.state', 'stopped') WHERE run = ?", (run,)
        )
    assert list(monitor.store.predictions(run)["model1"]) == ["validation"]
    assert strict(client.get(f"/api/mistakes?run={run}"))["split"] == "validation"


def test_deleted_latest_run_is_off_the_display(client: FlaskClient, monitor: Monitor) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    cursor = metrics_of(client)
    assert client.post(f"/api/runs/{run}/delete", json={}).status_code == 200
    now = metrics_of(client, cursor)
    assert (now["run"], now["reset"]) == (None, True)
    assert states(client) == dict.fromkeys(MODEL_NAMES, "idle")
    assert strict(client.get("/api/comparison"))["run"] is None
    for path in ("mistakes", "classes", "inside"):
        assert strict(client.get(f"/api/{path}"))["run"] is None
    error_of(client.post("/api/fork", json={"settings": {"epochs": 9}}), 409, "conflict")
    client.post(f"/api/runs/{run}/restore", json={})
    assert strict(client.get(f"/api/comparison?run={run}"))["significance"] is not None
    other = start(client, QUICK)
    assert metrics_of(client)["run"] == other
