"""FashionMNIST: its names and sizes; its files, found, fetched and verified.

Not here: the images as tensors (training/images.py).
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
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

IMAGE_SIDE = 28  # pixels
TRAINING_IMAGES = 55_000
VALIDATION_IMAGES = 5_000
TEST_IMAGES = 10_000
TRAINING_SAMPLE = 1_000  # training images looked at beside those of the validation: each look costs time
RUNNING_WINDOW = 1_000  # latest training images behind a running accuracy
CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CLASSES = len(CLASS_NAMES)
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


class Batches(NamedTuple):
    """Steps of `size` images each (at most `images`, those of an epoch); an epoch's last step takes what is left.

    Where fewer than `smallest` are left, they join the batch before. Steps are counted from 1, through all epochs.
    """

    images: int
    size: int
    smallest: int = 1

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        whole, rest = divmod(self.images, self.size)
        return max(1, whole + (rest >= self.smallest))

    @property
    def whole_steps(self) -> int:
        """How many of an epoch's steps, the first ones, take `size` images."""
        return self.steps - (self.images != self.steps * self.size)

    @property
    def last(self) -> int:
        """Images of an epoch's last step."""
        return self.images - (self.steps - 1) * self.size

    def cut(self, position: int) -> slice:
        """Return which of an epoch's images, in their order, its step number `position`, counted from 0, takes."""
        start = position * self.size
        return slice(start, self.images if position == self.steps - 1 else start + self.size)

    def seen(self, step: int) -> int:
        """Return how many images have been trained on after `step` steps."""
        epochs, position = divmod(step, self.steps)
        return epochs * self.images + position * self.size

    def epoch(self, step: int) -> float:
        """Return how many epochs, fractional, have been trained after `step` steps."""
        return self.seen(step) / self.images

    def counts(self, first: int, last: int) -> list[int]:
        """Return how many images each of the steps from `first` to `last` takes."""
        counts = [self.size] * (last - first + 1)
        for end in range(first + -first % self.steps, last + 1, self.steps):
            counts[end - first] = self.last
        return counts


class DatasetError(Exception):
    """The data set is missing or damaged; the message names the file and the way out."""


def read_files(data_dir: Path, system_dir: Path = SYSTEM_DIRECTORY) -> list[NDArray[np.uint8]]:
    """Return training images and labels, then test images and labels, whole and verified.

    They are taken from data_dir, else from the system's copy, else fetched into data_dir.
    Raises DatasetError when a file is damaged, or missing and nowhere to be had.
    """
    directory = find_files(data_dir, system_dir) or fetch_files(data_dir)
    return [read_idx(directory / name) for name in CHECKSUMS]


def find_files(*directories: Path) -> Path | None:
    """Return the first directory that holds all four files, or None."""
    return next((d for d in directories if all((d / name).is_file() for name in CHECKSUMS)), None)


def read_idx(path: Path) -> NDArray[np.uint8]:
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
    return np.frombuffer(bytearray(raw), dtype=np.uint8, offset=4 + 4 * dimensions).reshape(sizes)


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
    for origin, fetch in SOURCES.items():
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=data_dir) as partial:
            try:
                source = fetch(Path(partial), report)
                for name in CHECKSUMS:
                    read_idx(source / name)
                for name in CHECKSUMS:
                    os.replace(source / name, data_dir / name)
            except (OSError, RuntimeError, subprocess.SubprocessError, DatasetError) as error:
                failures.append(f"{origin}: {_last_line(error)}")
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


def download_from_mirror(folder: Path, report: Callable[[str], None]) -> Path:
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


def unpack_debian_package(folder: Path, report: Callable[[str], None]) -> Path:
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


# Whence the files are fetched, in the order in which it is tried: into a folder, which is returned or one below it.
SOURCES = {"download from mirror": download_from_mirror, "unpack Debian package": unpack_debian_package}


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=600)


def main() -> int:
    """Make sure that the data set is at hand: `python data.py --data-dir data`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    arguments = parser.parse_args()
    try:
        read_files(arguments.data_dir)
    except DatasetError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"FashionMNIST is complete in {find_files(arguments.data_dir, SYSTEM_DIRECTORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
