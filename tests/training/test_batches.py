"""How an epoch is cut, and that what a cut would break trains all the same."""

import copy
from itertools import chain
from typing import Any

import pytest
import torch
from helpers import CPU, quick, train
from hypothesis import given
from hypothesis import strategies as st

from config import InvalidSettings, ModelConfig, parse_config
from data import Batches
from model import conv_shapes
from training.engine import Engine
from training.images import FashionMNIST, Split

REMAINDER_OF_ONE = [3, 7, 9]  # 55,000 images leave one over, and so do 64
FIVE_LAYERS: dict[str, Any] = {"kernels": (2, 2, 2, 2, 4), "batch_norm": True}

epochs_cut = st.builds(
    lambda images, size, smallest: Batches(images, min(size, images), smallest),
    st.integers(1, 200),
    st.integers(2, 250),
    st.integers(1, 2),
)


@pytest.fixture(scope="module")
def sixty_four(fashion_mnist: FashionMNIST) -> FashionMNIST:
    """64 training images of the real ones."""
    part = Split(fashion_mnist.train.images[:64], fashion_mnist.train.labels[:64])
    return FashionMNIST(part, fashion_mnist.validation.first(64), fashion_mnist.test.first(64))


def five_layers(batch_size: int, **settings: Any) -> ModelConfig:
    return quick(**FIVE_LAYERS, batch_size=batch_size, **settings)


@given(epochs_cut)
def test_batches_of_an_epoch_take_every_image_once_in_order(batches: Batches) -> None:
    taken = [list(range(batches.images))[batches.cut(position)] for position in range(batches.steps)]
    assert list(chain(*taken)) == list(range(batches.images))
    assert [len(batch) for batch in taken] == batches.counts(1, batches.steps)
    assert min(len(batch) for batch in taken) >= min(batches.smallest, batches.images)
    assert [len(batch) == batches.size for batch in taken].count(True) == batches.whole_steps
    assert len(taken[-1]) == batches.last


@given(epochs_cut, st.integers(0, 60), st.integers(0, 60))
def test_images_seen_are_those_of_the_steps_taken(batches: Batches, first: int, more: int) -> None:
    counts = batches.counts(first + 1, first + more)
    assert batches.seen(first + more) - batches.seen(first) == sum(counts)
    assert batches.epoch(first) == batches.seen(first) / batches.images
    assert batches.epoch(3 * batches.steps) == 3


@pytest.mark.parametrize(("size", "steps", "last"), [(64, 860, 24), (3, 18_333, 4), (8192, 7, 5_848), (1, 55_000, 1)])
def test_an_epoch_of_55000_images_has_so_many_steps(size: int, steps: int, last: int) -> None:
    batches = Batches(55_000, size, 2 if size > 1 else 1)
    assert (batches.steps, batches.last) == (steps, last)


@pytest.mark.parametrize("pool_every", [1, 2, 3, 4])
@pytest.mark.parametrize("layers", range(1, 9))
def test_batches_of_one_are_avoided_where_batch_norm_meets_a_single_pixel(layers: int, pool_every: int) -> None:
    config = ModelConfig(kernels=(2,) * layers, pool_every=pool_every, batch_norm=True)
    meets = any(shape.side == 1 for shape in conv_shapes(config))
    assert config.smallest_batch == (2 if meets else 1)
    assert config.model_copy(update={"batch_norm": False}).smallest_batch == 1


@pytest.mark.parametrize("batch_size", REMAINDER_OF_ONE)
def test_a_single_last_image_joins_the_batch_before_where_batch_norm_needs_two(
    sixty_four: FashionMNIST, batch_size: int
) -> None:
    log = train(sixty_four, model1=five_layers(batch_size, epochs=2))
    status = log.status("model1")
    assert (status.state, status.error, status.epoch) == ("finished", None, 2)
    assert status.steps_per_epoch == 64 // batch_size
    assert [point.epoch for point in log.all_points["model1"]][-1] == 2


@pytest.mark.parametrize("batch_size", REMAINDER_OF_ONE)
@pytest.mark.parametrize("before_end", [0, 1, 2])
def test_such_a_run_goes_on_from_any_step_to_the_bit(
    sixty_four: FashionMNIST, batch_size: int, before_end: int
) -> None:
    through, resumed = (Engine(five_layers(batch_size, epochs=2), sixty_four, CPU) for _ in range(2))
    for _ in range(through.steps_per_epoch - before_end):
        through.train_step()
    through.read()
    resumed.restore(copy.deepcopy(through.state()))
    for engine in (through, resumed):
        while engine.step < engine.total_steps:
            engine.train_step()
    assert resumed.read() == through.read()
    assert all(
        torch.equal(one, two)
        for one, two in zip(through.model.state_dict().values(), resumed.model.state_dict().values(), strict=True)
    )


def test_batches_of_one_image_are_refused_where_batch_norm_needs_two() -> None:
    settings = {"kernels": [2] * 5, "batch_norm": True, "batch_size": 1}
    with pytest.raises(InvalidSettings) as refused:
        parse_config(settings, "model1")
    assert refused.value.fields == {
        "model1.batch_size": "batch_size must be at least 2 where batch norm meets maps of 1×1 pixels, got 1"
    }
    for kept in ({"batch_size": 2}, {"batch_norm": False}, {"kernels": [2] * 4}, {"pool_every": 2}):
        parse_config(settings | kept, "model1")


@pytest.mark.parametrize("batch_norm", [True, False])
def test_four_layers_with_batches_of_one_image_train(sixty_four: FashionMNIST, batch_norm: bool) -> None:
    log = train(sixty_four, model1=quick(kernels=(2, 2, 2, 2), batch_size=1, batch_norm=batch_norm))
    assert log.status("model1").state == "finished"
