import json
import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import DIVERGING, quick, train, trainer_alone

import train as train_module
from config import ModelConfig
from training.engine import Engine
from training.images import FashionMNIST

pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")


def test_loss_that_is_lost_when_a_stop_comes_is_told(
    small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.gauges.Gauges.look_is_due", lambda gauges: False)  # the loss is read once it is over
    trainer, log = trainer_alone(small_fashion_mnist, DIVERGING.model_copy(update={"epochs": 50, "batch_size": 16}))
    take_step = Engine.train_step

    def stop_after_eight(engine: Engine) -> None:
        take_step(engine)
        if engine.step == 8:
            trainer.stop()

    monkeypatch.setattr(Engine, "train_step", stop_after_eight)
    trainer.start()
    trainer.join(60)
    status = log.status("model1")
    assert status.state == "failed"
    assert status.error is not None and status.error.startswith("The loss became NaN at step 5 ")


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
