"""A stop: the test images are looked at before a model is stopped, unless it is to end at once."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from flask.testing import FlaskClient
from helpers import PATIENCE, FullLog, endless, trainer_alone, wait_for
from served import ENDLESS, continue_run, error_of, metrics_of, start, strict, wait_for_steps, wait_until

import train as train_module
from config import MODEL_NAMES
from history.states import IllegalTransition
from studies import control as control_module
from train import ModelTrainer
from training.engine import Engine, Examination
from training.images import FashionMNIST, Split
from web.monitor import Monitor

pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")


class SlowTest(Engine):
    """Looks at the test images only once it is let go on."""

    testing = threading.Event()
    go_on = threading.Event()

    def evaluate(self, split: Split) -> Examination:
        if split is self.data.test:
            self.testing.set()
            assert self.go_on.wait(PATIENCE)
        return super().evaluate(split)


@pytest.fixture
def slow_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SlowTest]]:
    slow = type("Slow", (SlowTest,), {"testing": threading.Event(), "go_on": threading.Event()})
    monkeypatch.setattr(train_module, "Engine", slow)
    yield slow
    slow.go_on.set()


@pytest.fixture
def stopping(small_fashion_mnist: FashionMNIST, slow_test: type[SlowTest]) -> tuple[ModelTrainer, FullLog]:
    """A trainer that was stopped and looks at the test images."""
    trainer, log = trainer_alone(small_fashion_mnist, endless())
    trainer.start()
    wait_for(lambda: log.status("model1").step > 5, "training")
    trainer.stop()
    assert slow_test.testing.wait(PATIENCE)
    return trainer, log


def test_model_that_is_stopped_is_tested_first(
    stopping: tuple[ModelTrainer, FullLog], slow_test: type[SlowTest]
) -> None:
    trainer, log = stopping
    before = log.status("model1")
    assert (before.state, before.testing, before.test_accuracy) == ("running", True, None)
    assert log.all_points["model1"][-1].step == before.step  # nothing waits for the result
    slow_test.go_on.set()
    trainer.join(PATIENCE)
    after = log.status("model1")
    assert (after.state, after.testing, after.step) == ("stopped", False, before.step)
    assert after.test_accuracy is not None and 0 <= after.test_accuracy <= 1
    assert log.events("model1")[-1].kind == "stopped"


def test_model_that_is_being_stopped_takes_no_other_command(
    stopping: tuple[ModelTrainer, FullLog], slow_test: type[SlowTest]
) -> None:
    trainer, _ = stopping
    for command, wanted in (("pause", "paused"), ("resume", "running")):
        with pytest.raises(IllegalTransition, match=f"^model1 is stopping and cannot become {wanted}"):
            getattr(trainer, command)()
    with pytest.raises(IllegalTransition, match=r"^model1 is stopping and cannot become steered"):
        trainer.steer(0.1)
    slow_test.go_on.set()
    trainer.join(PATIENCE)
    assert trainer.state == "stopped"


@pytest.mark.parametrize("command", ["stop", "end"])
def test_second_stop_and_an_end_leave_the_test_images_out(
    stopping: tuple[ModelTrainer, FullLog], slow_test: type[SlowTest], command: str
) -> None:
    trainer, log = stopping
    getattr(trainer, command)()
    assert trainer.state == "stopped"
    slow_test.go_on.set()
    trainer.join(PATIENCE)
    assert (log.status("model1").test_accuracy, log.status("model1").testing) == (None, False)
    with pytest.raises(IllegalTransition, match="model1 is stopped and cannot become stopped"):
        trainer.stop()


def test_stopped_pair_is_compared_on_the_test_images_until_it_goes_on(client: FlaskClient, monitor: Monitor) -> None:
    run = start(client, ENDLESS)
    wait_for_steps(client, "model1", 5)
    wait_for_steps(client, "model2", 5)
    client.post("/api/stop", json={})
    wait_until(client, "stopped")
    found = strict(client.get("/api/comparison"))
    models = metrics_of(client)["models"]
    assert found["significance"]["at"] == {
        name: {"step": models[name]["step"], "epoch": models[name]["epoch"]} for name in MODEL_NAMES
    }
    assert found["verdict"]["first"] == found["significance"]["text"]
    assert "test images" in found["verdict"]["first"]
    labels = monitor.loading.workshop.labels["test"]  # type: ignore[union-attr]
    for name, answers in monitor.store.predictions(run).items():
        assert models[name]["test_accuracy"] == pytest.approx(float(np.mean(answers["test"].answers == labels)))
        assert found["test"][name]["accuracy"] == models[name]["test_accuracy"]
    continue_run(client, run)
    wait_for(lambda: metrics_of(client)["models"]["model1"]["step"] > models["model1"]["step"], "a further step")
    assert {model["test_accuracy"] for model in metrics_of(client)["models"].values()} == {None}
    assert strict(client.get("/api/comparison"))["significance"] is None


def test_whoever_starts_another_run_waits_for_the_test_images_only_so_long(
    client: FlaskClient, slow_test: type[SlowTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "TEST_PATIENCE", 0.05)
    first = start(client, ENDLESS)
    for model in MODEL_NAMES:
        wait_for_steps(client, model, 1)
    client.post("/api/stop", json={"model": "model1"})
    assert slow_test.testing.wait(PATIENCE)
    error_of(client.post("/api/start", json=ENDLESS), 409, "conflict")  # model 2 is still on
    client.post("/api/stop", json={"model": "model2"})
    threading.Timer(0.5, slow_test.go_on.set).start()
    start(client, ENDLESS)
    stored = strict(client.get(f"/api/runs/{first}"))["models"]
    assert {(model["state"], model["test_accuracy"]) for model in stored.values()} == {("stopped", None)}
