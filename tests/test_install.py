"""The install: which PyTorch is taken, by what the machine has and what PyTorch's index answers."""

import socket
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import install

PINS = {"torch": "2.15.0", "torchvision": "0.29.2"}
PYTHON = f"cp{sys.version_info.major}{sys.version_info.minor}"


@contextmanager
def index_in(folder: Path) -> Iterator[str]:
    """Serve a folder as a package index, give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """An index that has both packages for this Python."""
    for name, version in PINS.items():
        (tmp_path / name).mkdir()
        wheel = f"{name}-{version}%2Bcpu-{PYTHON}-{PYTHON}-manylinux_2_28_x86_64.whl"
        (tmp_path / name / "index.html").write_text(f'<a href="/whl/cpu/{wheel}#sha256=0">{wheel}</a>')
    with index_in(tmp_path) as address:
        yield address


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What pip would have been asked to install."""
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(install, "pip", lambda *arguments: asked.append(arguments) or 0)
    return asked


def put_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


def test_pins_are_those_of_the_requirements() -> None:
    pins = install.pytorch_pins(install.REQUIREMENTS.read_text())
    assert set(pins) == {"torch", "torchvision"}
    assert install.are_installed(pins), "these tests run in the environment that was installed"
    assert not install.are_installed(pins | {"torch": "0.0.1"})
    assert not install.are_installed({"no-such-package": "1"})


def test_a_gpu_is_one_that_the_driver_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not install.has_nvidia_gpu()
    put_nvidia_smi(tmp_path, monkeypatch, "echo 'GPU 0: NVIDIA H100 (UUID: GPU-1)'")
    assert install.has_nvidia_gpu()
    put_nvidia_smi(tmp_path, monkeypatch, "echo 'NVIDIA-SMI has failed'; exit 9")
    assert not install.has_nvidia_gpu()


def test_the_index_must_have_both_for_this_python(index: str, tmp_path: Path) -> None:
    assert install.has_cpu_build(PINS, index)
    assert not install.has_cpu_build(PINS | {"torch": "2.15.1"}, index)
    page = tmp_path / "torchvision" / "index.html"
    page.write_text(page.read_text().replace(PYTHON, "cp27"))
    assert not install.has_cpu_build(PINS, index)
    page.unlink()
    page.parent.rmdir()
    assert not install.has_cpu_build(PINS, index)


def test_an_index_that_does_not_answer_is_not_waited_for() -> None:
    with socket.socket() as deaf:  # takes connections and never says a word
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        assert not install.has_cpu_build(PINS, address, patience=0.2)
    assert not install.has_cpu_build(PINS, address, patience=0.2)  # refused now


def test_without_a_gpu_the_cpu_only_build_is_taken(
    index: str, taken: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "has_nvidia_gpu", lambda: False)
    install.choose_pytorch(PINS, index)
    assert taken == [("torch==2.15.0", "torchvision==0.29.2", "--index-url", index)]
    assert capsys.readouterr().out == f"No NVIDIA GPU is found: installing PyTorch's CPU-only build from {index}.\n"


@pytest.mark.parametrize(("has_gpu", "why"), [(True, "An NVIDIA GPU is there"), (False, "does not offer")])
def test_else_the_ordinary_one_comes_with_the_rest(
    has_gpu: bool,
    why: str,
    tmp_path: Path,
    taken: list[tuple[str, ...]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(install, "has_nvidia_gpu", lambda: has_gpu)
    with index_in(tmp_path) as empty:
        install.choose_pytorch(PINS, empty)
    assert taken == []
    said = capsys.readouterr().out
    assert why in said
    assert "5 GB" in said


def test_everything_is_there_so_pip_has_nothing_to_do(taken: list[tuple[str, ...]]) -> None:
    assert install.main() == 0
    assert taken == [("-r", str(install.REQUIREMENTS))]
