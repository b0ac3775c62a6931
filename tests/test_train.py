import json
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from helpers import CPU, PATIENCE, FullLog, endless, quick, train, trainer_alone, wait_for
from hypothesis import given
from hypothesis import strategies as st

import train as train_module
from config import ModelConfig
from data import TRAINING_SAMPLE
from history import records
from history.log import MetricsLog
from history.states import ACTIVE_STATES, LEGAL_MOVES, IllegalTransition
from train import Comparison, ModelTrainer
from training.engine import Engine, Examination
from training.gauges import RUNNING_WINDOW, RunningAccuracy, Speedometer, Stopwatch
from training.images import FashionMNIST, Split
from training.schedule import evaluation_steps

PATHS = {
    "idle": (),
    "running": ("running",),
    "paused": ("running", "paused"),
    "finished": ("running", "finished"),
    "stopped": ("running", "stopped"),
    "failed": ("running", "failed"),
}
DIVERGING = quick(optimizer="sgd", learning_rate=10.0, dropout=0.0)  # NaN after some ten steps


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if isinstance(thread, ModelTrainer)] == []


@pytest.fixture
def running(small_fashion_mnist: FashionMNIST) -> Iterator[Comparison]:
    """Two quick trainers that have both taken some steps and go on until they are stopped."""
    comparison = compare(small_fashion_mnist, model1=endless(), model2=endless(seed=1))
    comparison.start()
    wait_for(lambda: all(steps(comparison, model) > 10 for model in comparison.trainers), "training")
    yield comparison
    if comparison.active:
        comparison.stop()
    assert comparison.join(PATIENCE)


def compare(dataset: FashionMNIST, **configs: ModelConfig) -> Comparison:
    return Comparison(configs, dataset, device=CPU, metrics=FullLog(configs))


def steps(comparison: Comparison, model: str) -> int:
    return comparison.metrics.status(model).step


def states(comparison: Comparison) -> dict[str, str]:
    shown = {name: comparison.metrics.status(name).state for name in comparison.trainers}
    assert shown == {name: trainer.state for name, trainer in comparison.trainers.items()}
    return shown


def goes_on(comparison: Comparison, model: str) -> bool:
    """Wait for some more steps of a model."""
    before = steps(comparison, model)
    wait_for(lambda: steps(comparison, model) > before + 5, f"progress of {model}")
    return True


# The table of moves


def trainer_in(state: str, dataset: FashionMNIST) -> ModelTrainer:
    trainer, _ = trainer_alone(dataset, quick())
    for step in PATHS[state]:
        trainer.life.move_to(step)
    return trainer


@pytest.mark.parametrize(("state", "wanted"), [(state, wanted) for state in LEGAL_MOVES for wanted in LEGAL_MOVES])
def test_only_the_moves_in_the_table_are_made(small_fashion_mnist: FashionMNIST, state: str, wanted: str) -> None:
    trainer = trainer_in(state, small_fashion_mnist)
    if wanted in LEGAL_MOVES[state]:
        trainer.life.move_to(wanted)
        assert trainer.state == wanted
    else:
        with pytest.raises(IllegalTransition, match=f"^model1 is {state} and cannot become {wanted}: only one that is"):
            trainer.life.move_to(wanted)
        assert trainer.state == state


def test_table_is_that_of_the_design() -> None:
    moves = {(state, wanted) for state, all_wanted in LEGAL_MOVES.items() for wanted in all_wanted}
    over = {"finished", "stopped", "failed"}
    assert moves == (
        {("idle", "running"), ("running", "paused"), ("paused", "running")}
        | {("running", end) for end in over}
        | {("paused", end) for end in over}
    )


@pytest.mark.parametrize(
    ("state", "command", "message"),
    [
        *(
            (state, "start", f"{state} and cannot become running: only one that is idle can")
            for state in LEGAL_MOVES
            if state != "idle"
        ),
        *(
            (state, "pause", f"{state} and cannot become paused: only one that is running can")
            for state in LEGAL_MOVES
            if state != "running"
        ),
        *(
            (state, "resume", f"{state} and cannot become running: only one that is paused can")
            for state in LEGAL_MOVES
            if state != "paused"
        ),
        *(
            (state, "stop", f"{state} and cannot become stopped: only one that is running or paused can")
            for state in LEGAL_MOVES
            if state not in ACTIVE_STATES
        ),
    ],
)
def test_illegal_command_is_refused(small_fashion_mnist: FashionMNIST, state: str, command: str, message: str) -> None:
    trainer = trainer_in(state, small_fashion_mnist)
    with pytest.raises(IllegalTransition, match=f"^model1 is {message}$"):
        getattr(trainer, command)()
    assert trainer.state == state


