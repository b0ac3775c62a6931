import json
import math
import threading
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import Batches
from history.curves import MAX_POINTS
from history.log import RECENT_STEPS, MetricsLog
from history.records import Evaluation, Event, Point, Status

RUNNING = Status("running")
EVENT = Event("paused", 4, 0.04, 0.4)


def point(step: int, loss: float = 1.0) -> Point:
    return Point(step, step / 100, step / 10, loss, 0.5)


def log_of(losses: Iterable[float], model: str = "model1") -> MetricsLog:
    log = MetricsLog(["model1", "model2"])
    for step, loss in enumerate(losses, 1):
        log.publish(model, RUNNING, [point(step, loss)])
    log.publish(model, RUNNING, flush=True)
    return log


def shown(log: MetricsLog, cursor: int = 0, model: str = "model1") -> list[int]:
    """Return the steps of the points that a reader with a cursor gets."""
    return log.view(cursor)[1].get(model, {"points": {"step": []}})["points"]["step"]


def taken(log: MetricsLog) -> dict[str, list[Point]]:
    """Return the points that the store is given of each model that has changed."""
    return {model: news.points for model, news in log.take_news().items()}


# Cursor


def test_new_log_shows_every_model_idle_and_empty() -> None:
    newest, models = MetricsLog(["model1", "model2"]).view()
    assert newest == 0
    assert list(models) == ["model1", "model2"]
    for news in models.values():
        assert news["state"] == "idle"
        assert news["points"] == {"step": [], "epoch": [], "seconds": [], "loss": [], "accuracy": []}
        assert news["evaluations"] == news["points"] | {"train_accuracy": []}
        assert news["events"] == {"kind": [], "step": [], "epoch": [], "seconds": [], "detail": []}


def test_reader_at_the_newest_change_gets_nothing() -> None:
    log = log_of([1.0, 2.0])
    newest, _ = log.view()
    assert log.view(newest) == (newest, {})


def test_cursor_gives_only_what_came_after_it() -> None:
    log = log_of([1.0, 2.0])
    newest, _ = log.view()
    log.publish("model1", RUNNING, [point(3), point(4)], [Evaluation(4, 0.04, 0.4, 0.3, 0.9)], [EVENT])
    _, models = log.view(newest)
    assert list(models) == ["model1"]
    assert models["model1"]["points"]["step"] == [3, 4]
    assert models["model1"]["evaluations"]["step"] == [4]
    assert models["model1"]["events"]["kind"] == ["paused"]


def test_change_of_status_alone_is_news() -> None:
    log = log_of([1.0])
    newest, _ = log.view()
    log.publish("model2", Status("paused"))
    _, models = log.view(newest)
    assert list(models) == ["model2"]
    assert models["model2"]["state"] == "paused"
    assert models["model2"]["points"]["step"] == []


def test_every_change_gets_the_next_number() -> None:
    log = MetricsLog(["model1"])
    for expected in (1, 2, 3):
        log.publish("model1", RUNNING)
        assert log.newest == log.view()[0] == expected


def test_cursor_beyond_the_newest_change_gives_nothing() -> None:
    assert log_of([1.0]).view(10**9) == (2, {})


