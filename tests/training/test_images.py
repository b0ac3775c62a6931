"""The images as tensors: the split, and what is done to them."""

import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

import data
from data import CLASS_NAMES
from training import images as images_module
from training.images import FashionMNIST, augment, load_fashion_mnist, normalise, shuffled_order


def bytes_of(images: Tensor | NDArray[np.uint8]) -> list[bytes]:
    return [np.asarray(image).tobytes() for image in images]


# The split


def test_splits_have_the_sizes_of_the_design(fashion_mnist: FashionMNIST) -> None:
    for split, size in (
        (fashion_mnist.train, 55_000),
        (fashion_mnist.validation, 5_000),
        (fashion_mnist.test, 10_000),
    ):
        assert len(split) == size
        assert split.images.shape == (size, 28, 28)
        assert split.images.dtype == torch.uint8
        assert split.labels.shape == (size,)
        assert split.labels.dtype == torch.int64


def test_train_and_validation_together_are_the_published_training_images(
    fashion_mnist: FashionMNIST, data_dir: Path
) -> None:
    published = sorted(bytes_of(data.read_idx(data_dir / "train-images-idx3-ubyte.gz")))
    split = bytes_of(fashion_mnist.train.images) + bytes_of(fashion_mnist.validation.images)
    assert sorted(split) == published  # each once: nothing is in both, nothing is lost


def test_labels_stay_with_their_images(fashion_mnist: FashionMNIST, data_dir: Path) -> None:
    images = bytes_of(data.read_idx(data_dir / "train-images-idx3-ubyte.gz"))
    labels = data.read_idx(data_dir / "train-labels-idx1-ubyte.gz").tolist()
    published = sorted(zip(images, labels, strict=True))
    split = [
        pair
        for part in (fashion_mnist.train, fashion_mnist.validation)
        for pair in zip(bytes_of(part.images), part.labels.tolist(), strict=True)
    ]
    assert sorted(split) == published


def test_test_images_stay_in_their_published_order(fashion_mnist: FashionMNIST, data_dir: Path) -> None:
    assert np.array_equal(fashion_mnist.test.images.numpy(), data.read_idx(data_dir / "t10k-images-idx3-ubyte.gz"))


def test_split_is_the_same_at_each_load_whatever_the_global_seed(fashion_mnist: FashionMNIST, data_dir: Path) -> None:
    torch.manual_seed(4711)
    again = load_fashion_mnist(data_dir)
    for name in ("train", "validation", "test"):
        first, second = getattr(fashion_mnist, name), getattr(again, name)
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.labels, second.labels)


def test_every_class_has_its_fair_share_of_each_split(fashion_mnist: FashionMNIST) -> None:
    for split in (fashion_mnist.train, fashion_mnist.validation, fashion_mnist.test):
        shares = torch.bincount(split.labels, minlength=10) / len(split)
        assert len(shares) == len(CLASS_NAMES) == 10
        assert 0.08 < shares.min() <= shares.max() < 0.12


# What is done to the images


def test_normalised_training_images_have_mean_0_and_standard_deviation_1(fashion_mnist: FashionMNIST) -> None:
    images = normalise(fashion_mnist.train.images)
    assert images.shape == (55_000, 1, 28, 28)
    assert images.dtype == torch.float32
    assert images.mean().item() == pytest.approx(0, abs=0.005)
    assert images.std().item() == pytest.approx(1, abs=0.005)


def test_normalise_leaves_its_input_as_it_was(small_fashion_mnist: FashionMNIST) -> None:
    images = small_fashion_mnist.test.images
    before = images.clone()
    normalise(images)
    assert torch.equal(images, before)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_no_augmentation_returns_the_images_and_draws_nothing(small_fashion_mnist: FashionMNIST) -> None:
    images, random = small_fashion_mnist.train.images, generator()
    state = random.get_state()
    assert augment(images, "none", random) is images
    assert torch.equal(random.get_state(), state)


@given(st.integers(0, 2**32))
def test_flipping_twice_the_same_way_gives_the_image_back(small_fashion_mnist: FashionMNIST, seed: int) -> None:
    images = small_fashion_mnist.train.images[:64]
    once = augment(images, "flip", generator(seed))
    assert torch.equal(augment(once, "flip", generator(seed)), images)


