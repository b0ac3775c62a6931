import threading
import time
from typing import Any

import pytest
import torch
from helpers import PATIENCE, FullLog, quick, train, trainer_alone

import train as train_module
from config import ModelConfig
from history.states import IllegalTransition
from training.images import FashionMNIST

pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")


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


def test_warm_up_changes_nothing_of_the_run_after_it(small_fashion_mnist: FashionMNIST) -> None:
    reference = measured(alone(small_fashion_mnist, quick()))
    train_module.warm_up(small_fashion_mnist)
    assert measured(alone(small_fashion_mnist, quick())) == reference
