"""The real data set, found or fetched once, and a server's inside that trains on a part of it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings

import data
from history.store import RunStore
from server import create_app
from training.images import FashionMNIST, Split, load_fashion_mnist
from web.monitor import Monitor

# The same examples every time, and no verdict on speed: the machine may be busy.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")

# As a trainer has beside another on two cores. More would spin for each other where the machine is busy.
torch.set_num_threads(1)


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
        train=_first(fashion_mnist.train, 1024),
        validation=_first(fashion_mnist.validation, 256),
        test=_first(fashion_mnist.test, 256),
    )


def _first(split: Split, count: int) -> Split:
    return Split(split.images[:count], split.labels[:count])


@pytest.fixture
def monitor(tmp_path: Path, small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch) -> Iterator[Monitor]:
    """A monitor that is ready to train on the small data set."""
    monkeypatch.setattr("training.images.load_fashion_mnist", lambda data_dir: small_fashion_mnist)
    monitor = Monitor(tmp_path / "data", RunStore(tmp_path / "runs"))
    monitor.loading.load()
    yield monitor
    monitor.close()


@pytest.fixture
def client(monitor: Monitor) -> FlaskClient:
    return create_app(monitor).test_client()
