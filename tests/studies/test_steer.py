"""Steering a run and forking it: what is applied, what is kept on record, what goes on."""

from typing import Any

import pytest
import torch
from flask.testing import FlaskClient
from helpers import CPU, quick, wait_for
from histories import history_file
from served import ENDLESS, error_of, measured, metrics_of, start, states, strict, wait_for_steps, wait_until

from config import MODEL_NAMES, ModelConfig
from studies.branches import FORKABLE
from training.engine import Engine
from training.images import FashionMNIST
from training.schedule import scheduled_learning_rate
from web.monitor import Monitor

OTHER = {
    "optimizer": "sgd", "learning_rate": 0.0001, "dropout": 0.1, "epochs": 400, "seed": 9, "momentum": 0.5,
    "weight_decay": 0.01, "schedule": "cosine", "augment": "flip", "label_smoothing": 0.1, "precision": "bfloat16",
}  # fmt: skip


def events_of(client: FlaskClient, model: str) -> list[dict[str, Any]]:
    events = metrics_of(client)["models"][model]["events"]
    return [dict(zip(events, row, strict=True)) for row in zip(*events.values(), strict=True)]


def steer(client: FlaskClient, rate: float, model: str = "model1") -> None:
    response = client.post("/api/steer", json={"model": model, "learning_rate": rate})
    assert response.status_code == 200, response.text
    wait_for(lambda: metrics_of(client)["models"][model]["learning_rate"] == rate, "new learning rate")


# Steer


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_steered_rate_takes_the_place_of_the_setting(schedule: Any) -> None:
    config, steered = quick(schedule=schedule), quick(schedule=schedule, learning_rate=0.02)
    for step in (0, 10, 50, 99):
        assert scheduled_learning_rate(config, step, 100, 0.02) == scheduled_learning_rate(steered, step, 100)


def test_steered_model_takes_its_next_steps_with_the_new_rate(small_fashion_mnist: FashionMNIST) -> None:
    plain, steered = (Engine(quick(optimizer="sgd", momentum=0.0), small_fashion_mnist, CPU) for _ in range(2))
    before = plain.model.output.bias.detach().clone()
    steered.learning_rate *= 3
    for engine in (plain, steered):
        engine.train_step()
    moved, further = (engine.model.output.bias.detach() - before for engine in (plain, steered))
    assert torch.allclose(3 * moved, further, atol=1e-7)
    again = Engine(quick(optimizer="sgd", momentum=0.0), small_fashion_mnist, CPU)
    again.restore(steered.state())
    assert again.learning_rate == steered.learning_rate


def test_change_is_put_on_record_and_only_the_steered_model_changes(client: FlaskClient, monitor: Monitor) -> None:
    run = start(client, ENDLESS)
    wait_for_steps(client, "model1", 5)
    steer(client, 0.0003)
    [event] = [event for event in events_of(client, "model1") if event["kind"] == "steered"]
    assert event["detail"] == "learning rate 0.001 → 0.0003"
    assert event["step"] >= 5
    assert metrics_of(client)["models"]["model2"]["learning_rate"] == 0.001
    assert [event["kind"] for event in events_of(client, "model2")] == ["running"]
    wait_for_steps(client, "model1", event["step"] + 1)
    attribution = strict(client.get("/api/comparison"))["attribution"]["text"]
    assert "Model 1's learning rate was changed on the way, from 0.001 to 0.0003." in attribution
    client.post("/api/stop", json={})
    wait_until(client, "stopped")
    stored = strict(client.get(f"/api/runs/{run}"))["models"]["model1"]
    assert stored["events"]["detail"][1] == "learning rate 0.001 → 0.0003"


