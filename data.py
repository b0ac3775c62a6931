"""FashionMNIST: find it, fetch it, verify it, hold it as tensors, cut batches from it.

The images are kept as bytes (47 MB for the whole set) and normalised a batch at a
time on the device, so both trainers share one copy and nothing is decoded twice.
"""

import argparse
import gzip
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor

IMAGE_SIDE = 28
TRAIN_IMAGES, VALIDATION_IMAGES, TEST_IMAGES = 55_000, 5_000, 10_000
SPLIT_SEED = 0
PIXEL_MEAN, PIXEL_STD = 0.2860, 0.3530  # of the 60,000 training images, pixels scaled to 0–1
MAX_SHIFT = 2  # pixels
ERASED_SIDE = 8  # pixels

SYSTEM_DIRECTORY = Path("/usr/share/datasets/fashion-mnist")
DEBIAN_PACKAGE = "dataset-fashion-mnist"

# MD5 of the unpacked IDX data. The files published by the authors and those of Debian's
# package hold the same compressed stream behind different gzip headers, so the MD5 of
# the .gz would tell apart what is the same.
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte.gz": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte.gz": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte.gz": "15d484375f8d13e6eb1aabb0c3f46965",
}


class DatasetError(Exception):
    """The data set is missing or damaged; the message names the file and the way out."""


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
    """Return the data set from data_dir, else from the system's copy, else fetched into data_dir.

    Raises DatasetError when a file is damaged, or missing and nowhere to be had.
    """
    directory = find_files(data_dir, system_dir) or fetch_files(data_dir)
    arrays = {name: read_idx(directory / name) for name in CHECKSUMS}
    images, labels, test_images, test_labels = arrays.values()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SPLIT_SEED))
    train, validation = order[:TRAIN_IMAGES], order[TRAIN_IMAGES:]
    return FashionMNIST(
        train=Split(images[train], labels[train].long()),
        validation=Split(images[validation], labels[validation].long()),
        test=Split(test_images, test_labels.long()),
    )


def find_files(*directories: Path) -> Path | None:
    """Return the first directory that holds all four files, or None."""
    return next((d for d in directories if all((d / name).is_file() for name in CHECKSUMS)), None)


def read_idx(path: Path) -> Tensor:
    """Return the bytes of a gzipped IDX file, shaped as its header says, uint8.

    Raises DatasetError where the file cannot be read or is not the one that was published.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
        raise DatasetError(_damaged(path, str(error))) from error
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != CHECKSUMS[path.name]:
        raise DatasetError(_damaged(path, "its checksum is not that of the published file"))
    dimensions = raw[3]
    sizes = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions)]
    return torch.frombuffer(bytearray(raw), dtype=torch.uint8, offset=4 + 4 * dimensions).view(sizes)


def _damaged(path: Path, reason: str) -> str:
    return f"{path} is damaged ({reason}). Delete it and start again: a good copy is then fetched."


def fetch_files(data_dir: Path, report: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> Path:
    """Download the four files into data_dir and return it.

    torchvision's mirror is tried first, then, where the machine has apt, Debian's package,
    which is unpacked and not installed. Files are verified beside their place and then moved
    there, so a download that is cut off leaves nothing that could be taken for a good file.

    Raises DatasetError when no source can be reached.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"{data_dir} cannot hold the data set ({error}): give another --data-dir") from error
    failures = []
    for fetch in (_download_from_mirror, _unpack_debian_package):
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=data_dir) as partial:
            try:
                source = fetch(Path(partial), report)
                for name in CHECKSUMS:
                    read_idx(source / name)
                for name in CHECKSUMS:
                    os.replace(source / name, data_dir / name)
            except (OSError, RuntimeError, subprocess.SubprocessError, DatasetError) as error:
                failures.append(f"{fetch.__name__.strip('_').replace('_', ' ')}: {_last_line(error)}")
                continue
            return data_dir
    wanted = ", ".join(name for name in CHECKSUMS if not (data_dir / name).is_file())
    raise DatasetError(
        f"FashionMNIST is not in {data_dir} (missing: {wanted}) and could not be fetched: "
        f"{'; '.join(failures)}. Put the four files there by hand, from "
        f"https://github.com/zalandoresearch/fashion-mnist or Debian's package {DEBIAN_PACKAGE}."
    )


def _last_line(error: Exception) -> str:
    text = getattr(error, "stderr", None) or str(error) or type(error).__name__
    return text.strip().splitlines()[-1]


def _download_from_mirror(folder: Path, report: Callable[[str], None]) -> Path:
    """Fetch the four files with torchvision's downloader, which draws a progress bar."""
    from torchvision.datasets import FashionMNIST as Published  # 2 s to import, so only here
    from torchvision.datasets.utils import download_url

    mirror = Published.mirrors[0]
    address = urlsplit(mirror)
    socket.create_connection((str(address.hostname), address.port or 80), timeout=10).close()
    for name, md5 in Published.resources:
        report(f"Downloading {mirror}{name}")
        download_url(mirror + name, root=str(folder), filename=name, md5=md5)
    return folder


def _unpack_debian_package(folder: Path, report: Callable[[str], None]) -> Path:
    """Fetch Debian's package with apt-get and unpack it; needs no root and installs nothing."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise OSError("this machine has no apt")
    report(f"Fetching Debian's package {DEBIAN_PACKAGE} with apt-get")
    try:
        _run(["apt-get", "download", DEBIAN_PACKAGE], folder)
    except subprocess.CalledProcessError:  # no package lists yet: read them into a folder of our own
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        own = [f"-oDir::State::Lists={folder.absolute()}/lists", f"-oDir::Cache={folder.absolute()}/cache"]
        _run(["apt-get", *own, "update"], folder)
        _run(["apt-get", *own, "download", DEBIAN_PACKAGE], folder)
    package = next(folder.glob("*.deb"))
    _run(["dpkg-deb", "-x", str(package.absolute()), "."], folder)
    return folder / SYSTEM_DIRECTORY.relative_to("/")


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=600)


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


def main() -> int:
    """Make sure that the data set is at hand: `python data.py --data-dir data`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    arguments = parser.parse_args()
    try:
        load_fashion_mnist(arguments.data_dir)
    except DatasetError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"FashionMNIST is complete in {find_files(arguments.data_dir, SYSTEM_DIRECTORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
