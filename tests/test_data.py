import gzip
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets.utils
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

import data
from data import CHECKSUMS, CLASS_NAMES, DatasetError
from training import images as images_module
from training.images import FashionMNIST, augment, load_fashion_mnist, normalise, shuffled_order

ROOT = Path(__file__).resolve().parent.parent
NAMES = list(CHECKSUMS)
NOWHERE = Path("/nowhere")


def quiet(text: str) -> None:
    """Take a progress report and keep it to oneself."""


@pytest.fixture
def copy(data_dir: Path, tmp_path: Path) -> Path:
    """A folder with the four published files, free to be damaged."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(data_dir / name, folder)
    return folder


@pytest.fixture
def no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the mirror nor Debian can be reached."""

    def _download_from_mirror(folder: Path, report: Callable[[str], None]) -> Path:
        raise OSError("network is down")

    def _unpack_debian_package(folder: Path, report: Callable[[str], None]) -> Path:
        raise OSError("this machine has no apt")

    monkeypatch.setattr(data, "_download_from_mirror", _download_from_mirror)
    monkeypatch.setattr(data, "_unpack_debian_package", _unpack_debian_package)


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


# Damaged, missing and misplaced files


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_last_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def flip_first_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 0xFF
    path.write_bytes(content)


def flip_one_pixel(path: Path) -> None:
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 0xFF
    path.write_bytes(gzip.compress(content, compresslevel=1))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_a_web_page(path: Path) -> None:
    path.write_text("<html>404 Not Found</html>")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "damage",
    [cut_in_half, cut_last_byte, flip_one_byte, flip_first_byte, flip_one_pixel, empty, replace_by_a_web_page],
    ids=lambda function: function.__name__,
)
def test_damaged_file_is_named_and_never_used(
    data_dir: Path, tmp_path: Path, damage: Callable[[Path], None], name: str
) -> None:
    path = tmp_path / name
    shutil.copy(data_dir / name, path)
    damage(path)
    with pytest.raises(DatasetError) as caught:
        data.read_idx(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged (")
    assert message.endswith("Delete it and start again: a good copy is then fetched.")


def test_loading_names_the_damaged_file(copy: Path) -> None:
    cut_in_half(copy / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(DatasetError, match=r"/copy/t10k-labels-idx1-ubyte\.gz is damaged"):
        load_fashion_mnist(copy)


def test_wrong_file_under_the_right_name_is_refused(copy: Path) -> None:
    shutil.copy(copy / "t10k-images-idx3-ubyte.gz", copy / "train-images-idx3-ubyte.gz")
    with pytest.raises(DatasetError, match=r"train-images-idx3-ubyte\.gz is damaged \(its checksum is not that"):
        load_fashion_mnist(copy)


def test_another_gzip_header_around_the_same_data_is_accepted(data_dir: Path, tmp_path: Path) -> None:
    name = "t10k-labels-idx1-ubyte.gz"
    (tmp_path / name).write_bytes(gzip.compress(gzip.decompress((data_dir / name).read_bytes()), mtime=1))
    assert (tmp_path / name).read_bytes() != (data_dir / name).read_bytes()
    assert np.array_equal(data.read_idx(tmp_path / name), data.read_idx(data_dir / name))


@pytest.mark.usefixtures("no_source")
@pytest.mark.parametrize("name", NAMES)
def test_missing_file_is_named_where_it_cannot_be_fetched(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(DatasetError) as caught:
        load_fashion_mnist(copy, system_dir=NOWHERE)
    message = str(caught.value)
    assert f"(missing: {name})" in message
    assert "download from mirror: network is down; unpack debian package: this machine has no apt" in message
    assert "github.com/zalandoresearch/fashion-mnist" in message


def test_missing_file_is_fetched_again(copy: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / NAMES[0]).unlink()
    monkeypatch.setattr(data, "_download_from_mirror", copying(data_dir))
    assert len(load_fashion_mnist(copy, system_dir=NOWHERE).train) == 55_000
    assert sorted(path.name for path in copy.iterdir()) == sorted(NAMES)


# Where the files are looked for


def test_data_dir_comes_before_the_system_dir(copy: Path, data_dir: Path) -> None:
    assert data.find_files(copy, data_dir) == copy


def test_half_filled_data_dir_gives_way_to_the_system_dir(copy: Path, data_dir: Path) -> None:
    (copy / NAMES[2]).unlink()
    assert data.find_files(copy, data_dir) == data_dir


def test_folders_without_the_files_are_no_find(tmp_path: Path) -> None:
    (tmp_path / NAMES[0]).mkdir()
    assert data.find_files(tmp_path, NOWHERE) is None


@pytest.mark.usefixtures("no_source")
def test_system_dir_is_read_without_touching_the_data_dir(tmp_path: Path, data_dir: Path) -> None:
    assert len(load_fashion_mnist(tmp_path / "absent", system_dir=data_dir).test) == 10_000
    assert not (tmp_path / "absent").exists()


# Fetching


def copying(source: Path, *, count: int = 4, then: Exception | None = None) -> Callable[..., Path]:
    """Return a source that hands over `count` files and then breaks off, if it is told how."""

    def fetch(folder: Path, report: Callable[[str], None]) -> Path:
        for name in NAMES[:count]:
            shutil.copy(source / name, folder)
        if then:
            (folder / NAMES[count]).write_bytes((source / NAMES[count]).read_bytes()[:1000])
            raise then
        return folder

    return fetch


@pytest.mark.parametrize(
    "broken",
    [
        OSError("connection reset"),
        RuntimeError("File not found or corrupted."),
        subprocess.CalledProcessError(100, "apt-get", stderr="E: Unable to locate package\n"),
        subprocess.TimeoutExpired("apt-get", 600),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_download_cut_off_leaves_no_file_behind(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, broken: Exception
) -> None:
    monkeypatch.setattr(data, "_download_from_mirror", copying(data_dir, count=count, then=broken))
    monkeypatch.setattr(data, "_unpack_debian_package", copying(data_dir, count=count, then=broken))
    with pytest.raises(DatasetError, match="could not be fetched"):
        data.fetch_files(tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_interrupt_during_a_download_leaves_no_file_behind(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(folder: Path, report: Callable[[str], None]) -> Path:
        copying(data_dir)(folder, report)
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "_download_from_mirror", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.fetch_files(tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_corrupt_download_is_not_kept_and_the_next_source_is_asked(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def corrupt(folder: Path, report: Callable[[str], None]) -> Path:
        copying(data_dir)(folder, report)
        flip_one_byte(folder / NAMES[3])
        return folder

    monkeypatch.setattr(data, "_download_from_mirror", corrupt)
    monkeypatch.setattr(data, "_unpack_debian_package", copying(data_dir))
    assert data.fetch_files(tmp_path, quiet) == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    assert data.read_idx(tmp_path / NAMES[3]).shape == (10_000,)


def test_second_source_is_left_alone_when_the_first_delivers(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(data, "_download_from_mirror", copying(data_dir))
    monkeypatch.setattr(data, "_unpack_debian_package", lambda folder, report: asked.append(folder))
    data.fetch_files(tmp_path, quiet)
    assert asked == []


def test_next_try_after_a_cut_off_download_succeeds(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "_download_from_mirror", copying(data_dir, count=2, then=OSError("cut off")))
    monkeypatch.setattr(data, "_unpack_debian_package", copying(data_dir, count=2, then=OSError("cut off")))
    with pytest.raises(DatasetError, match="cut off"):
        data.fetch_files(tmp_path, quiet)
    monkeypatch.setattr(data, "_unpack_debian_package", copying(data_dir))
    assert data.find_files(data.fetch_files(tmp_path, quiet)) == tmp_path


def test_machine_without_apt_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="this machine has no apt"):
        data._unpack_debian_package(tmp_path, quiet)


def test_mirror_is_asked_for_the_four_files_by_name_and_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, str]] = []
    monkeypatch.setattr(
        torchvision.datasets.utils, "download_url", lambda url, root, filename, md5: asked.append((filename, root, md5))
    )
    monkeypatch.setattr(data.socket, "create_connection", lambda address, timeout: data.socket.socket())
    reported: list[str] = []
    data._download_from_mirror(tmp_path, reported.append)
    assert sorted(name for name, _, _ in asked) == sorted(NAMES)
    assert all(root == str(tmp_path) and len(md5) == 32 for _, root, md5 in asked)
    assert len(reported) == 4
    assert all(line.startswith("Downloading http") for line in reported)


@pytest.mark.skipif(not shutil.which("apt-get"), reason="Debian's package needs apt")
def test_debian_package_really_delivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_download_from_mirror", copying(tmp_path / "absent"))  # raises FileNotFoundError
    data_dir = tmp_path / "data"
    reported: list[str] = []
    dataset = load_fashion_mnist(data.fetch_files(data_dir, reported.append), system_dir=NOWHERE)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (55_000, 5_000, 10_000)
    assert reported == ["Fetching Debian's package dataset-fashion-mnist with apt-get"]
    assert sorted(path.name for path in data_dir.iterdir()) == sorted(NAMES)


def test_command_line_says_where_the_data_set_is(data_dir: Path) -> None:
    command = [sys.executable, "data.py", "--data-dir", str(data_dir)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"FashionMNIST is complete in {data_dir}\n")


def test_command_line_fails_naming_a_damaged_file(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flip_one_byte(copy / NAMES[1])
    monkeypatch.setattr(sys, "argv", ["data.py", "--data-dir", str(copy)])
    assert data.main() == 1
    assert capsys.readouterr().err.startswith(f"{copy / NAMES[1]} is damaged")


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
