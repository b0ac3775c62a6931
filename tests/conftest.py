"""The real data set, found or fetched once, and a server's inside that trains on a part of it."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from flask import Flask
from flask.testing import FlaskClient
from helpers import CPU, LIVELY, FullLog, train
from histories import FullDisk
from hypothesis import HealthCheck, settings
from served import Buffered, Program

import data
from history import database
from history.store import RunStore
from server import create_app
from train import ModelTrainer
from training.images import FashionMNIST, load_fashion_mnist
from web.monitor import Monitor

# The same examples every time, and no verdict on speed: the machine may be busy.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

# As a trainer has beside another on two cores. More would spin for each other where the machine is busy.
torch.set_num_threads(1)


LONG = ("test_crash", "test_page", "test_ending", "test_measuring", "test_terminal", "test_server", "test_fuzz")


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark what needs the data set: all that trains, and every page of a server.

    What looks at a finished run comes first in its file: after another run that must be trained anew. Files that take
    minutes come first of all, so that no worker is left alone with one at the end.
    """
    paths = sorted(dict.fromkeys(item.path for item in items), key=lambda path: not path.stem.startswith(LONG))
    files = {path: number for number, path in enumerate(paths)}
    items.sort(key=lambda item: (files[item.path], "finished" not in item.fixturenames))
    for item in items:
        if "data_dir" in item.fixturenames:
            item.add_marker("data")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the four published files."""
    candidates = [Path(os.environ["DATA_DIR"])] if "DATA_DIR" in os.environ else []
    candidates += [Path(__file__).resolve().parent.parent / "data", data.SYSTEM_DIRECTORY]
    return data.find_files(*candidates) or data.fetch_files(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def fashion_mnist(data_dir: Path) -> FashionMNIST:
    """All 70,000 real images."""
    return load_fashion_mnist(data_dir)


@pytest.fixture(scope="session")
def small_fashion_mnist(fashion_mnist: FashionMNIST) -> FashionMNIST:
    """1,024 training, 256 validation and 256 test images of the real ones, for quick runs."""
    return FashionMNIST(
        train=fashion_mnist.train.first(1024),
        validation=fashion_mnist.validation.first(256),
        test=fashion_mnist.test.first(256),
    )


@pytest.fixture
def runs_dir(tmp_path: Path, small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for runs, while every monitor that is loaded trains on the small data set."""
    monkeypatch.setattr("training.images.load_fashion_mnist", lambda data_dir: small_fashion_mnist)
    return tmp_path / "runs"


@pytest.fixture
def unloaded(tmp_path: Path) -> Iterator[Monitor]:
    """A monitor that has not loaded anything yet."""
    monitor = Monitor(tmp_path / "data", RunStore(tmp_path / "runs"))
    yield monitor
    monitor.close()
    assert [thread.name for thread in threading.enumerate() if isinstance(thread, ModelTrainer)] == []


@pytest.fixture
def monitor(unloaded: Monitor, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    """A monitor that is ready to train on the small data set."""
    monkeypatch.setattr("train.warm_up", lambda dataset: None)  # once is enough for a whole session
    unloaded.loading.load()
    assert unloaded.loading.status == "ready"
    return unloaded


@pytest.fixture
def app(monitor: Monitor) -> Flask:
    return create_app(monitor)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.response_wrapper = Buffered
    return client


@pytest.fixture
def program(tmp_path: Path, data_dir: Path) -> Iterator[Callable[..., Program]]:
    """Start programs; those that a test has not ended are killed."""
    started: list[Program] = []

    def launch(*options: str, **settings: Any) -> Program:
        started.append(Program(tmp_path / "runs", *options, **({"data_dir": data_dir} | settings)))
        return started[-1]

    yield launch
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


@pytest.fixture(scope="session")
def lively_run(small_fashion_mnist: FashionMNIST) -> FullLog:
    return train(small_fashion_mnist, **LIVELY)


@pytest.fixture
def uninterrupted(lively_run: FullLog, monkeypatch: pytest.MonkeyPatch) -> FullLog:
    """What LIVELY models measure when nothing comes in between.

    To the bit on a CPU alone: what a test lets train besides trains there too, also where there is a GPU.
    """
    monkeypatch.setattr("train.best_device", lambda: CPU)
    return lively_run


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    """The disk of histories that are opened from now on, which has room until `full` is set."""
    disk, open_history = FullDisk(), database.open_history

    def open_on_disk(path: Path) -> Any:
        disk.database, warning = open_history(path)
        return disk, warning

    monkeypatch.setattr(database, "open_history", open_on_disk)
    return disk


@pytest.fixture
def no_thread_is_left_behind() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if isinstance(thread, ModelTrainer)] == []