def test_every_move_is_published(small_fashion_mnist: FashionMNIST) -> None:
    trainer, log = trainer_alone(small_fashion_mnist, quick())
    for state in ("running", "paused", "running", "stopped"):
        trainer.life.move_to(state)
        assert log.status("model1").state == state


# The life of a comparison


def test_status_before_the_start_is_idle_and_shows_the_settings(small_fashion_mnist: FashionMNIST) -> None:
    comparison = compare(small_fashion_mnist, model1=quick(seed=1), model2=quick(seed=2))
    assert states(comparison) == {"model1": "idle", "model2": "idle"}
    assert not comparison.active
    for model, seed in (("model1", 1), ("model2", 2)):
        status = comparison.metrics.status(model)
        assert status.config == quick(seed=seed).model_dump(mode="json")
        assert (status.step, status.epoch, status.elapsed_seconds, status.loss) == (0, 0.0, 0.0, None)


def test_both_run_pause_resume_and_stop(running: Comparison) -> None:
    assert states(running) == {"model1": "running", "model2": "running"}
    running.pause()
    assert states(running) == {"model1": "paused", "model2": "paused"}
    running.resume()
    assert states(running) == {"model1": "running", "model2": "running"}
    assert goes_on(running, "model1")
    assert goes_on(running, "model2")
    running.stop()
    assert running.join(PATIENCE)
    assert states(running) == {"model1": "stopped", "model2": "stopped"}
    assert not running.active


def test_run_to_the_end_is_finished_and_tested(small_fashion_mnist: FashionMNIST) -> None:
    log = train(small_fashion_mnist, model1=quick(epochs=2), model2=quick(batch_size=100))
    for model, epochs, total in (("model1", 2, 32), ("model2", 1, 11)):
        status = log.status(model)
        assert (status.state, status.error) == ("finished", None)
        assert (status.step, status.total_steps, status.epoch) == (total, total, float(epochs))
        assert status.eta_seconds == 0
        assert status.test_accuracy is not None
        assert 0 <= status.test_accuracy <= 1
        assert status.loss == log.all_points[model][-1].loss
        assert status.accuracy == log.all_points[model][-1].accuracy
        last = log.evaluations(model)[-1]
        assert (status.val_loss, status.val_accuracy) == (last.loss, last.accuracy)


def test_every_change_of_state_is_an_event_with_its_place_in_the_run(running: Comparison) -> None:
    running.pause("model1")
    wait_for(lambda: running.metrics.status("model1").elapsed_seconds > 0, "status")
    running.resume("model1")
    assert goes_on(running, "model1")
    running.stop()
    assert running.join(PATIENCE)
    events = running.metrics.events("model1")
    assert [event.kind for event in events] == ["running", "paused", "running", "stopped"]
    assert [event.kind for event in running.metrics.events("model2")] == ["running", "stopped"]
    assert (events[0].step, events[0].epoch, events[0].seconds) == (0, 0.0, 0.0)
    for earlier, later in pairwise(events):
        assert earlier.step <= later.step
        assert earlier.epoch <= later.epoch
        assert earlier.seconds <= later.seconds
    assert events[-1].step > 10


def test_status_tells_what_is_being_trained(running: Comparison) -> None:
    status = running.metrics.status("model1")
    assert status.parameters == sum(p.numel() for p in Engine(endless(), EMPTY, CPU).model.parameters())
    assert (status.precision, status.steps_per_epoch, status.total_steps) == ("float32", 64, 32_000)
    wait_for(lambda: running.metrics.status("model1").batches_per_second is not None, "speed")
    status = running.metrics.status("model1")
    assert status.images_per_second == pytest.approx(16 * (status.batches_per_second or 0))
    assert status.eta_seconds is not None
    assert status.eta_seconds == pytest.approx(status.elapsed_seconds * (32_000 - status.step) / status.step, rel=0.2)