@given(st.integers(0, 2**32))
def test_every_flipped_image_is_the_image_or_its_mirror(small_fashion_mnist: FashionMNIST, seed: int) -> None:
    images = small_fashion_mnist.train.images[:64]
    for image, flipped in zip(images, augment(images, "flip", generator(seed)), strict=True):
        assert torch.equal(flipped, image) or torch.equal(flipped, image.flip(1))


def test_about_half_of_the_images_are_mirrored(fashion_mnist: FashionMNIST) -> None:
    images = fashion_mnist.test.images
    kept = (augment(images, "flip", generator()) == images).flatten(1).all(1)
    symmetric = (images == images.flip(2)).flatten(1).all(1)
    assert statistics.mean(kept[~symmetric].tolist()) == pytest.approx(0.5, abs=0.03)


@given(st.integers(0, 2**32))
def test_shift_moves_an_image_by_at_most_two_pixels_and_fills_with_background(seed: int) -> None:
    images = torch.zeros(64, 28, 28, dtype=torch.uint8)
    images[:, 10, 7] = torch.arange(1, 65, dtype=torch.uint8)  # one pixel, a different one in each image
    moved = augment(images, "flip_shift", generator(seed))
    assert moved.shape == images.shape
    assert moved.dtype == torch.uint8
    found, rows, columns = moved.nonzero(as_tuple=True)
    assert found.tolist() == list(range(64))
    assert moved[found, rows, columns].tolist() == list(range(1, 65))
    assert {row - 10 for row in rows.tolist()} <= {-2, -1, 0, 1, 2}
    assert {min(abs(column - 7), abs(column - 20)) for column in columns.tolist()} <= {0, 1, 2}


def test_shift_reaches_every_place_within_two_pixels() -> None:
    images = torch.zeros(5000, 28, 28, dtype=torch.uint8)
    images[:, 10, 7] = 1
    _, rows, columns = augment(images, "flip_shift", generator()).nonzero(as_tuple=True)
    places = set(zip((rows - 10).tolist(), columns.tolist(), strict=True))
    assert places == {(row, side + column) for row in range(-2, 3) for side in (7, 20) for column in range(-2, 3)}


def test_half_of_the_images_lose_one_square_anywhere_within_them() -> None:
    images = torch.full((5000, 28, 28), 200, dtype=torch.uint8)
    erased = augment(images, "flip_erase", generator()) != 200
    counts = erased.flatten(1).sum(1)
    assert set(counts.tolist()) == {0, images_module.ERASED_SIDE**2}
    assert statistics.mean((counts > 0).tolist()) == pytest.approx(0.5, abs=0.03)
    tops, lefts = (erased[counts > 0].any(axis).int().argmax(1) for axis in (2, 1))
    places = range(28 - images_module.ERASED_SIDE + 1)
    assert (set(tops.tolist()), set(lefts.tolist())) == (set(places), set(places))
    assert all(erased[number].any(1).sum() == images_module.ERASED_SIDE for number in counts.nonzero()[:50, 0])


@pytest.mark.parametrize("kind", ["flip", "flip_shift", "flip_erase"])
def test_augmentation_follows_its_generator_alone(small_fashion_mnist: FashionMNIST, kind: str) -> None:
    images = small_fashion_mnist.train.images
    torch.manual_seed(1)
    first = augment(images, kind, generator(5))
    torch.manual_seed(2)
    assert torch.equal(augment(images, kind, generator(5)), first)
    assert not torch.equal(augment(images, kind, generator(6)), first)


@given(st.integers(0, 300), st.integers(0, 2**63 - 1))
def test_shuffled_order_holds_every_number_once(count: int, seed: int) -> None:
    order = shuffled_order(count, seed)
    assert sorted(order.tolist()) == list(range(count))
    assert torch.equal(order, shuffled_order(count, seed))


def test_different_seeds_shuffle_differently() -> None:
    assert not torch.equal(shuffled_order(100, 0), shuffled_order(100, 1))
