"""Images: FashionMNIST as tensors: split, shuffled, normalised, augmented."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from data import IMAGE_SIDE, SYSTEM_DIRECTORY, TRAINING_IMAGES, read_files

SPLIT_SEED = 0
PIXEL_MEAN, PIXEL_STD = 0.2860, 0.3530  # of the 60,000 training images, pixels scaled to 0–1
MAX_SHIFT = 2  # pixels
ERASED_SIDE = 8  # pixels


@dataclass(frozen=True)
class Split:
    """Images (N, 28, 28) uint8 and labels (N,) int64, on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Split":
        """Return the first images, at most `count`: a fixed sample, since the order is."""
        return Split(self.images[:count], self.labels[:count])

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class FashionMNIST:
    """55,000 training, 5,000 validation and 10,000 test images; the same split in every run."""

    train: Split
    validation: Split
    test: Split

    def to(self, device: torch.device) -> "FashionMNIST":
        return FashionMNIST(self.train.to(device), self.validation.to(device), self.test.to(device))


def load_fashion_mnist(data_dir: Path, *, system_dir: Path = SYSTEM_DIRECTORY) -> FashionMNIST:
    """Return the data set from where data.read_files finds it. Raises DatasetError as that does."""
    images, labels, test_images, test_labels = map(torch.from_numpy, read_files(data_dir, system_dir))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SPLIT_SEED))
    train, validation = order[:TRAINING_IMAGES], order[TRAINING_IMAGES:]
    return FashionMNIST(
        train=Split(images[train], labels[train].long()),
        validation=Split(images[validation], labels[validation].long()),
        test=Split(test_images, test_labels.long()),
    )


def shuffled_order(count: int, seed: int) -> Tensor:
    """Return the numbers 0 to count-1 in a random order (count,) int64 that depends on seed alone."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def normalise(images: Tensor) -> Tensor:
    """Return images (B, 28, 28) uint8 as (B, 1, 28, 28) float32 with mean 0 and standard deviation 1."""
    return images.unsqueeze(1).float().sub_(255 * PIXEL_MEAN).div_(255 * PIXEL_STD)


def augment(images: Tensor, kind: str, generator: torch.Generator) -> Tensor:
    """Return images (B, 28, 28) uint8, each mirrored with probability 1/2 and moved or partly erased.

    "flip_shift" moves by up to MAX_SHIFT pixels along each axis; what comes in from outside is background.
    "flip_erase" fills, with probability 1/2, a square of ERASED_SIDE pixels with the mean grey (random
    erasing: Zhong et al. 2020, with a square of one size as in cutout: DeVries and Taylor 2017).
    """
    if kind == "none":
        return images
    count, device = len(images), images.device

    def draw(low: int, high: int) -> Tensor:
        return torch.randint(low, high, (count, 1), generator=generator, device=device)

    pixels = torch.arange(IMAGE_SIDE, device=device)
    columns = torch.where(draw(0, 2).bool(), pixels.flip(0), pixels)  # (B, 28)
    rows = pixels.expand(count, -1)  # (B, 28)
    if kind == "flip_shift":
        images = torch.nn.functional.pad(images, (MAX_SHIFT,) * 4)
        columns = columns + draw(0, 2 * MAX_SHIFT + 1)
        rows = rows + draw(0, 2 * MAX_SHIFT + 1)
    image = torch.arange(count, device=device)
    images = images[image[:, None, None], rows[:, :, None], columns[:, None, :]]
    if kind == "flip_erase":
        top, left = (draw(0, IMAGE_SIDE - ERASED_SIDE + 1) for _ in range(2))
        in_rows = (pixels >= top) & (pixels < top + ERASED_SIDE) & draw(0, 2).bool()  # (B, 28)
        in_columns = (pixels >= left) & (pixels < left + ERASED_SIDE)
        images.masked_fill_(in_rows[:, :, None] & in_columns[:, None, :], round(255 * PIXEL_MEAN))
    return images
