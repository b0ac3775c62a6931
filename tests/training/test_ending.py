"""Ending: a stop is heeded between any two batches, nothing is lost, and who ends in that very moment is no error."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from flask.testing import FlaskClient
from helpers import CPU, LIVELY, PATIENCE, as_json, quick, trainer_alone, wait_for
from served import (
    Program,
    assert_as_uninterrupted,
    continue_run,
    metrics_of,
    open_monitor,
    start,
    states,
    strict,
    wait_for_steps,
    wait_until,
)

import terminal
import train as train_module
from config import MODEL_NAMES
from history.store import RunStore
from train import Comparison
from training import engine as engine_module
from training.checkpoint import header_of
from training.engine import Engine, Examination
from training.images import FashionMNIST, Split
from training.lifecycle import Lifecycle
from web.monitor import Monitor

ROOT = Path(__file__).resolve().parents[2]
SLOW = {"kernels": [32, 64, 128, 256], "batch_size": 8192}


# In the middle of an evaluation


class StopsWhileItLooks(Engine):
    """Has its trainer stopped before the second batch of one evaluation after `STEP` steps, and notes the batches."""

    STEP = 64  # the end of an epoch of 16 images a batch
    looked_at: list[str] = []  # noqa: RUF012 - reset by each test
    place = ""
    stop: Callable[[], None]

    def evaluate(self, split: Split) -> Examination:
        sizes = {"validation": self.data.validation, "test": self.data.test}
        name = next((name for name, each in sizes.items() if each is split), "train")
        with self._counting(name):
            return super().evaluate(split)

    @contextlib.contextmanager
    def _counting(self, name: str) -> Iterator[None]:
        heed, kind = self.heed, type(self)

        def count() -> None:
            if name == kind.place and self.step >= kind.STEP:
                kind.looked_at.append(name)
                if len(kind.looked_at) == 2:
                    kind.stop()
            heed()

        self.heed = count
        try:
            yield
        finally:
            self.heed = heed


@pytest.mark.parametrize("place", ["validation", "train", "test"])
def test_stop_in_an_evaluation_leaves_none_of_it_and_a_resume_makes_it(
    client: FlaskClient, monitor: Monitor, uninterrupted: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(engine_module, "EVALUATION_BATCH", 32)
    with monkeypatch.context() as patched:
        stopping = type("Stopping", (StopsWhileItLooks,), {"place": place, "looked_at": []})
        stopping.stop = staticmethod(lambda: monitor.control.comparison.end())  # type: ignore[attr-defined]
        if place == "test":
            stopping.STEP = 256  # type: ignore[attr-defined]
        build = lambda config, *rest: (stopping if config == LIVELY["model1"] else Engine)(config, *rest)  # noqa: E731
        patched.setattr(train_module, "Engine", build)
        run = start(client, as_json(LIVELY))
        assert monitor.control.comparison.join(PATIENCE)
    assert len(stopping.looked_at) == 2  # type: ignore[attr-defined]
    at = stopping.STEP  # type: ignore[attr-defined]
    assert states(client)["model1"] == "stopped"
    stopped = metrics_of(client)["models"]["model1"]
    assert stopped["step"] == at
    assert (at in stopped["evaluations"]["step"]) == (place == "test")
    assert (at in strict(client.get("/api/inside"))["models"]["model1"]["step"]) == (place == "test")
    assert "test" not in monitor.store.predictions(run)["model1"]
    checkpoint = monitor.store.checkpoint(run, "model1")
    assert checkpoint is not None and header_of(checkpoint).step == at
    continue_run(client, run)
    wait_until(client, "finished")
    assert_as_uninterrupted(monitor, run, uninterrupted)
    models = metrics_of(client)["models"]
    inside = strict(client.get("/api/inside"))["models"]
    assert all(inside[name]["step"] == models[name]["evaluations"]["step"] for name in MODEL_NAMES)


# While a step takes long


class Watched(Engine):
    """Notes how long each step of the slow model took, and tells when one begins and when an evaluation does."""

    began = {"step": threading.Event(), "evaluation": threading.Event()}  # noqa: RUF012
    took: list[float] = []  # noqa: RUF012

    def train_step(self) -> None:
        began = time.perf_counter()
        self._tell("step")
        super().train_step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.took.append(time.perf_counter() - began)

    def evaluate(self, split: Split) -> Examination:
        self._tell("evaluation")
        return super().evaluate(split)

    def _tell(self, place: str) -> None:
        if list(self.config.kernels) == SLOW["kernels"]:
            self.began[place].set()


@pytest.mark.parametrize("place", ["step", "evaluation"])
def test_end_of_the_server_waits_for_a_long_step_alone_and_saves_its_weights(
    tmp_path: Path, fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """With the largest batches there are, one epoch being one step, and all the images of an evaluation."""
    train = Split(fashion_mnist.train.images[:8192], fashion_mnist.train.labels[:8192])
    large = FashionMNIST(train, fashion_mnist.validation, fashion_mnist.test)
    monkeypatch.setattr("training.images.load_fashion_mnist", lambda data_dir: large)
    monkeypatch.setattr(train_module, "warm_up", lambda dataset: None)
    watched = type("Fresh", (Watched,), {"took": [], "began": {name: threading.Event() for name in Watched.began}})
    monkeypatch.setattr(train_module, "Engine", watched)
    monitor = open_monitor(tmp_path / "runs")
    try:
        configs = as_json(dict.fromkeys(MODEL_NAMES, quick(**SLOW, epochs=9)))
        configs["model2"] = quick(batch_size=8192, epochs=1).model_dump(mode="json")
        run = start(strict_client(monitor), configs)
        assert watched.began[place].wait(3 * PATIENCE)  # type: ignore[attr-defined]
        asked = time.perf_counter()
    finally:
        monitor.close()
    took, step = time.perf_counter() - asked, max(watched.took)  # type: ignore[attr-defined]
    print(f"ended {took:.1f} s after it was asked, in the {place}; a step takes {step:.1f} s")
    assert took < max(5.0, 3 * step)
    store = RunStore(tmp_path / "runs")
    try:
        model = store.run(run).view()[1]["model1"]
        assert model["state"] == "stopped"
        checkpoint = store.checkpoint(run, "model1")
        assert checkpoint is not None and header_of(checkpoint).step == model["step"] >= 1
    finally:
        store.close()


def strict_client(monitor: Monitor) -> FlaskClient:
    from server import create_app

    return create_app(monitor).test_client()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_second_signal_ends_the_server_at_once(
    program: Callable[..., Program], tmp_path: Path, number: signal.Signals
) -> None:
    server = program()
    wait_for(server.is_ready, "readiness")
    _, answer = server.ask("/api/start", dict.fromkeys(MODEL_NAMES, SLOW))
    wait_for(lambda: server.ask("/api/metrics")[1]["models"]["model1"]["parameters"] is not None, "first step")
    server.process.send_signal(number)
    assert server.process.stderr is not None
    for line in server.process.stderr:  # it has noticed the first and waits for the step
        if "model1 stopped" in line:
            break
    assert server.end(number) == -number
    store = RunStore(tmp_path / "runs")  # the directory is free again, and the history is whole
    try:
        assert store.warning is None
        assert {status["state"] for status in store.runs()[0]["models"].values()} <= {"stopped", "interrupted"}
        assert store.runs()[0]["id"] == answer["run"]
    finally:
        store.close()


def test_second_ctrl_c_ends_training_without_a_server_at_once(data_dir: Path, tmp_path: Path) -> None:
    flags = ["--kernels", "64,128,256,512", "--batch_size", "8192", "--out", "metrics.json"]
    command = [sys.executable, str(ROOT / "train.py"), "--data-dir", str(data_dir), *flags]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stderr is not None
        read_until(process.stderr, b"epoch")  # the bars appear when training has begun
        process.send_signal(signal.SIGINT)
        read_until(process.stderr, b"Ctrl-C again ends at once")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGINT
    assert not (tmp_path / "metrics.json").exists()


def read_until(stream: Any, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        byte = stream.read(1)
        assert byte, seen
        seen += byte


# Who ends in that very moment


def test_trainer_that_is_about_to_finish_is_left_to_it(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    finishing, go_on = threading.Event(), threading.Event()
    move = Lifecycle.move_to

    def slow_move(life: Lifecycle, state: str, **more: Any) -> None:
        if state == "finished":
            finishing.set()
            assert go_on.wait(PATIENCE)
        move(life, state, **more)

    monkeypatch.setattr(Lifecycle, "move_to", slow_move)
    trainer, log = trainer_alone(small_fashion_mnist, quick())
    trainer.start()
    assert finishing.wait(PATIENCE)
    ender = threading.Thread(target=trainer.end)
    ender.start()
    go_on.set()
    ender.join(PATIENCE)
    trainer.join(PATIENCE)
    assert not ender.is_alive()
    assert log.status("model1").state == "finished"


def test_end_of_what_has_ended_or_not_begun_changes_nothing(small_fashion_mnist: FashionMNIST) -> None:
    comparison = Comparison(dict.fromkeys(MODEL_NAMES, quick(batch_size=256)), small_fashion_mnist, device=CPU)
    comparison.end()
    assert {trainer.state for trainer in comparison.trainers.values()} == {"idle"}
    comparison.start()
    assert comparison.join(PATIENCE)
    comparison.end()
    assert {trainer.state for trainer in comparison.trainers.values()} == {"finished"}


@pytest.fixture
def ends_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks whether a comparison is on finds it on, and by the time of the stop all its models have ended."""
    end = getattr(Comparison, "end", None)

    def end_late(comparison: Comparison) -> None:
        assert comparison.join(PATIENCE)
        assert end is not None
        end(comparison)

    monkeypatch.setattr(Comparison, "active", property(lambda comparison: comparison.join(PATIENCE)))
    monkeypatch.setattr(Comparison, "end", end_late, raising=False)