def test_paused_model_is_steered_when_it_goes_on(client: FlaskClient, monitor: Monitor) -> None:
    start(client, ENDLESS)
    wait_for_steps(client, "model1", 5)
    client.post("/api/pause", json={})
    wait_until(client, "paused")
    assert client.post("/api/steer", json={"model": "model1", "learning_rate": 0.5}).status_code == 200
    assert "steered" not in [event["kind"] for event in events_of(client, "model1")]
    client.post("/api/resume", json={})
    wait_for(lambda: metrics_of(client)["models"]["model1"]["learning_rate"] == 0.5, "new learning rate")


def test_resumed_run_stays_steered(client: FlaskClient, monitor: Monitor) -> None:
    run = start(client, ENDLESS)
    wait_for_steps(client, "model2", 5)
    steer(client, 0.25, "model2")
    client.post("/api/stop", json={})
    wait_until(client, "stopped")
    client.post(f"/api/runs/{run}/resume", json={})
    wait_until(client, "running")
    wait_for(lambda: metrics_of(client)["models"]["model2"]["learning_rate"] == 0.25, "steered rate")


def test_change_at_the_step_of_a_checkpoint_that_has_not_seen_it_is_undone(
    client: FlaskClient, monitor: Monitor
) -> None:
    """As a kill leaves it between the event, which was saved, and its checkpoint, which was not."""
    run = start(client, ENDLESS)
    wait_for_steps(client, "model2", 5)
    steer(client, 0.25, "model2")
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    monitor.store.save()
    steps = {name: metrics_of(client)["models"][name]["step"] for name in MODEL_NAMES}
    changes = {"model1": ["0.001 → 0.5"], "model2": ["0.125 → 0.25", "0.25 → 0.5", "0.5 → 0.75"]}
    with history_file(monitor.store.directory) as database:
        for model, said in changes.items():
            rows = [
                (run, model, 90 + number, "steered", steps[model], 1.0, 1.0, f"learning rate {what}")
                for number, what in enumerate(said)
            ]
            database.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    client.post(f"/api/runs/{run}/resume", json={})
    wait_until(client, "running")
    seen = {
        name: [event["detail"] for event in events_of(client, name) if event["kind"] == "steered"]
        for name in MODEL_NAMES
    }
    assert seen == {"model1": [], "model2": ["learning rate 0.001 → 0.25", "learning rate 0.125 → 0.25"]}
    wait_for(lambda: metrics_of(client)["models"]["model2"]["learning_rate"] == 0.25, "rate of the checkpoint")
    assert metrics_of(client)["models"]["model1"]["learning_rate"] == 0.001


@pytest.mark.parametrize("rate", [0, -1, 11, "fast", None, True, [0.1]])
def test_rate_that_no_run_may_have_is_refused(client: FlaskClient, monitor: Monitor, rate: Any) -> None:
    start(client, ENDLESS)
    error = error_of(
        client.post("/api/steer", json={"model": "model1", "learning_rate": rate}), 400, "invalid_settings"
    )
    assert "above 0 and at most 10" in error["fields"]["model1.learning_rate"]
    assert metrics_of(client)["models"]["model1"]["learning_rate"] == 0.001


def test_what_is_not_on_cannot_be_steered(client: FlaskClient, monitor: Monitor) -> None:
    error_of(client.post("/api/steer", json={"model": "model1", "learning_rate": 0.1}), 409, "conflict")
    start(client, ENDLESS)
    error_of(client.post("/api/steer", json={"model": "model3", "learning_rate": 0.1}), 400, "bad_request")
    client.post("/api/stop", json={"model": "model1"})
    error = error_of(client.post("/api/steer", json={"model": "model1", "learning_rate": 0.1}), 409, "conflict")
    assert "paused or running" in error["message"]


# Fork


def fork(client: FlaskClient, **settings: Any) -> str:
    response = client.post("/api/fork", json={"settings": settings})
    assert response.status_code == 202, response.text
    return str(strict(response)["run"])


