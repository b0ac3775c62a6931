"""A store whose disk can be full, and a nursery of servers to be killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from crashes import CONFIGS, Nursery, Points
from helpers import train
from histories import FullDisk

from config import MODEL_NAMES
from history.store import RunStore
from training.images import FashionMNIST


@pytest.fixture
def history_dir(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer saves only when it is told to."""
    monkeypatch.setattr("history.writer.SAVE_INTERVAL", 3600)


@pytest.fixture
def store(history_dir: Path, disk: FullDisk) -> Iterator[RunStore]:
    store = RunStore(history_dir)
    yield store
    store.close()


@pytest.fixture(scope="module")
def nursery(data_dir: Path) -> Iterator[Nursery]:
    nursery = Nursery(data_dir)
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def reference(small_fashion_mnist: FashionMNIST) -> Points:
    """The first 30 epochs of the same run, never interrupted: (epoch, loss, accuracy) of each step."""
    log = train(
        small_fashion_mnist, **{name: config.model_copy(update={"epochs": 30}) for name, config in CONFIGS.items()}
    )
    return {name: [(p.epoch, p.loss, p.accuracy) for p in log.all_points[name]] for name in MODEL_NAMES}