BRIEF = as_json({name: quick(batch_size=64, epochs=3, seed=seed) for seed, name in enumerate(MODEL_NAMES)})


def test_close_when_the_last_model_ends_in_between_saves_it_and_leaves_no_thread(
    client: FlaskClient, monitor: Monitor, ends_between: None
) -> None:
    run = start(client, BRIEF)
    monitor.close()
    assert "store" not in [thread.name for thread in threading.enumerate()]
    store = RunStore(monitor.store.directory)
    try:
        assert set(store.states(run).values()) == {"finished"}
    finally:
        store.close()


def test_fork_when_the_last_model_ends_in_between_goes_on(
    client: FlaskClient, monitor: Monitor, ends_between: None
) -> None:
    old = start(client, BRIEF)
    response = client.post("/api/fork", json={"settings": {"epochs": 5}})
    assert response.status_code == 202, response.text
    assert set(monitor.store.states(old).values()) == {"finished"}
    assert monitor.control.comparison.join(PATIENCE)
    assert metrics_of(client)["models"]["model2"]["epoch"] == 5


def test_fork_of_a_model_that_ends_in_between_with_nothing_left_is_refused(
    client: FlaskClient, monitor: Monitor, ends_between: None
) -> None:
    start(client, BRIEF)
    response = client.post("/api/fork", json={"settings": {"dropout": 0.1}})
    assert (response.status_code, "nothing left to train" in response.text) == (409, True)