batches = st.lists(
    st.tuples(
        st.sampled_from(["model1", "model2"]),
        st.integers(0, 40),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
)


@given(batches)
def test_deltas_put_together_are_the_whole(batches: list[tuple[str, int, bool, bool, bool]]) -> None:
    log, cursor = MetricsLog(["model1", "model2"]), 0
    steps = {"model1": 0, "model2": 0}
    collected: dict[str, dict[str, list[int]]] = {m: {"points": [], "evaluations": [], "events": []} for m in steps}
    for model, count, evaluated, flush, read in batches:
        points = [point(steps[model] + i) for i in range(1, count + 1)]
        steps[model] += count
        evaluations = [Evaluation(steps[model], 0.1, 0.1, 0.1, 0.1)] if evaluated else []
        events = [Event("paused", steps[model], 0.1, 0.1)] if flush else []
        log.publish(model, RUNNING, points, evaluations, events, flush=flush)
        if read:
            cursor, news = log.view(cursor)
            for name, part in news.items():
                for kind, collection in collected[name].items():
                    collection += part[kind]["step"]
    _, news = log.view(cursor)
    for name, part in news.items():
        for kind, collection in collected[name].items():
            collection += part[kind]["step"]
    _, whole = log.view()
    for name, collection_of in collected.items():
        for kind, collection in collection_of.items():
            assert collection == whole[name][kind]["step"]


# Bounds


def test_history_stays_bounded_however_long_the_run() -> None:
    log = MetricsLog(["model1"])
    for first in range(1, 300_001, 100):
        log.publish("model1", RUNNING, [point(step, 1 / step) for step in range(first, first + 100)])
    log.publish("model1", RUNNING, flush=True)
    steps = shown(log)
    assert MAX_POINTS / 4 < len(steps) <= MAX_POINTS
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (1, 300_000)
    gaps = [later - earlier for earlier, later in pairwise(steps)]
    assert max(gaps) <= 300_000 / 100  # no stretch of the run without its points


# What goes out as JSON


def test_broken_numbers_go_out_as_null() -> None:
    log = MetricsLog(["model1"])
    status = Status("failed", loss=math.nan, accuracy=math.inf, eta_seconds=-math.inf, val_loss=0.5)
    log.publish("model1", status, [point(1, math.nan), point(2, math.inf)], [Evaluation(2, 0.1, 0.1, math.nan, 0.1)])
    news = log.view()[1]["model1"]
    assert (news["loss"], news["accuracy"], news["eta_seconds"], news["val_loss"]) == (None, None, None, 0.5)
    assert news["points"]["loss"] == [None, None]
    assert news["evaluations"]["loss"] == [None]
    json.dumps(news, allow_nan=False)


def test_numbers_go_out_with_six_digits_and_steps_whole() -> None:
    log = MetricsLog(["model1"])
    log.publish("model1", RUNNING, [Point(1234567, 0.123456789, 1 / 3, 2 / 3, 1.0)])
    assert log.view()[1]["model1"]["points"] == {
        "step": [1234567],
        "epoch": [0.123457],
        "seconds": [0.333333],
        "loss": [0.666667],
        "accuracy": [1.0],
    }


def test_status_holds_null_for_what_is_not_known_yet() -> None:
    known = {"state": "idle", "epoch": 0.0, "step": 0, "elapsed_seconds": 0.0, "testing": False}
    status = Status("idle").as_json()
    assert {name: value for name, value in status.items() if value is not None} == known
    assert {"error", "config", "parameters", "eta_seconds", "loss", "accuracy", "val_loss", "val_accuracy"} <= set(
        status
    )
    assert {"test_accuracy", "batches_per_second", "images_per_second"} <= set(status)


def test_evaluations_and_events_go_out_as_columns() -> None:
    log = MetricsLog(["model1"])
    evaluations = [Evaluation(1, 0.5, 1.0, 0.25, 0.75), Evaluation(2, 1.0, 2.0, 0.125, 0.875, 0.9)]
    log.publish("model1", RUNNING, [], evaluations, [EVENT])
    assert (log.evaluations("model1"), log.events("model1")) == (evaluations, [EVENT])
    news = log.view()[1]["model1"]
    assert news["evaluations"] == {
        "step": [1, 2],
        "epoch": [0.5, 1.0],
        "seconds": [1.0, 2.0],
        "loss": [0.25, 0.125],
        "accuracy": [0.75, 0.875],
        "train_accuracy": [None, 0.9],
    }
    assert news["events"] == {"kind": ["paused"], "step": [4], "epoch": [0.04], "seconds": [0.4], "detail": [None]}


def test_unknown_model_is_our_own_mistake() -> None:
    with pytest.raises(KeyError, match="model3"):
        MetricsLog(["model1"]).publish("model3", RUNNING)


# What waits for the store


def test_unsaved_points_come_once_and_at_full_resolution() -> None:
    log = MetricsLog(["model1", "model2"], keep_unsaved=True)
    points = [point(step) for step in range(1, 10_001)]
    log.publish("model1", RUNNING, points)
    assert taken(log) == {"model1": points}
    assert taken(log) == {}
    log.publish("model2", RUNNING, points[:1])
    assert taken(log) == {"model2": points[:1]}


def test_log_that_nobody_saves_keeps_nothing_for_the_store() -> None:
    assert taken(log_of([1.0, 2.0])) == {"model1": []}


# Threads


def test_readers_beside_two_trainers_miss_nothing_and_see_nothing_twice() -> None:
    log = MetricsLog(["model1", "model2"], keep_unsaved=True)
    count, writers_left = 900, threading.Semaphore(0)  # so few that no bucket widens: the whole is every point
    problems: list[Any] = []

    def write(model: str) -> None:
        for step in range(1, count + 1):
            log.publish(model, Status("running", step=step), [point(step)], [Evaluation(step, 0, 0, 0, 0)])
        writers_left.release()

    def read() -> None:
        cursor, seen = 0, {"model1": [0], "model2": [0]}
        done = False
        while not done:
            done = writers_left.acquire(blocking=False) and writers_left.acquire()
            cursor, news = log.view(cursor)
            for model, part in news.items():
                seen[model] += part["points"]["step"]
                if part["evaluations"]["step"] != part["points"]["step"] or part["step"] != seen[model][-1]:
                    problems.append(part)
        if seen != {"model1": list(range(count + 1)), "model2": list(range(count + 1))}:
            problems.append(seen)

    saved: dict[str, list[Point]] = {"model1": [], "model2": []}
    stop_saving = threading.Event()

    def save() -> None:
        last = False
        while not last:
            last = stop_saving.is_set()
            for model, points in taken(log).items():
                saved[model] += points

    threads = [threading.Thread(target=write, args=(model,)) for model in saved] + [threading.Thread(target=read)]
    saver = threading.Thread(target=save)
    for thread in [*threads, saver]:
        thread.start()
    for thread in threads:
        thread.join(60)
    stop_saving.set()
    saver.join(60)
    assert not any(thread.is_alive() for thread in [*threads, saver])
    assert problems == []
    assert [[one.step for one in points] for points in saved.values()] == [list(range(1, count + 1))] * 2


# The recent losses, not thinned


def test_recent_losses_are_every_one_of_the_last_epoch() -> None:
    log, status = MetricsLog(["model1", "model2"]), Status("running", steps_per_epoch=4_000)
    for first in range(1, 9_001, 30):
        log.publish("model1", status, [point(step, float(step)) for step in range(first, first + 30)])
    assert log.recent("model1")[:2] == (9_000, [float(step) for step in range(5_001, 9_001)])
    assert len(shown(log)) < 4_000  # while the curve is thinned
    assert log.recent("model2") == (0, [], ())


def test_recent_losses_are_bounded_before_the_length_of_an_epoch_is_known() -> None:
    log = MetricsLog(["model1"])
    log.publish("model1", RUNNING, [point(step) for step in range(1, RECENT_STEPS + 11)])
    step, losses, _ = log.recent("model1")
    assert (step, len(losses)) == (RECENT_STEPS + 10, RECENT_STEPS)


def test_recent_losses_are_a_copy() -> None:
    log = log_of([1.0, 2.0])
    log.recent("model1").losses.clear()
    assert log.recent("model1")[:2] == (2, [1.0, 2.0])


def epoch_points(losses: list[float], batches: Batches, first: int = 1) -> list[Point]:
    return [Point(step, batches.epoch(step), 0.1 * step, loss, 0.5) for step, loss in enumerate(losses, first)]


def test_epoch_means_weigh_each_batch_by_its_images() -> None:
    log, batches = MetricsLog(["model1"]), Batches(10, 4)  # 4, 4 and 2 images
    losses = [1.0, 2.0, 6.0, 3.0, 3.0, 9.0, 5.0, 5.0, 5.0, 7.0]
    for number, one in enumerate(epoch_points(losses, batches), 1):
        log.publish("model1", RUNNING, [one])
        means = [2.4, 4.2, 5.0][max(0, number // 3 - 2) : number // 3]
        assert log.recent("model1").epoch_means == pytest.approx(means)


@pytest.mark.parametrize("missing", [{2}, {3}, {1, 2, 3}, {3, 4}])
def test_epoch_with_missing_steps_has_no_mean(missing: set[int]) -> None:
    log, batches = MetricsLog(["model1"]), Batches(12, 4)
    for one in epoch_points([1.0] * 9, batches):
        if one.step not in missing:
            log.publish("model1", RUNNING, [one])
        if one.step == 6:
            assert not all(map(math.isfinite, log.recent("model1").epoch_means))
    assert log.recent("model1").epoch_means[-1] == pytest.approx(1)


def test_summary_is_the_view_without_the_points() -> None:
    log = log_of([1.0, math.nan])
    log.publish("model1", Status("failed", loss=math.nan), [], [Evaluation(2, 0.02, 0.2, math.nan, 0.9)])
    view = log.view()[1]["model1"]
    assert log.summary("model1") == {key: view[key] for key in view if key not in ("points", "events")}
