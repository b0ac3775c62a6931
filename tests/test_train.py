import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from helpers import CPU, PATIENCE, FullLog, endless, quick, train, trainer_alone, wait_for

import train as train_module
from config import ModelConfig
from history.log import MetricsLog
from history.states import IllegalTransition
from train import Comparison
from training.engine import Engine, Examination
from training.images import FashionMNIST, Split

pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")


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
    running.end()
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
        assert status.test_accuracy is not None


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


@pytest.mark.parametrize(
    ("commands", "state"),
    [(["stop"], "finished"), (["pause"], "finished"), (["stop", "stop"], "stopped"), (["end"], "stopped")],
)
def test_command_during_the_final_test_is_obeyed_or_overtaken(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch, commands: list[str], state: str
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
    assert log.status("model1").testing
    for command in commands:
        getattr(trainer, command)()
    go_on.set()
    trainer.join(PATIENCE)
    assert not trainer.is_alive()
    status = log.status("model1")
    assert (status.state, status.test_accuracy is None, status.testing) == (state, state == "stopped", False)


# What surrounds a run


def test_comparison_without_a_log_makes_its_own(small_fashion_mnist: FashionMNIST) -> None:
    comparison = Comparison({"model1": quick()}, small_fashion_mnist, device=CPU)
    assert isinstance(comparison.metrics, MetricsLog)
    assert comparison.join(0)  # nothing was started, so nothing is waited for
    assert comparison.metrics.status("model1").config == quick().model_dump(mode="json")
