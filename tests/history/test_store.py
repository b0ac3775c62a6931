"""What is saved, and what is read of it."""

import json
import math
import threading
from pathlib import Path

import pytest
from helpers import CPU, PATIENCE, quick, wait_for
from histories import CONFIGS, points, recorded, running, saved_points
from hypothesis import given, settings
from hypothesis import strategies as st

from config import MODEL_NAMES, ModelConfig
from history.curves import MAX_POINTS
from history.log import MetricsLog
from history.records import Evaluation, Event, Point, Status
from history.store import RunStore, UnknownRun
from train import Comparison
from training.images import FashionMNIST


def test_every_point_is_saved_at_full_resolution(store: RunStore, history_dir: Path) -> None:
    log, measured = recorded(store), points(1, 3 * MAX_POINTS)
    log.publish("model1", running("model1"), measured)
    store.save()
    assert saved_points(history_dir) == [tuple(point) for point in measured]
    assert saved_points(history_dir, "model2") == []


def test_saving_goes_on_by_itself_while_a_run_is_recorded(store: RunStore, history_dir: Path) -> None:
    log = recorded(store)
    log.publish("model1", running("model1"), points(1, 10))
    wait_for(lambda: len(saved_points(history_dir)) == 10, "saved points")
    log.publish("model1", running("model1"), points(11, 20))
    wait_for(lambda: len(saved_points(history_dir)) == 20, "further saved points")


def test_real_run_is_saved_as_it_was_measured(
    store: RunStore, history_dir: Path, small_fashion_mnist: FashionMNIST
) -> None:
    log = MetricsLog(MODEL_NAMES, keep_unsaved=True)
    comparison = Comparison(CONFIGS, small_fashion_mnist, device=CPU, metrics=log)
    store.record(comparison.run_id, log, CONFIGS, {})
    comparison.start()
    assert comparison.join(PATIENCE)
    store.save()
    _, expected = log.view()
    _, shown = store.run(comparison.run_id).view()
    assert shown == expected
    assert shown["model1"]["state"] == "finished"
    assert shown["model1"]["points"]["step"] == list(range(1, 17))


def test_run_reads_the_same_after_the_store_was_closed_and_opened_again(history_dir: Path) -> None:
    store = RunStore(history_dir)
    log = recorded(store, "run")
    for model, other in (("model1", 0.1), ("model2", 0.2)):
        done = Status("finished", config=CONFIGS[model].model_dump(mode="json"), step=30, val_accuracy=other)
        log.publish(
            model,
            done,
            points(1, 30),
            [Evaluation(15, 0.5, 1.5, other, 0.75), Evaluation(30, 1.0, 3.0, other, 0.875, 0.9)],
            [Event("running", 0, 0.0, 0.0), Event("finished", 30, 1.0, 3.0)],
        )
    _, expected = log.view()
    store.close()
    again = RunStore(history_dir)
    try:
        assert again.run("run").view()[1] == expected
        (entry,) = again.runs()
        assert entry["models"]["model1"]["state"] == "finished"
    finally:
        again.close()


def test_events_of_one_step_keep_their_order(store: RunStore) -> None:
    log = recorded(store, "run")
    kinds = ["running", "paused", "running", "paused", "running", "paused", "stopped"]
    for place, kind in enumerate(kinds):
        log.publish("model1", running("model1"), [], [], [Event(kind, 0 if place == 0 else 5, 0.0, 0.0)])
    store.save()
    assert [event.kind for event in store.run("run").events("model1")] == kinds


@given(
    # SQLite keeps -0.0 as 0.0
    st.lists(
        (st.floats() | st.sampled_from([math.nan, math.inf, -math.inf])).map(lambda x: x + 0.0), min_size=1, max_size=20
    ),
    st.lists(st.floats(0, 1), min_size=20, max_size=20),
)
@settings(max_examples=20)
def test_any_loss_survives_the_way_to_the_disk_and_back(
    tmp_path_factory: pytest.TempPathFactory, losses: list[float], accuracies: list[float]
) -> None:
    store = RunStore(tmp_path_factory.mktemp("runs"))
    try:
        log = recorded(store, "run")
        measured = [
            Point(step, 0.5, 0.25, loss, accuracy)
            for step, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=False), 1)
        ]
        log.publish("model1", running("model1", loss=losses[-1]), measured, [Evaluation(1, 0.1, 0.1, losses[0], 0.5)])
        store.save()
        _, expected = log.view()
        back = store.run("run")
        assert back.view()[1] == expected
        assert repr(back.evaluations("model1")) == repr(log.evaluations("model1"))
    finally:
        store.close()


