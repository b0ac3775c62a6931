"""A model that has left its schedule keeps its rate and its settings wherever it goes on; a copy changes one."""

from typing import Any

import pytest
from branching import details, go_on
from flask.testing import FlaskClient
from helpers import as_json, quick
from served import metrics_of, start, strict, wait_for_steps

from config import MODEL_NAMES
from training.schedule import scheduled_learning_rate
from web.monitor import Monitor

COSINE = quick(batch_size=16, epochs=400, schedule="cosine")


def end(monitor: Monitor) -> None:
    assert monitor.control.comparison is not None
    monitor.control.comparison.end()
    assert monitor.control.comparison.join(60)
    monitor.store.save()


def held_run(client: FlaskClient, monitor: Monitor) -> tuple[str, float]:
    """Train two models for a while, then let them leave their schedule; return the run, and model 1's rate."""
    run = start(client, as_json(dict.fromkeys(MODEL_NAMES, COSINE)))
    wait_for_steps(client, "model1", 100)
    end(monitor)
    step = monitor.store.run_status(run, "model1").step
    go_on(client, run, 20)
    wait_for_steps(client, "model1", step + 10)
    return run, scheduled_learning_rate(COSINE, step - 1, 64 * 400)


def model(client: FlaskClient, name: str) -> dict[str, Any]:
    found: dict[str, Any] = metrics_of(client)["models"][name]
    return found


def test_rate_is_kept_when_it_goes_on_again_and_for_more_epochs(client: FlaskClient, monitor: Monitor) -> None:
    run, rate = held_run(client, monitor)
    for more in (0, 7):
        end(monitor)
        go_on(client, run, more)
        wait_for_steps(client, "model1", monitor.store.run_status(run, "model1").step + 5)
        now = model(client, "model1")
        assert now["config"] == COSINE.model_copy(update={"epochs": 420 + more}).model_dump(mode="json")
        assert (now["held_rate"], now["learning_rate"]) == (rate, rate)
    assert details(client, "continued")[1:] == ["for 7 more epochs"]


def test_rate_that_was_steered_since_is_gone_on_with(client: FlaskClient, monitor: Monitor) -> None:
    run, rate = held_run(client, monitor)
    client.post("/api/steer", json={"model": "model1", "learning_rate": 0.25})
    wait_for_steps(client, "model1", metrics_of(client)["models"]["model1"]["step"] + 20)
    end(monitor)
    go_on(client, run, 7)
    wait_for_steps(client, "model1", monitor.store.run_status(run, "model1").step + 5)
    now = model(client, "model1")
    assert (now["config"]["learning_rate"], now["held_rate"], now["learning_rate"]) == (0.001, rate, 0.25)


def test_copy_of_a_model_that_was_steered_off_its_schedule_goes_on_at_that_rate(
    client: FlaskClient, monitor: Monitor
) -> None:
    _, rate = held_run(client, monitor)
    client.post("/api/steer", json={"model": "model1", "learning_rate": 0.25})
    wait_for_steps(client, "model1", model(client, "model1")["step"] + 20)
    assert client.post("/api/fork", json={"settings": {"dropout": 0.1}}).status_code == 202
    wait_for_steps(client, "model2", model(client, "model2")["step"] + 20)
    for now in (model(client, name) for name in MODEL_NAMES):
        assert (now["config"]["learning_rate"], now["held_rate"], now["learning_rate"]) == (0.001, rate, 0.25)
    told = strict(client.get("/api/comparison"))["attribution"]
    assert (told["differing"], told["text"].count("learning rate")) == (["dropout"], 0)
    end(monitor)


@pytest.mark.parametrize(
    ("setting", "value", "said", "rate_of_copy"),
    [
        ("dropout", 0.1, "dropout 0.5 → 0.1", None),
        ("epochs", 500, "epochs 420 → 500", None),
        ("learning_rate", 0.25, "learning rate {rate:.4g} → 0.25", 0.25),
        ("learning_rate", 0.001, "learning rate {rate:.4g} → 0.001", 0.001),  # the one that it was set to
        ("schedule", "constant", "schedule cosine → constant, learning rate {rate:.4g} → 0.001", 0.001),
    ],
)
def test_copy_of_a_model_off_its_schedule_differs_in_one_setting(
    client: FlaskClient, monitor: Monitor, setting: str, value: Any, said: str, rate_of_copy: float | None
) -> None:
    _, rate = held_run(client, monitor)
    answer = client.post("/api/fork", json={"settings": {setting: value}})
    assert answer.status_code == 202, answer.json
    wait_for_steps(client, "model2", metrics_of(client)["models"]["model2"]["step"] + 20)
    one, two = (model(client, name) for name in MODEL_NAMES)
    longer = COSINE.model_copy(update={"epochs": 420})
    if setting == "learning_rate":
        longer = longer.held_at(rate)  # two rates compare where both are what is trained
    assert one["config"] == longer.model_dump(mode="json")
    assert two["config"] == longer.model_copy(update={setting: value}).model_dump(mode="json")
    assert one["learning_rate"] == rate
    assert two["learning_rate"] == (rate_of_copy or rate)
    assert details(client, "forked", "model2") == [f"from model 1: {said.format(rate=rate)}"]
    told = strict(client.get("/api/comparison"))["attribution"]
    assert told["differing"] == [setting]
    assert "on the way" not in told["text"]  # no rate was
    assert f"with one change ({said.format(rate=rate)})" in told["text"]
    end(monitor)
