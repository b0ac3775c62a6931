"""Runs that go on from others: the old one stays as it was, the new one says whence it comes and is what it says."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import LIVELY, as_json, quick
from histories import checkpoint_file, history_file
from served import (
    ENDLESS,
    QUICK,
    assert_as_uninterrupted,
    continue_run,
    error_of,
    metrics_of,
    open_monitor,
    start,
    states,
    strict,
    wait_for_steps,
    wait_until,
)

from config import MODEL_NAMES
from history.store import UnknownRun
from server import create_app
from studies.branches import hold_rate, say_more
from training.schedule import scheduled_learning_rate
from web.monitor import Monitor

TABLES = ("runs", "models", "points", "evaluations", "events", "insights", "predictions")


def go_on(client: FlaskClient, run: str, more_epochs: int) -> str:
    response = client.post(f"/api/runs/{run}/resume", json={"more_epochs": more_epochs})
    assert response.status_code == 202, response.text
    return str(strict(response)["run"])


def all_of(monitor: Monitor, run: str) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Return all that is kept of a run: its rows in every table, and a digest of each checkpoint."""
    monitor.store.save()
    rows = {}
    with history_file(monitor.store.directory) as database:
        for table in TABLES:
            key = "id" if table == "runs" else "run"
            rows[table] = database.execute(f"SELECT * FROM {table} WHERE {key} = ? ORDER BY 1, 2, 3", (run,)).fetchall()
    files = (monitor.store.directory / "checkpoints").glob(f"{run}.*")
    return rows, {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def details(client: FlaskClient, kind: str, model: str = "model1") -> list[str]:
    events = metrics_of(client)["models"][model]["events"]
    return [what for each, what in zip(events["kind"], events["detail"], strict=True) if each == kind]


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


def test_schedule_of_a_finished_run_stays_at_its_last_rate_and_the_settings_say_so(
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
        assert models[name]["config"] == config.model_copy(
            update={"epochs": 3, "schedule": "constant", "learning_rate": last}
        ).model_dump(mode="json")
        assert models[name]["learning_rate"] == last
        title = config.schedule.replace("_", "-")
        said = f"for 1 more epoch: {title} schedule over, learning rate stays {last:.3g}"
        assert details(client, "continued", name) == [said]
        checkpoint = monitor.store.checkpoint(metrics_of(client)["run"], name)
        assert monitor.loading.workshop.header(checkpoint).last_learning_rate == last


def test_what_becomes_of_a_schedule_is_said() -> None:
    config = quick(epochs=2, schedule="cosine")
    longer = config.model_copy(update={"epochs": 4})
    assert say_more(config, longer) == "for 2 more epochs: cosine schedule now over 4 epochs"
    jumped = "for 2 more epochs: cosine schedule now over 4 epochs, learning rate 0.0005 → 0.000854"
    assert say_more(config, longer, (0.0005, 0.00085355)) == jumped
    held = hold_rate(longer, 1.25e-9)
    assert say_more(config, held) == "for 2 more epochs: cosine schedule over, learning rate stays 1.25e-09"


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


def half_finished(client: FlaskClient, monitor: Monitor) -> str:
    configs = {"model1": quick(batch_size=256), "model2": quick(batch_size=16, epochs=500, seed=3)}
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
    run = half_finished(client, monitor)
    error = error_of(client.post(f"/api/runs/{run}/resume", json={"more_epochs": 1}), 400, "bad_request")
    assert "at most 0" in error["fields"]["more_epochs"]  # the other has as many as there may be
    configs = {"model1": quick(batch_size=256), "model2": quick(batch_size=16, epochs=300, seed=3)}
    run = start(client, as_json(configs))
    wait_until(client, "finished", "model1")
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    before = all_of(monitor, run)
    new = go_on(client, run, 1)
    assert new != run
    monitor.control.comparison.end()
    assert monitor.control.comparison.join(60)
    assert all_of(monitor, run) == before
    models = metrics_of(client)["models"]
    assert [models[name]["config"]["epochs"] for name in MODEL_NAMES] == [2, 301]


def test_stopped_run_with_more_epochs_keeps_its_id_and_says_what_becomes_of_its_schedule(
    client: FlaskClient, monitor: Monitor
) -> None:
    config = quick(batch_size=16, epochs=400, schedule="one_cycle")
    run = start(client, as_json(dict.fromkeys(MODEL_NAMES, config)))
    wait_for_steps(client, "model1", 200)
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monitor.store.save()
    step = monitor.store.run_status(run, "model1").step
    longer = config.model_copy(update={"epochs": 450})
    before = scheduled_learning_rate(config, step, 64 * 400)
    now = scheduled_learning_rate(longer, step, 64 * 450)
    assert f"{before:.3g}" != f"{now:.3g}"
    assert go_on(client, run, 50) == run
    said = f"for 50 more epochs: one-cycle schedule now over 450 epochs, learning rate {before:.3g} → {now:.3g}"
    assert details(client, "continued") == [said]
    attribution = strict(client.get("/api/comparison"))["attribution"]["text"]  # where each was stopped is no cause
    assert "Model 1 went on for 50 more epochs: one-cycle schedule now over 450 epochs." in attribution
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monitor.store.save()
    assert (
        details(client, "continued")
        == strict(client.get(f"/api/runs/{run}"))["models"]["model1"]["events"]["detail"][2:3]
    )
    assert [entry["parent"] for entry in strict(client.get("/api/runs"))["runs"]] == [None]


def test_finished_pair_goes_on_as_a_new_run_and_leaves_the_series_alone(client: FlaskClient, monitor: Monitor) -> None:
    body = as_json({name: quick(batch_size=256, hidden_units=8 + place) for place, name in enumerate(MODEL_NAMES)})
    client.post("/api/repeats", json={"runs": 3} | body)
    monitor.repeats.join(60)
    before = strict(client.get("/api/repeats"))
    new = go_on(client, before["pairs"][0]["run"], 1)
    wait_until(client, "finished")
    assert strict(client.get("/api/repeats")) == before
    assert new not in [pair["run"] for pair in before["pairs"]]


# Parents and children


def test_copy_of_a_finished_model_keeps_the_last_rate_of_its_schedule_and_says_so(
    client: FlaskClient, monitor: Monitor
) -> None:
    config = quick(batch_size=256, epochs=2, schedule="cosine", optimizer="sgd", learning_rate=0.1)
    start(client, as_json(dict.fromkeys(MODEL_NAMES, config)))
    wait_until(client, "finished")
    assert client.post("/api/fork", json={"settings": {"epochs": 3}}).status_code == 202
    wait_until(client, "finished")
    last = scheduled_learning_rate(config, 7, 8)
    model = metrics_of(client)["models"]["model2"]
    assert (model["config"]["schedule"], model["config"]["learning_rate"], model["learning_rate"]) == (
        "constant",
        last,
        last,
    )
    said = f"epochs 2 → 3, learning rate stays {last:.3g}"
    assert details(client, "forked", "model2") == [f"from model 1: {said}"]
    assert f"with one change ({said})" in strict(client.get("/api/comparison"))["attribution"]["text"]


def test_copy_whose_schedule_is_stretched_says_how_its_rate_jumps(client: FlaskClient, monitor: Monitor) -> None:
    config = quick(batch_size=16, epochs=400, schedule="cosine")
    start(client, as_json(dict.fromkeys(MODEL_NAMES, config)))
    wait_for_steps(client, "model1", 100)
    assert client.post("/api/fork", json={"settings": {"epochs": 500}}).status_code == 202
    monitor.control.comparison.end()
    assert monitor.control.comparison.join(60)
    [said] = details(client, "forked", "model2")
    assert re.fullmatch(r"from model 1: epochs 400 → 500, learning rate 0\.\S+ → 0\.\S+", said)


def test_branch_that_has_lost_a_checkpoint_is_not_trained_anew_under_its_name(
    client: FlaskClient, monitor: Monitor
) -> None:
    start(client, ENDLESS)
    wait_for_steps(client, "model1", 20)
    assert client.post("/api/fork", json={"settings": {"dropout": 0.1}}).status_code == 202
    run = metrics_of(client)["run"]
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monitor.store.save()
    before = all_of(monitor, run)
    path = checkpoint_file(monitor.store.directory, run, "model2")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    error = error_of(client.post(f"/api/runs/{run}/resume", json={}), 409, "conflict")
    assert error["message"] == f"Model 2 of run {run} has no checkpoint to go on from"
    assert strict(client.get(f"/api/runs/{run}"))["models"]["model2"]["step"] > 0
    assert all_of(monitor, run)[0] == before[0]


def test_child_does_not_miss_its_deleted_parent(runs_dir: Path) -> None:
    monitor = open_monitor(runs_dir)
    client = create_app(monitor).test_client()
    old = start(client, QUICK)
    wait_until(client, "finished")
    new = go_on(client, old, 1)
    wait_until(client, "finished")
    assert client.post(f"/api/runs/{old}/delete", json={}).status_code == 200
    before = all_of(monitor, new)
    monitor.close()
    monitor = open_monitor(runs_dir)
    try:
        client = create_app(monitor).test_client()
        with pytest.raises(UnknownRun):
            monitor.store.run(old)
        assert all_of(monitor, new) == before
        [entry] = strict(client.get("/api/runs"))["runs"]
        assert entry["parent"] == {"run": old, "kind": "continued"}
        third = go_on(client, new, 1)
        wait_until(client, "finished")
        assert strict(client.get(f"/api/runs/{third}"))["models"]["model1"]["epoch"] == 3
    finally:
        monitor.close()


def test_fork_names_its_parent_and_takes_nothing_over_from_beyond(client: FlaskClient, monitor: Monitor) -> None:
    old = start(client, as_json(dict.fromkeys(MODEL_NAMES, quick(epochs=2, batch_size=64))))
    wait_until(client, "finished")
    before = all_of(monitor, old)
    answer = client.post("/api/fork", json={"settings": {"epochs": 400}})
    new = strict(answer)["run"]
    rows = all_of(monitor, new)[0]
    assert [row[0] for row in rows["predictions"]] == [new] * len(rows["predictions"])
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    assert strict(client.get(f"/api/runs/{new}"))["parent"] == {"run": old, "kind": "forked"}
    assert all_of(monitor, old) == before
    assert metrics_of(client)["models"]["model2"]["events"]["kind"][:3] == ["running", "forked", "running"]


def test_branch_that_cannot_be_written_is_not_there(
    client: FlaskClient, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(client, QUICK)
    wait_until(client, "finished")
    monitor.store.save()

    asked: list[str] = []

    def full(path: Path, content: bytes) -> None:
        if path.stem.endswith("model2"):
            new = path.stem.split(".")[0]
            asked.append(new)
            assert monitor.store.runs(deleted=True) == []  # nor while it is being written
            error_of(client.post(f"/api/runs/{new}/restore", json={}), 404, "unknown_run")
            raise OSError(28, "No space left on device")
        path.write_bytes(content)

    with monkeypatch.context() as patched:
        patched.setattr("history.checkpoints.replace_file", full)
        error_of(client.post(f"/api/runs/{run}/resume", json={"more_epochs": 1}), 503, "not_saved")
        assert [entry["id"] for entry in strict(client.get("/api/runs"))["runs"]] == [run]
    [new] = asked
    assert monitor.store.runs(deleted=True) == []
    error_of(client.post(f"/api/runs/{new}/restore", json={}), 404, "unknown_run")
    rows, files = all_of(monitor, new)
    assert (list(filter(None, rows.values())), files) == ([], {})
    assert metrics_of(client)["run"] == run
    go_on(client, run, 1)
    wait_until(client, "finished")


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