def test_broken_loss_comes_back_where_the_run_broke(store: RunStore) -> None:
    log = recorded(store, "run")
    log.publish("model1", running("model1", loss=math.nan), [*points(1, 9), Point(10, 0.1, 0.1, math.nan, 0.1)])
    store.save()
    shown = store.run("run").view()[1]["model1"]
    assert shown["points"]["loss"][-1] is None
    assert shown["points"]["step"][-1] == 10
    assert shown["loss"] is None


def test_runs_come_newest_first_with_what_differs(store: RunStore) -> None:
    assert store.runs() == []
    for run in ("20260101-000000-aaaa", "20260103-000000-aaaa", "20260102-000000-aaaa"):
        recorded(store, run)
    runs = store.runs()
    assert [run["id"] for run in runs] == ["20260103-000000-aaaa", "20260102-000000-aaaa", "20260101-000000-aaaa"]
    for run in runs:
        assert run["differing"] == ["optimizer", "learning_rate"]
        assert list(run["models"]) == ["model1", "model2"]
        assert run["models"]["model2"]["config"] == CONFIGS["model2"].model_dump(mode="json")
        assert run["started"][:2] == "20"
        assert run["started"].endswith("+00:00")
    json.dumps(runs, allow_nan=False)


def test_history_counts_differing_settings_as_the_verdict_does(store: RunStore) -> None:
    configs = {"model1": quick(kernels=(4, 8)), "model2": quick(kernels=(4, 8, 8))}
    store.record("run", MetricsLog(MODEL_NAMES, keep_unsaved=True), configs, {})
    assert [run["differing"] for run in store.runs()] == [["kernels"]]


def test_next_run_does_not_lose_the_end_of_the_one_before(store: RunStore, history_dir: Path) -> None:
    log = recorded(store, "first")
    log.publish("model1", running("model1"), points(1, 5))
    recorded(store, "second")
    assert [row[0] for row in saved_points(history_dir)] == [1, 2, 3, 4, 5]


def test_unknown_run_is_refused(store: RunStore) -> None:
    for name in ("20260101-000000-aaaa", "", "../history", "' OR 1=1 --"):
        with pytest.raises(UnknownRun):
            store.run(name)


def test_saving_without_a_run_does_nothing(store: RunStore) -> None:
    store.save()
    assert (store.problem, store.runs()) == (None, [])


def test_readers_and_the_writer_do_not_get_in_each_others_way(store: RunStore, history_dir: Path) -> None:
    log, problems = recorded(store, "run"), list[Exception]()

    def read() -> None:
        try:
            for _ in range(30):
                store.runs()
                store.run("run")
                store.save()
        except Exception as error:
            problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for first in range(1, 1001, 10):
        log.publish("model1", running("model1"), points(first, first + 9))
    for reader in readers:
        reader.join(PATIENCE)
    store.save()
    assert problems == []
    assert [row[0] for row in saved_points(history_dir)] == list(range(1, 1001))


def test_close_saves_what_is_left_and_ends_the_writer(history_dir: Path) -> None:
    store = RunStore(history_dir)
    log = recorded(store, "run")
    log.publish("model1", running("model1"), points(1, 10))
    store.close()
    assert len(saved_points(history_dir)) == 10
    assert "store" not in [thread.name for thread in threading.enumerate()]


def test_config_of_a_run_comes_back_as_a_config(store: RunStore) -> None:
    recorded(store, "run")
    (entry,) = store.runs()
    assert {name: ModelConfig(**model["config"]) for name, model in entry["models"].items()} == CONFIGS