def test_repeats_stopped_when_a_pair_ends_in_between(client: FlaskClient, monitor: Monitor, ends_between: None) -> None:
    differing = as_json(
        {name: quick(batch_size=64, epochs=3, hidden_units=8 + place) for place, name in enumerate(MODEL_NAMES)}
    )
    client.post("/api/repeats", json={"runs": 3} | differing)
    wait_for(lambda: metrics_of(client)["run"] is not None, "first pair")
    response = client.post("/api/repeats/stop", json={})
    assert response.status_code == 200, response.text
    wait_for(lambda: strict(client.get("/api/repeats"))["state"] == "stopped", "end of the series")


def test_ctrl_c_when_the_last_model_ends_in_between_still_writes_all(
    data_dir: Path,
    tmp_path: Path,
    small_fashion_mnist: FashionMNIST,
    ends_between: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def follow(comparison: Comparison, interrupted: threading.Event) -> None:
        interrupted.set()

    monkeypatch.setattr(terminal, "follow", follow)
    monkeypatch.setattr(terminal, "load_fashion_mnist", lambda data_dir: small_fashion_mnist)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    out = tmp_path / "metrics.json"
    try:
        code = terminal.main(["--kernels", "4", "--batch_size", "256", "--epochs", "1", "--out", str(out)])
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
    assert code == 0, capsys.readouterr().err
    assert {model["state"] for model in json.loads(out.read_text()).values()} == {"finished"}


def test_nothing_is_started_once_the_server_is_ending(client: FlaskClient, monitor: Monitor) -> None:
    start(client, BRIEF)
    wait_for_steps(client, "model1", 1)
    monitor.close()
    assert client.post("/api/start", json=BRIEF).status_code == 503
    assert client.post("/api/fork", json={"settings": {"epochs": 9}}).status_code == 503
