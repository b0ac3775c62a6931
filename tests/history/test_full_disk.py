"""A disk that is full: training goes on, what was saved stays readable, and saving resumes by itself."""

from pathlib import Path

from helpers import CPU, PATIENCE, endless, wait_for
from histories import FullDisk, points, recorded, running, saved_points

from config import MODEL_NAMES
from history.log import MetricsLog
from history.records import Evaluation
from history.store import RunStore
from train import Comparison
from training.images import FashionMNIST


def test_full_disk_is_reported_and_nothing_is_lost_when_saving_resumes(
    store: RunStore, disk: FullDisk, history_dir: Path
) -> None:
    log = recorded(store, "run")
    log.publish("model1", running("model1"), points(1, 10))
    store.save()
    disk.full = True
    log.publish("model1", running("model1"), points(11, 20), [Evaluation(20, 1.0, 1.0, 0.5, 0.5)])
    store.save()
    assert store.problem == "Not saved: database or disk is full. Training goes on; saving is tried again."
    log.publish("model1", running("model1"), points(21, 30))
    store.save()
    assert len(saved_points(history_dir)) == 10
    disk.full = False
    wait_for(lambda: store.problem is None, "saving again")  # by itself
    assert [row[0] for row in saved_points(history_dir)] == list(range(1, 31))
    assert len(store.run("run").evaluations("model1")) == 1


def test_history_stays_readable_while_the_disk_is_full_with_what_waits_for_room(
    store: RunStore, disk: FullDisk, history_dir: Path
) -> None:
    log = recorded(store, "run")
    log.publish("model1", running("model1"), points(1, 10))
    store.save()
    disk.full = True
    log.publish("model1", running("model1"), points(11, 20))
    store.save()
    assert [run["id"] for run in store.runs()] == ["run"]
    assert len(saved_points(history_dir)) == 10
    assert store.run("run").view()[1]["model1"]["points"]["step"] == list(range(1, 21))


def test_start_on_a_full_disk_still_records_the_run_once_there_is_room(
    store: RunStore, disk: FullDisk, history_dir: Path
) -> None:
    """Faults, row 4: training goes on, the page says "not saved", saving resumes by itself."""
    disk.full = True
    log = recorded(store, "run")
    log.publish("model1", running("model1"), points(1, 10))
    store.save()
    assert "Not saved: database or disk is full" in str(store.problem)
    disk.full = False
    wait_for(lambda: store.problem is None, "saving again")
    assert [run["id"] for run in store.runs()] == ["run"]
    assert len(saved_points(history_dir)) == 10


def test_run_started_after_a_full_disk_takes_nothing_from_the_one_before(
    store: RunStore, disk: FullDisk, history_dir: Path
) -> None:
    first = recorded(store, "first")
    disk.full = True
    first.publish("model1", running("model1"), points(1, 10))
    store.save()
    disk.full = False
    recorded(store, "second")
    assert len(store.run("first").view()[1]["model1"]["points"]["step"]) == 10
    assert store.run("second").view()[1]["model1"]["points"]["step"] == []


def test_training_does_not_notice_a_full_disk(
    store: RunStore, disk: FullDisk, small_fashion_mnist: FashionMNIST, history_dir: Path
) -> None:
    configs = {"model1": endless(), "model2": endless(seed=1)}
    log = MetricsLog(MODEL_NAMES, keep_unsaved=True)
    comparison = Comparison(configs, small_fashion_mnist, device=CPU, metrics=log)
    store.record("run", log, configs, {})
    disk.full = True
    comparison.start()
    assert disk.refused.wait(PATIENCE)
    before = log.status("model1").step
    wait_for(lambda: log.status("model1").step > before + 50, "training")
    disk.full = False
    comparison.stop()
    assert comparison.join(PATIENCE)
    store.save()
    for model in MODEL_NAMES:
        assert [row[0] for row in saved_points(history_dir, model)] == list(range(1, log.status(model).step + 1))