NOTHING = Split(torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
EMPTY = FashionMNIST(NOTHING, NOTHING, NOTHING)


def test_pause_of_one_leaves_the_other_running(running: Comparison) -> None:
    running.pause("model1")
    assert states(running) == {"model1": "paused", "model2": "running"}
    assert goes_on(running, "model2")
    held_at = steps(running, "model1")
    assert goes_on(running, "model2")
    assert steps(running, "model1") == held_at
    running.resume("model1")
    assert goes_on(running, "model1")


def test_stop_of_one_leaves_the_other_running(running: Comparison) -> None:
    running.stop("model2")
    running.trainers["model2"].join(PATIENCE)
    assert states(running) == {"model1": "running", "model2": "stopped"}
    assert running.active
    assert goes_on(running, "model1")


def test_stop_while_paused_ends_the_run(running: Comparison) -> None:
    running.pause()
    running.stop()
    assert running.join(PATIENCE)
    assert states(running) == {"model1": "stopped", "model2": "stopped"}


def test_command_to_both_reaches_the_one_that_admits_it(running: Comparison) -> None:
    running.pause("model1")
    running.pause()
    assert states(running) == {"model1": "paused", "model2": "paused"}
    running.resume("model2")
    running.resume()
    assert states(running) == {"model1": "running", "model2": "running"}


def test_command_to_both_is_refused_where_neither_admits_it(running: Comparison) -> None:
    with pytest.raises(IllegalTransition, match="model1 is running and cannot become running: only one that is paused"):
        running.resume()
    running.stop()
    with pytest.raises(IllegalTransition, match="model1 is stopped and cannot become paused"):
        running.pause()
    with pytest.raises(IllegalTransition, match="model2 is stopped and cannot become stopped"):
        running.stop("model2")


def test_stopped_run_keeps_what_it_measured(running: Comparison) -> None:
    running.stop()
    assert running.join(PATIENCE)
    for model in running.trainers:
        status, log = running.metrics.status(model), running.metrics
        assert isinstance(log, FullLog)
        assert [point.step for point in log.all_points[model]] == list(range(1, status.step + 1))
        assert log.view()[1][model]["points"]["step"][-1] == status.step  # also a half-filled bucket
        assert status.test_accuracy is None


def test_pause_shows_the_last_step_before_it(running: Comparison) -> None:
    running.pause()

    def all_is_shown() -> bool:
        shown = running.metrics.view()[1]
        return all(shown[model]["points"]["step"][-1] == shown[model]["step"] for model in shown)

    wait_for(all_is_shown, "last step on the chart")


def test_storm_of_commands_is_legal_or_refused_and_leaves_no_thread(small_fashion_mnist: FashionMNIST) -> None:
    comparison = compare(small_fashion_mnist, model1=endless(), model2=endless(seed=1))
    comparison.start()
    unexpected: list[Exception] = []

    def storm(commands: list[tuple[str, str | None]]) -> None:
        for command, model in commands * 100:
            try:
                getattr(comparison, command)(model)
            except IllegalTransition:
                pass
            except Exception as error:
                unexpected.append(error)

    orders: list[list[tuple[str, str | None]]] = [
        [("pause", None), ("resume", None)],
        [("resume", "model1"), ("pause", "model2")],
        [("pause", "model1"), ("resume", "model2")],
        [("resume", None), ("pause", "model1")],
    ]
    storms = [threading.Thread(target=storm, args=(order,)) for order in orders]
    for thread in storms:
        thread.start()
    for thread in storms:
        thread.join(PATIENCE)
    assert unexpected == []
    for model in comparison.trainers:
        if comparison.trainers[model].state == "paused":
            comparison.resume(model)
    assert goes_on(comparison, "model1")  # whatever came before, a running trainer runs
    assert goes_on(comparison, "model2")
    comparison.stop()
    assert comparison.join(PATIENCE)


def test_stop_in_the_midst_of_a_pause_is_not_lost(small_fashion_mnist: FashionMNIST) -> None:
    """pause changes a state and an event; a stop between the two must not leave the trainer waiting."""
    trainer, log = trainer_alone(small_fashion_mnist, endless())
    stopping = threading.Thread(target=trainer.stop)

    class Gate(threading.Event):
        waited_for = threading.Event()
        cleared = threading.Event()

        def wait(self, timeout: float | None = None) -> bool:
            self.waited_for.set()
            self.cleared.wait(PATIENCE)
            return super().wait(timeout)

        def clear(self) -> None:
            self.waited_for.wait(0.5)  # give the others every chance to slip in between
            stopping.start()
            stopping.join(0.5)
            super().clear()
            self.cleared.set()

    trainer.life.may_train = Gate()
    trainer.start()
    wait_for(lambda: log.status("model1").step > 0, "training")
    trainer.pause()
    stopping.join(PATIENCE)
    trainer.join(5)
    hangs = trainer.is_alive()
    trainer.life.may_train.set()  # so that the thread ends in any case
    trainer.join(PATIENCE)
    assert not hangs


# Building, and the start line


class Hold:
    """Stands in for the Engine: holds the building of chosen models until released."""

    def __init__(self, *seeds: int) -> None:
        self.released = threading.Event()
        self.reached = threading.Event()
        self._seeds = seeds

    def __call__(self, config: ModelConfig, *rest: Any) -> Engine:
        if config.seed in self._seeds:
            self.reached.set()
            assert self.released.wait(PATIENCE)
        return Engine(config, *rest)


def test_trainers_wait_for_each_other_at_the_start(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Hold(1)
    monkeypatch.setattr(train_module, "Engine", slow)
    comparison = compare(small_fashion_mnist, model1=quick(), model2=quick(seed=1))
    comparison.start()
    wait_for(lambda: comparison.metrics.status("model1").parameters is not None, "built model")
    assert slow.reached.wait(PATIENCE)
    assert steps(comparison, "model1") == 0
    slow.released.set()
    assert comparison.join(PATIENCE)
    assert states(comparison) == {"model1": "finished", "model2": "finished"}
    first = [comparison.metrics.view()[1][model]["points"]["seconds"][0] for model in comparison.trainers]
    assert max(first) < PATIENCE / 2  # the clock starts at the line, not while another is built


@pytest.mark.parametrize("commands", [["stop"], ["pause", "stop"], ["pause", "resume", "stop"]])
def test_stop_while_a_model_is_built_ends_the_run_before_its_first_step(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch, commands: list[str]
) -> None:
    slow = Hold(0, 1)
    monkeypatch.setattr(train_module, "Engine", slow)
    comparison = compare(small_fashion_mnist, model1=quick(), model2=quick(seed=1))
    comparison.start()
    assert slow.reached.wait(PATIENCE)
    for command in commands:
        getattr(comparison, command)()
    slow.released.set()
    assert comparison.join(PATIENCE)
    assert states(comparison) == {"model1": "stopped", "model2": "stopped"}
    assert [steps(comparison, model) for model in comparison.trainers] == [0, 0]


@pytest.mark.parametrize("cores", [1, 2, 3, 16])
def test_cores_are_shared_out_between_the_trainers(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    used: list[int] = []

    def building(*arguments: Any) -> Engine:
        used.append(torch.get_num_threads())
        return Engine(*arguments)

    monkeypatch.setattr(train_module, "available_cores", lambda: cores)
    monkeypatch.setattr(train_module, "Engine", building)
    before = torch.get_num_threads()
    log = train(small_fashion_mnist, model1=quick(batch_size=1024), model2=quick(batch_size=1024))
    assert used == [max(1, cores // 2)] * 2
    assert [log.status(model).threads for model in log.models] == used
    assert torch.get_num_threads() == before  # each thread has its own number


# Failures


def test_diverging_model_fails_with_step_and_hint_and_the_other_finishes(small_fashion_mnist: FashionMNIST) -> None:
    log = train(small_fashion_mnist, model1=DIVERGING, model2=quick())
    failed = log.status("model1")
    assert failed.state == "failed"
    broken = next(point for point in log.all_points["model1"] if not math.isfinite(point.loss))
    assert failed.error == (
        f"The loss became NaN at step {broken.step} (epoch {broken.epoch:.2f}): the updates were too large. "
        "Start again with a lower learning rate, 1 for example."
    )
    assert failed.eta_seconds is None
    assert (failed.step, log.all_points["model1"][-1]) == (broken.step, broken)  # what came after means nothing
    shown = log.view()[1]["model1"]
    assert None in shown["points"]["loss"]  # marked on the chart
    json.dumps(shown, allow_nan=False)
    assert (log.status("model2").state, len(log.losses("model2"))) == ("finished", 16)


def failing(seed: int, error: Exception) -> Callable[..., Engine]:
    def build(config: ModelConfig, *rest: Any) -> Engine:
        if config.seed == seed:
            raise error
        return Engine(config, *rest)

    return build


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("no such thing\nsecond line"), "ValueError: no such thing"),
        (RuntimeError(), "RuntimeError: no message"),
        (MemoryError(), "Out of memory. Start again with a smaller batch size or fewer kernels."),
        (torch.OutOfMemoryError("CUDA out of memory"), "Out of memory. Start again with a smaller batch size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "Out of memory. Start again with"),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, Exception) else "",
)
def test_failure_while_building_one_model_leaves_the_other_to_finish(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    monkeypatch.setattr(train_module, "Engine", failing(1, error))
    log = train(small_fashion_mnist, model1=quick(seed=1), model2=quick())
    assert log.status("model1").state == "failed"
    assert (log.status("model1").error or "").startswith(message)
    assert log.status("model2").state == "finished"


def test_failure_while_building_both_ends_both(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "Engine", failing(0, ValueError("broken")))
    log = train(small_fashion_mnist, model1=quick(), model2=quick())
    assert [log.status(model).state for model in log.models] == ["failed", "failed"]


def test_failure_in_the_midst_keeps_what_was_measured_and_logs_the_traceback(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Fragile(Engine):
        def train_step(self) -> None:
            if self.config.seed == 1 and self.step == 5:
                raise OSError("the cable came loose")
            super().train_step()

    monkeypatch.setattr(train_module, "Engine", Fragile)
    with caplog.at_level(logging.ERROR):
        log = train(small_fashion_mnist, model1=quick(seed=1), model2=quick())
    assert (log.status("model1").state, log.status("model1").error) == ("failed", "OSError: the cable came loose")
    assert log.status("model2").state == "finished"
    assert "Traceback" in caplog.text
    assert "in train_step" in caplog.text


def test_failure_after_a_stop_stays_a_stop(small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Hold(0)

    def build(*arguments: Any) -> Engine:
        slow(*arguments)
        raise ValueError("too late")

    monkeypatch.setattr(train_module, "Engine", build)
    trainer, log = trainer_alone(small_fashion_mnist, quick())
    trainer.start()
    assert slow.reached.wait(PATIENCE)
    trainer.stop()
    slow.released.set()
    trainer.join(PATIENCE)
    assert (log.status("model1").state, log.status("model1").error) == ("stopped", None)


@pytest.mark.parametrize("command", ["stop", "pause"])
def test_command_during_the_final_test_is_obeyed_or_overtaken(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    testing, go_on = threading.Event(), threading.Event()

    class SlowTest(Engine):
        def evaluate(self, split: Split) -> Examination:
            if split is self.data.test:
                testing.set()
                assert go_on.wait(PATIENCE)
            return super().evaluate(split)

    monkeypatch.setattr(train_module, "Engine", SlowTest)
    trainer, log = trainer_alone(small_fashion_mnist, quick())
    trainer.start()
    assert testing.wait(PATIENCE)
    getattr(trainer, command)()
    go_on.set()
    trainer.join(PATIENCE)
    assert not trainer.is_alive()
    status = log.status("model1")
    expected = ("stopped", True) if command == "stop" else ("finished", False)
    assert (status.state, status.test_accuracy is None) == expected


# What is measured


def test_every_batch_gives_a_point(small_fashion_mnist: FashionMNIST) -> None:
    log = train(small_fashion_mnist, model1=quick(epochs=3, batch_size=100), model2=quick(epochs=2))
    for model, total, images, size in (("model1", 33, 1024, 100), ("model2", 32, 1024, 64)):
        points = log.all_points[model]
        per_epoch = math.ceil(images / size)
        assert [point.step for point in points] == list(range(1, total + 1))
        assert [point.epoch for point in points] == [
            (step // per_epoch) + min(step % per_epoch * size, images) / images for step in range(1, total + 1)
        ]
        assert [point.seconds for point in points] == sorted(point.seconds for point in points)
        assert all(math.isfinite(point.loss) and 0 <= point.accuracy <= 1 for point in points)
        assert log.view()[1][model]["points"]["step"] == list(range(1, total + 1))


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


@pytest.mark.parametrize(
    ("per_epoch", "epochs", "after"),
    [(860, 2, {215, 860, 1720}), (7, 1, {2, 7}), (4, 3, {1, 4, 8, 12}), (3, 2, {1, 3, 6}), (1, 2, {1, 2})],
)
def test_validation_comes_early_in_the_first_epoch_and_at_each_end(
    per_epoch: int, epochs: int, after: set[int]
) -> None:
    assert evaluation_steps(per_epoch, epochs) == after


@given(st.integers(1, 55_000), st.integers(1, 500))
def test_validation_never_comes_less_often(per_epoch: int, epochs: int) -> None:
    after = evaluation_steps(per_epoch, epochs)
    assert {per_epoch * epoch for epoch in range(1, epochs + 1)} <= after
    assert 1 <= min(after) <= max(1, per_epoch / 4 + 1)
    assert max(after) == per_epoch * epochs


def test_evaluations_are_published_where_they_belong(small_fashion_mnist: FashionMNIST) -> None:
    log = train(small_fashion_mnist, model1=quick(epochs=3), model2=quick(epochs=2, batch_size=1024))
    first = log.evaluations("model1")
    assert [evaluation.step for evaluation in first] == [4, 16, 32, 48]
    assert [evaluation.epoch for evaluation in first] == [0.25, 1.0, 2.0, 3.0]
    assert [evaluation.seconds for evaluation in first] == sorted(evaluation.seconds for evaluation in first)
    assert [evaluation.step for evaluation in log.evaluations("model2")] == [1, 2]


def test_training_accuracy_in_eval_mode_is_measured_at_the_end_of_each_epoch(small_fashion_mnist: FashionMNIST) -> None:
    log = train(small_fashion_mnist, model1=quick(epochs=2))
    accuracies = [evaluation.train_accuracy for evaluation in log.evaluations("model1")]
    assert accuracies[0] is None
    assert len(accuracies) == 3
    assert all(accuracy is not None and 0 <= accuracy <= 1 for accuracy in accuracies[1:])


def test_training_accuracy_is_measured_over_a_sample(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Watched(Engine):
        def evaluate(self, split: Split) -> Examination:
            sizes.append(len(split))
            return super().evaluate(split)

    monkeypatch.setattr(train_module, "Engine", Watched)
    dataset = replace(small_fashion_mnist, test=small_fashion_mnist.test.first(100))
    train(dataset, model1=quick(batch_size=1024))
    assert sizes == [256, TRAINING_SAMPLE, 100]  # validation, training images, test


def test_seconds_leave_out_pauses(small_fashion_mnist: FashionMNIST) -> None:
    trainer, log = trainer_alone(small_fashion_mnist, endless())
    begun = time.monotonic()
    trainer.start()
    wait_for(lambda: log.status("model1").step > 10, "training")
    trainer.pause()
    paused = time.monotonic()
    wait_for(lambda: time.monotonic() > paused + 1.5, "pause")  # a length of time, not a meeting point
    trainer.resume()
    before = log.status("model1").step
    wait_for(lambda: log.status("model1").step > before + 10, "progress")
    trainer.stop()
    trainer.join(PATIENCE)
    wall = time.monotonic() - begun
    assert 0 < log.status("model1").elapsed_seconds < wall - 1.0
    assert log.all_points["model1"][-1].seconds < wall - 1.0
    seconds = [point.seconds for point in log.all_points["model1"]]
    assert seconds == sorted(seconds)


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


# Repeatability


REPEATED = {
    "quick": quick(epochs=2),
    "all that is random": quick(epochs=2, augment="flip_shift", batch_norm=True, schedule="one_cycle", optimizer="sgd"),
    "default, in the machine's own precision": ModelConfig(batch_size=128, epochs=1),
}
each_repeated = pytest.mark.parametrize("config", REPEATED.values(), ids=REPEATED)


def alone(dataset: FashionMNIST, config: ModelConfig) -> FullLog:
    trainer, log = trainer_alone(dataset, config)
    trainer.start()
    trainer.join(PATIENCE)
    assert log.status("model1").state == "finished"
    return log


def measured(log: FullLog, model: str = "model1") -> tuple[Any, ...]:
    """Return all that a run has measured, without what depends on the clock."""
    status = log.status(model)
    return (
        [(point.step, point.epoch, point.loss, point.accuracy) for point in log.all_points[model]],
        [(e.step, e.epoch, e.loss, e.accuracy, e.train_accuracy) for e in log.evaluations(model)],
        status.test_accuracy,
    )


@each_repeated
def test_same_settings_give_the_same_numbers_alone_and_beside_another_model(
    small_fashion_mnist: FashionMNIST, config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "available_cores", lambda: 2)  # one thread each, as alone
    reference = measured(alone(small_fashion_mnist, config))
    assert measured(alone(small_fashion_mnist, config)) == reference
    other = quick(seed=9, optimizer="rmsprop", batch_size=50, epochs=3)
    assert measured(train(small_fashion_mnist, model1=config, model2=other)) == reference
    assert measured(train(small_fashion_mnist, model1=other, model2=config), "model2") == reference


@each_repeated
def test_pause_and_resume_change_no_number(small_fashion_mnist: FashionMNIST, config: ModelConfig) -> None:
    reference = measured(alone(small_fashion_mnist, config))
    trainer, log = trainer_alone(small_fashion_mnist, config)
    trainer.start()
    pauses = 0
    while trainer.is_alive():
        try:
            trainer.pause()
            pauses += 1
            trainer.resume()
        except IllegalTransition:  # it has come to its end
            break
    trainer.join(PATIENCE)
    assert pauses > 0
    assert measured(log) == reference


def test_state_of_the_global_generator_changes_no_number(small_fashion_mnist: FashionMNIST) -> None:
    reference = measured(alone(small_fashion_mnist, REPEATED["all that is random"]))
    disturbing = threading.Event()

    def disturb() -> None:
        while not disturbing.is_set():
            torch.manual_seed(time.monotonic_ns())
            torch.rand(10)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        assert measured(alone(small_fashion_mnist, REPEATED["all that is random"])) == reference
    finally:
        disturbing.set()
        disturber.join(PATIENCE)


def test_another_seed_gives_other_numbers(small_fashion_mnist: FashionMNIST) -> None:
    log = train(small_fashion_mnist, model1=quick(), model2=quick(seed=1))
    assert log.losses("model1") != log.losses("model2")


def test_equal_models_side_by_side_measure_the_same(small_fashion_mnist: FashionMNIST) -> None:
    log = train(small_fashion_mnist, model1=quick(), model2=quick())
    assert measured(log, "model1") == measured(log, "model2")


# Truth


def test_both_models_learn_real_data(fashion_mnist: FashionMNIST) -> None:
    """10,000 real images, two epochs: far more than the 0.1 of guessing, in a few seconds."""
    real = fashion_mnist
    dataset = FashionMNIST(real.train.first(10_000), real.validation.first(2_000), real.test.first(2_000))
    config = ModelConfig(epochs=2, batch_size=32)
    log = train(dataset, model1=config, model2=config.model_copy(update={"kernels": (16, 32, 64, 128)}))
    for model in log.models:
        first, *_, last = log.evaluations(model)
        status = log.status(model)
        assert last.accuracy >= 0.78, model
        assert last.loss < first.loss, model
        assert status.test_accuracy == pytest.approx(last.accuracy, abs=0.05), model
        assert status.accuracy == pytest.approx(last.accuracy, abs=0.1), model


# What surrounds a run


def test_run_ids_are_unique_and_sort_by_time() -> None:
    ids = [records.new_run_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{8}", run) for run in ids)
    assert [run[:15] for run in ids] == sorted(run[:15] for run in ids)


def test_warm_up_changes_nothing_of_the_run_after_it(small_fashion_mnist: FashionMNIST) -> None:
    reference = measured(alone(small_fashion_mnist, quick()))
    train_module.warm_up(small_fashion_mnist)
    assert measured(alone(small_fashion_mnist, quick())) == reference


def test_comparison_without_a_log_makes_its_own(small_fashion_mnist: FashionMNIST) -> None:
    comparison = Comparison({"model1": quick()}, small_fashion_mnist, device=CPU)
    assert isinstance(comparison.metrics, MetricsLog)
    assert comparison.join(0)  # nothing was started, so nothing is waited for
    assert comparison.metrics.status("model1").config == quick().model_dump(mode="json")
