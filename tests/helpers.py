"""What several test modules need: patience, small configurations, models trained to the end."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from config import ModelConfig
from history.log import MetricsLog
from history.records import Point, Status
from train import Comparison, ModelTrainer
from training.engine import Engine
from training.images import FashionMNIST

CPU = torch.device("cpu")
PATIENCE = 200.0  # seconds, for a busy machine; nothing waits that long in the ordinary


def wait_for(condition: Callable[[], bool], what: str, seconds: float = PATIENCE, *, pause: float = 0.01) -> None:
    """Return once the condition holds, which is looked at after each pause; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} within {seconds:g} s"
        time.sleep(pause)


def quick(**settings: Any) -> ModelConfig:
    """Return a model so small that it takes a step in about a millisecond."""
    return ModelConfig(**({"kernels": (4, 8), "hidden_units": 16, "epochs": 1, "precision": "float32"} | settings))


def endless(**settings: Any) -> ModelConfig:
    """Return a quick model that only a stop ends."""
    return quick(epochs=500, batch_size=16, **settings)


# Each step multiplies the weights by about −9: NaN after some five steps, on every machine.
DIVERGING = quick(optimizer="sgd", learning_rate=10.0, weight_decay=1.0)


def as_json(configs: Mapping[str, ModelConfig]) -> dict[str, Any]:
    return {name: config.model_dump(mode="json") for name, config in configs.items()}


# Everything random is in use, and an epoch is some 64 steps.
LIVELY = {
    "model1": quick(epochs=4, batch_size=16, dropout=0.5, augment="flip_shift", batch_norm=True),
    "model2": quick(epochs=4, batch_size=24, optimizer="sgd", learning_rate=0.05, seed=3),
}


class FullLog(MetricsLog):
    """A log that also keeps every point at full resolution, where tests can look at it."""

    def __init__(self, models: Iterable[str]) -> None:
        super().__init__(models)
        self.all_points: dict[str, list[Point]] = {model: [] for model in self.models}

    def publish(
        self, model: str, status: Status, points: Sequence[Point] = (), *more: Any, flush: bool = False
    ) -> None:
        super().publish(model, status, points, *more, flush=flush)
        self.all_points[model] += points

    def losses(self, model: str = "model1") -> list[float]:
        return [point.loss for point in self.all_points[model]]


def losses_of(engine: Engine, steps: int) -> list[float]:
    """Train so many steps and return the loss of each that was not read yet."""
    for _ in range(steps):
        engine.train_step()
    return [result.loss for result in engine.read()]


def train(dataset: FashionMNIST, **configs: ModelConfig) -> FullLog:
    """Train models together to their end on the CPU and return what they measured."""
    log = FullLog(configs)
    comparison = Comparison(configs, dataset, device=CPU, metrics=log)
    comparison.start()
    assert comparison.join(PATIENCE), "a trainer's thread has not ended"
    return log


def trainer_alone(dataset: FashionMNIST, config: ModelConfig) -> tuple[ModelTrainer, FullLog]:
    """Return a trainer with nobody beside it, not yet started, and its log."""
    log = FullLog(["model1"])
    return ModelTrainer("model1", config, dataset, log, device=CPU, threads=1, start_line=threading.Barrier(1)), log