def test_fork_lets_model_1_go_on_to_the_bit_and_starts_its_copy_where_it_was(
    client: FlaskClient, monitor: Monitor, small_fashion_mnist: FashionMNIST
) -> None:
    config = quick(epochs=6, batch_size=16, dropout=0.5, augment="flip_shift")
    plain = start(client, dict.fromkeys(MODEL_NAMES, config.model_dump(mode="json")))
    wait_until(client, "finished")
    uninterrupted = measured(monitor, plain, "model1")
    old = start(client, dict.fromkeys(MODEL_NAMES, config.model_dump(mode="json")))
    wait_for_steps(client, "model1", 100)
    new = fork(client, learning_rate=0.01)
    assert new != old
    wait_until(client, "finished")
    assert measured(monitor, new, "model1") == uninterrupted
    parent, child = (monitor.store.run(run).evaluations("model1") for run in (old, new))
    assert [each.right_images for each in child[: len(parent)]] == [each.right_images for each in parent]
    assert all(each.right_images for each in monitor.store.run(new).evaluations("model2"))
    [event] = [event for event in events_of(client, "model2") if event["kind"] == "forked"]
    assert event["detail"] == "from model 1: learning rate 0.001 → 0.01"
    copy, at = measured(monitor, new, "model2"), event["step"]
    assert at >= 100
    assert copy[:at] == uninterrupted[:at]
    assert copy[at] == uninterrupted[at]  # the loss of the next batch, before its update
    assert all(ours != theirs for ours, theirs in zip(copy[at + 2 :], uninterrupted[at + 2 :], strict=True))
    assert {model["state"] for model in strict(client.get(f"/api/runs/{old}"))["models"].values()} == {"stopped"}
    inside = strict(client.get("/api/inside"))["models"]
    assert inside["model1"]["step"] == inside["model2"]["step"]


def test_fork_is_said_to_be_a_copy_whatever_its_seed_also_after_it_was_resumed(client: FlaskClient) -> None:
    start(client, ENDLESS)
    wait_for_steps(client, "model1", 20)
    assert "copy" not in metrics_of(client)["paired"]["text"]
    run = fork(client, seed=7)
    wait_for_steps(client, "model2", 40)
    text = (
        "Both models have the same images in the same split; model 2 is a copy of model 1, weights included, "
        "and has had a different batch order since the fork."
    )
    paired = metrics_of(client)["paired"]
    assert (paired["text"], paired["batch_order"]) == (text, False)
    assert "hidden" in paired["initial_weights"]
    client.post("/api/stop", json={})
    wait_until(client, "stopped")
    assert client.post(f"/api/runs/{run}/resume", json={}).status_code == 202
    assert metrics_of(client)["paired"]["text"] == text


def test_of_every_setting_it_is_said_whether_a_copy_may_differ_in_it() -> None:
    shape = {"kernels", "kernel_sizes", "hidden_units", "batch_norm", "pool_every"}
    assert shape | {"batch_size"} | set(FORKABLE) == set(ModelConfig.model_fields)  # the place within an epoch


@pytest.mark.parametrize("setting", FORKABLE)
def test_every_setting_that_may_change_can(client: FlaskClient, monitor: Monitor, setting: str) -> None:
    start(client, ENDLESS)
    wait_for_steps(client, "model1", 20)
    fork(client, **{setting: OTHER[setting]})
    wait_until(client, "running")
    models = metrics_of(client)["models"]
    assert models["model2"]["config"] == models["model1"]["config"] | {setting: OTHER[setting]}
    step = models["model2"]["step"]
    wait_for(lambda: metrics_of(client)["models"]["model2"]["step"] > step + 5, "steps of the copy")
    assert metrics_of(client)["models"]["model2"]["error"] is None


@pytest.mark.parametrize(
    "settings",
    [{}, {"learning_rate": 0.001}, {"learning_rate": 0.1, "dropout": 0.1}, {"kernels": [8, 8]}, {"batch_size": 32}],
)
def test_fork_changes_exactly_one_setting_that_it_may(
    client: FlaskClient, monitor: Monitor, settings: dict[str, Any]
) -> None:
    run = start(client, ENDLESS)
    error = error_of(client.post("/api/fork", json={"settings": settings}), 400, "bad_request")
    assert ", ".join(FORKABLE) in next(iter(error["fields"].values()))
    assert metrics_of(client)["run"] == run
    assert {model["state"] for model in metrics_of(client)["models"].values()} == {"running"}


