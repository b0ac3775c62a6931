"""What the engine sees inside a model, beside what a plain count or autograd says."""

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from helpers import CPU, quick

from history.records import MOST_FILTERS, Insight, take_filters
from training.engine import INSIGHT_IMAGES, Engine
from training.images import FashionMNIST, normalise
from training.predictor import MOST_MAPS, as_maps


def engine_after(steps: int, dataset: FashionMNIST, **settings: Any) -> Engine:
    engine = Engine(quick(**settings), dataset, CPU)
    for _ in range(steps):
        engine.train_step()
    return engine


def inspect(engine: Engine) -> Insight:
    return engine.inspect(engine.evaluate(engine.data.validation).dead)


def gradient_norms(engine: Engine) -> list[float]:
    return [layer.gradient_norm for layer in inspect(engine).layers.values()]


@pytest.mark.parametrize("stopped_after", [None, 2, 3], ids=["straight on", "stopped before the last", "after it"])
def test_gradient_norms_at_an_epochs_end_are_those_of_its_last_whole_batch(
    small_fashion_mnist: FashionMNIST, stopped_after: int | None
) -> None:
    settings = {"batch_size": 500, "epochs": 2}  # of 1,024 images: two whole batches, and one of 24
    expected = gradient_norms(engine_after(2, small_fashion_mnist, **settings))
    engine = engine_after(stopped_after or 3, small_fashion_mnist, **settings)
    if stopped_after:
        file = io.BytesIO()
        torch.save(engine.state(), file)
        engine = engine_after(0, small_fashion_mnist, **settings)
        engine.restore(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
        for _ in range(3 - stopped_after):
            engine.train_step()
    assert engine.epoch == 1
    assert gradient_norms(engine) == expected
    engine.train_step()  # in an epoch the latest batch is whole
    assert gradient_norms(engine) != expected


def test_gradient_norms_where_no_batch_is_whole_are_those_of_the_only_one(small_fashion_mnist: FashionMNIST) -> None:
    engine = engine_after(1, small_fashion_mnist, batch_size=2048)
    assert all(norm > 0 for norm in gradient_norms(engine))


def test_norms_of_a_restored_model_are_those_of_the_step_before(small_fashion_mnist: FashionMNIST) -> None:
    engine, restored = (engine_after(steps, small_fashion_mnist) for steps in (3, 0))
    restored.restore(engine.state())
    assert gradient_norms(restored) == gradient_norms(engine)
    for each in (engine, restored):
        each.train_step()
    assert gradient_norms(restored) == gradient_norms(engine)


def test_norms_are_those_of_the_last_gradients_and_the_weights(small_fashion_mnist: FashionMNIST) -> None:
    engine = engine_after(3, small_fashion_mnist)
    seen = inspect(engine)
    assert (seen.step, seen.epoch) == (3, engine.epoch)
    assert list(seen.layers) == ["conv1", "conv2", "hidden", "output"]
    for name, weights in engine.model.weights_by_layer().items():
        assert seen.layers[name].weight_norm == pytest.approx(float(np.linalg.norm(weights.detach().numpy())))
        assert weights.grad is not None
        assert seen.layers[name].gradient_norm == pytest.approx(float(np.linalg.norm(weights.grad.numpy())))


def test_looking_inside_changes_nothing(small_fashion_mnist: FashionMNIST) -> None:
    plain, looked_at = (engine_after(2, small_fashion_mnist, batch_norm=True, dropout=0.5) for _ in range(2))
    inspect(looked_at)
    for engine in (plain, looked_at):
        for _ in range(3):
            engine.train_step()
    assert plain.read() == looked_at.read()


def test_units_that_never_answer_are_counted_as_dead(small_fashion_mnist: FashionMNIST) -> None:
    engine = engine_after(1, small_fashion_mnist)
    alive = inspect(engine).layers["hidden"].dead_share
    with torch.no_grad():
        engine.model.hidden.bias[:4] = -1000
        engine.model.get_submodule("layers.conv1.conv").bias[:1] = -1000  # type: ignore[index, operator]
    layers = inspect(engine).layers
    units = torch.relu(engine.model.hidden.weight).shape[0]
    assert alive is not None
    assert layers["hidden"].dead_share is not None
    assert 4 / units <= layers["hidden"].dead_share <= alive + 8 / units
    assert layers["conv1"].dead_share == 1 / 4
    assert layers["output"].dead_share is None


def test_dead_share_is_that_of_a_plain_count(small_fashion_mnist: FashionMNIST) -> None:
    engine = engine_after(20, small_fashion_mnist, learning_rate=0.05)
    images = small_fashion_mnist.validation.first(INSIGHT_IMAGES).images
    with torch.no_grad():
        found = engine.model.eval().activations(normalise(images))
    expected = {name: float((found[name].flatten(2).amax((0, 2)) == 0).float().mean()) for name in ("conv1", "conv2")}
    expected["hidden"] = float((found["hidden"].amax(0) == 0).float().mean())
    seen = inspect(engine).layers
    assert {name: seen[name].dead_share for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_activations_end_in_the_logits_of_the_forward_pass(
    small_fashion_mnist: FashionMNIST, batch_norm: bool, precision: str
) -> None:
    engine = engine_after(1, small_fashion_mnist, batch_norm=batch_norm, kernels=(4, 8, 8, 8), precision=precision)
    images = normalise(small_fashion_mnist.test.images[:20])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        engine.model.eval()
        assert torch.equal(engine.model.activations(images)["output"], engine.model(images))


def test_filters_come_back_from_their_bytes() -> None:
    weights = np.random.default_rng(0).normal(size=(100, 5, 5)).astype(np.float32)
    filters = take_filters(weights)
    assert (filters.kernels, filters.shown, filters.side) == (100, MOST_FILTERS, 5)
    back = np.frombuffer(filters.weights, np.int8).reshape(-1, 5, 5) / 127 * filters.scale
    assert np.abs(back - weights[:MOST_FILTERS]).max() <= filters.scale / 254 + 1e-6
    assert take_filters(np.zeros((2, 3, 3))).weights == bytes(18)


def test_maps_come_back_from_their_bytes() -> None:
    maps = np.random.default_rng(0).random((40, 7, 7)).astype(np.float32) * 3
    shown = as_maps("conv1", maps)
    assert (shown["count"], shown["shown"], shown["side"]) == (40, MOST_MAPS, 7)
    back = np.frombuffer(base64.b64decode(shown["maps"]), np.uint8).reshape(-1, 7, 7) / 255 * shown["largest"]
    assert np.abs(back - maps[:MOST_MAPS]).max() <= shown["largest"] / 510 + 1e-6
    units = as_maps("hidden", np.zeros(30))
    assert (units["count"], units["shown"], units["side"], units["largest"]) == (30, 30, 1, 0)
