"""The files of FashionMNIST: damaged, missing, fetched, verified."""

import gzip
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets.utils

import data
from data import CHECKSUMS, DatasetError
from training.images import load_fashion_mnist

ROOT = Path(__file__).resolve().parent.parent
NAMES = list(CHECKSUMS)
NOWHERE = Path("/nowhere")
MIRROR, PACKAGE = data.SOURCES


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

    def is_down(folder: Path, report: Callable[[str], None]) -> Path:
        raise OSError("network is down")

    def has_no_apt(folder: Path, report: Callable[[str], None]) -> Path:
        raise OSError("this machine has no apt")

    monkeypatch.setitem(data.SOURCES, MIRROR, is_down)
    monkeypatch.setitem(data.SOURCES, PACKAGE, has_no_apt)


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
    assert "download from mirror: network is down; unpack Debian package: this machine has no apt" in message
    assert "github.com/zalandoresearch/fashion-mnist" in message


def test_missing_file_is_fetched_again(copy: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / NAMES[0]).unlink()
    monkeypatch.setitem(data.SOURCES, MIRROR, copying(data_dir))
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
    monkeypatch.setitem(data.SOURCES, MIRROR, copying(data_dir, count=count, then=broken))
    monkeypatch.setitem(data.SOURCES, PACKAGE, copying(data_dir, count=count, then=broken))
    with pytest.raises(DatasetError, match="could not be fetched"):
        data.fetch_files(tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_interrupt_during_a_download_leaves_no_file_behind(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(folder: Path, report: Callable[[str], None]) -> Path:
        copying(data_dir)(folder, report)
        raise KeyboardInterrupt

    monkeypatch.setitem(data.SOURCES, MIRROR, interrupted)
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

    monkeypatch.setitem(data.SOURCES, MIRROR, corrupt)
    monkeypatch.setitem(data.SOURCES, PACKAGE, copying(data_dir))
    assert data.fetch_files(tmp_path, quiet) == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    assert data.read_idx(tmp_path / NAMES[3]).shape == (10_000,)


def test_second_source_is_left_alone_when_the_first_delivers(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setitem(data.SOURCES, MIRROR, copying(data_dir))
    monkeypatch.setitem(data.SOURCES, PACKAGE, lambda folder, report: asked.append(folder))
    data.fetch_files(tmp_path, quiet)
    assert asked == []


def test_next_try_after_a_cut_off_download_succeeds(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(data.SOURCES, MIRROR, copying(data_dir, count=2, then=OSError("cut off")))
    monkeypatch.setitem(data.SOURCES, PACKAGE, copying(data_dir, count=2, then=OSError("cut off")))
    with pytest.raises(DatasetError, match="cut off"):
        data.fetch_files(tmp_path, quiet)
    monkeypatch.setitem(data.SOURCES, PACKAGE, copying(data_dir))
    assert data.find_files(data.fetch_files(tmp_path, quiet)) == tmp_path


def test_machine_without_apt_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: tuple[str, int], timeout: float) -> None:
        raise OSError("network is down")

    monkeypatch.setattr(data.socket, "create_connection", refuse)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DatasetError, match=r"network is down.*this machine has no apt"):
        data.fetch_files(tmp_path, quiet)


def test_mirror_is_asked_for_the_four_files_by_name_and_checksum(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, str]] = []

    def deliver(url: str, root: str, filename: str, md5: str) -> None:
        asked.append((filename, root, md5))
        shutil.copy(data_dir / filename, root)

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", deliver)
    monkeypatch.setattr(data.socket, "create_connection", lambda address, timeout: data.socket.socket())
    reported: list[str] = []
    data.fetch_files(tmp_path, reported.append)
    assert sorted(name for name, _, _ in asked) == sorted(NAMES)
    assert all(Path(root).parent == tmp_path and len(md5) == 32 for _, root, md5 in asked)
    assert len(reported) == 4
    assert all(line.startswith("Downloading http") for line in reported)


@pytest.mark.skipif(not shutil.which("apt-get"), reason="Debian's package needs apt")
def test_debian_package_really_delivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data.SOURCES, MIRROR, copying(tmp_path / "absent"))  # raises FileNotFoundError
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