def test_fork_before_the_first_run_or_with_bad_settings_is_refused(client: FlaskClient, monitor: Monitor) -> None:
    error_of(client.post("/api/fork", json={"settings": {"dropout": 0.1}}), 409, "conflict")
    start(client, ENDLESS)
    error = error_of(client.post("/api/fork", json={"settings": {"dropout": 2}}), 400, "invalid_settings")
    assert list(error["fields"]) == ["settings.dropout"]
    error_of(client.post("/api/fork", json={"settings": []}), 400, "bad_request")


def test_steered_model_is_forked_with_the_rate_that_it_has(client: FlaskClient, monitor: Monitor) -> None:
    start(client, ENDLESS)
    wait_for_steps(client, "model1", 5)
    steer(client, 0.0005)
    assert (
        "exactly one"
        in error_of(client.post("/api/fork", json={"settings": {"learning_rate": 0.0005}}), 400, "bad_request")[
            "fields"
        ]["settings"]
    )
    fork(client, learning_rate=0.001)
    [event] = [event for event in events_of(client, "model2") if event["kind"] == "forked"]
    assert event["detail"] == "from model 1: learning rate 0.0005 → 0.001"
    wait_for(lambda: metrics_of(client)["models"]["model2"]["learning_rate"] == 0.001, "the copy's rate")
    assert metrics_of(client)["models"]["model1"]["learning_rate"] == 0.0005
    attribution = strict(client.get("/api/comparison"))["attribution"]["text"]
    assert "Model 2 is a copy of model 1 with one change (learning rate 0.0005 → 0.001)." in attribution
    assert "changed on the way" not in attribution  # before the fork, and so for both
    assert "due to" not in attribution


def test_model_whose_rate_was_changed_and_changed_back_is_steered(client: FlaskClient, monitor: Monitor) -> None:
    run = start(client, ENDLESS)
    wait_for_steps(client, "model1", 5)
    for rate in (0.5, 0.001):
        steer(client, rate)
        wait_for(lambda rate=rate: metrics_of(client)["models"]["model1"]["learning_rate"] == rate, "new rate")
    wait_for_steps(client, "model1", events_of(client, "model1")[-1]["step"] + 1)
    expected = "Model 1's learning rate was changed on the way, from 0.001 to 0.5, then to 0.001."
    assert expected in strict(client.get("/api/comparison"))["attribution"]["text"]
    client.post("/api/stop", json={})
    wait_until(client, "stopped")
    start(client, ENDLESS)
    assert expected in strict(client.get(f"/api/comparison?run={run}"))["attribution"]["text"]


def test_refused_fork_stops_nothing(client: FlaskClient, monitor: Monitor) -> None:
    start(client, ENDLESS | {"model1": quick(batch_size=256).model_dump(mode="json")})
    wait_until(client, "finished", "model1")
    error_of(client.post("/api/fork", json={"settings": {"dropout": 0.1}}), 409, "conflict")
    assert states(client)["model2"] == "running"


def test_finished_model_can_be_forked_for_more_epochs_only(client: FlaskClient, monitor: Monitor) -> None:
    config = quick(batch_size=256)
    start(client, dict.fromkeys(MODEL_NAMES, config.model_dump(mode="json")))
    wait_until(client, "finished")
    error_of(client.post("/api/fork", json={"settings": {"dropout": 0.1}}), 409, "conflict")
    fork(client, epochs=3)
    wait_until(client, "finished")
    models = metrics_of(client)["models"]
    assert (models["model1"]["epoch"], models["model2"]["epoch"]) == (1, 3)
    assert ModelConfig(**models["model2"]["config"]) == config.model_copy(update={"epochs": 3})
