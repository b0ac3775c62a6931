import pytest
from helpers import CPU, quick, train
from hypothesis import given
from hypothesis import strategies as st

from data import RUNNING_WINDOW
from training.engine import Engine
from training.gauges import RunningAccuracy, Speedometer, Stopwatch
from training.images import FashionMNIST

pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")


def test_running_accuracy_is_that_of_the_latest_thousand_images(small_fashion_mnist: FashionMNIST) -> None:
    config = quick(epochs=2, batch_size=300)
    log = train(small_fashion_mnist, model1=config)
    engine, correct, images, expected = Engine(config, small_fashion_mnist, CPU), [], [300, 300, 300, 124] * 2, []
    for step in range(8):
        engine.train_step()
        correct.append(engine.read()[0].correct)
        first = next(i for i in range(step, -1, -1) if sum(images[i : step + 1]) >= RUNNING_WINDOW or i == 0)
        expected.append(sum(correct[first:]) / sum(images[first : step + 1]))
    assert [point.accuracy for point in log.all_points["model1"]] == pytest.approx(expected, abs=0.01)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 2000)), min_size=1, max_size=60))
def test_running_accuracy_counts_the_fewest_batches_that_fill_its_window(batches: list[tuple[int, int]]) -> None:
    running, seen = RunningAccuracy(), []
    for percent, images in batches:
        seen.append((images * percent // 100, images))
        window = next((seen[-n:] for n in range(1, len(seen)) if sum(i for _, i in seen[-n:]) >= RUNNING_WINDOW), seen)
        assert running.add(*seen[-1]) == sum(c for c, _ in window) / sum(i for _, i in window)


def test_stopwatch_counts_only_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("training.gauges.time.perf_counter", lambda: now)
    watch = Stopwatch()
    assert watch.seconds == 0
    watch.run()
    now += 3
    assert watch.seconds == 3
    watch.hold()
    now += 100
    assert watch.seconds == 3
    watch.run()
    now += 2
    assert watch.seconds == 5


def test_speed_is_the_median_of_the_last_seconds_of_training() -> None:
    speed = Speedometer()
    assert (speed.batches_per_second, speed.images_per_second) == (None, None)
    speed.note(0.0, 0, 0)
    speed.note(1.0, 10, 640)
    speed.note(2.0, 20, 1280)
    speed.note(3.0, 21, 1344)  # one slow second does not move the median
    assert (speed.batches_per_second, speed.images_per_second) == (10, 640)
    for second in range(4, 10):
        speed.note(float(second), 21 + (second - 3) * 30, 0)
    assert speed.batches_per_second == 30  # what is older than five seconds is forgotten


def test_speed_leaves_out_what_was_no_training() -> None:
    speed = Speedometer()
    speed.note(0.0, 0, 0)
    speed.note(1.0, 10, 100)
    speed.skip()
    speed.note(60.0, 11, 110)  # an evaluation of a minute
    speed.note(61.0, 21, 210)
    assert (speed.batches_per_second, speed.images_per_second) == (10, 100)
