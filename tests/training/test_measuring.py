import math
import time
from dataclasses import replace

import pytest
from helpers import PATIENCE, endless, quick, train, trainer_alone, wait_for

import train as train_module
from config import ModelConfig
from data import TRAINING_SAMPLE
from training.engine import Engine, Examination
from training.images import FashionMNIST, Split

pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")


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


def test_evaluations_are_published_where_they_belong(small_fashion_mnist: FashionMNIST) -> None:
    log = train(small_fashion_mnist, model1=quick(epochs=3), model2=quick(epochs=2, batch_size=1024))
    first = log.evaluations("model1")
    assert [evaluation.step for evaluation in first] == [4, 8, 16, 24, 32, 40, 48]
    assert [evaluation.epoch for evaluation in first] == [0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert [evaluation.seconds for evaluation in first] == sorted(evaluation.seconds for evaluation in first)
    assert [evaluation.step for evaluation in log.evaluations("model2")] == [1, 2]


def test_training_accuracy_in_eval_mode_is_measured_at_the_end_of_each_epoch(small_fashion_mnist: FashionMNIST) -> None:
    log = train(small_fashion_mnist, model1=quick(epochs=2))
    found = {evaluation.epoch: evaluation.train_accuracy for evaluation in log.evaluations("model1")}
    assert [epoch for epoch, accuracy in found.items() if accuracy is not None] == [1.0, 2.0]
    assert list(found) == [0.25, 0.5, 1.0, 1.5, 2.0]
    assert all(accuracy is None or 0 <= accuracy <= 1 for accuracy in found.values())


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
