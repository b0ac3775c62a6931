"""The program `python server.py`: its options, its first line, signals, and clients that mean no good."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import PATIENCE, wait_for
from served import ENDLESS, ROOT, Program

from history.store import RunStore
from server import parse_arguments


@pytest.fixture
def without_torch(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH under which torch cannot be imported before the file `go` stands there."""
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "sitecustomize.py").write_text("""
import importlib.machinery, pathlib, sys, time

class Wait:
    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def execute_late(module):
            while not pathlib.Path(__file__).with_name("go").exists():
                time.sleep(0.02)
            execute(module)

        spec.loader.exec_module = execute_late
        return spec

sys.meta_path.insert(0, Wait())
""")
    return tmp_path / "late"


def test_page_is_there_before_torch_and_says_that_it_is_loading(
    program: Callable[..., Program], without_torch: Path
) -> None:
    server = program(python_path=without_torch)
    assert server.first_line == (
        f"FashionMNIST CNN Training Monitor on http://localhost:{server.port} (Ctrl-C to stop)\n"
    )
    status, page = server.ask("/")
    assert (status, "FashionMNIST CNN Training Monitor" in page) == (200, True)
    assert server.ask("/api/config")[1]["status"] == "loading"
    assert server.ask("/api/start", {})[0] == 503
    (without_torch / "go").touch()
    wait_for(server.is_ready, "readiness")
    assert server.ask("/api/describe", {})[1]["parameters"] == 422_026
    assert server.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_signal_while_loading_ends_the_program_with_0(
    program: Callable[..., Program], without_torch: Path, number: signal.Signals
) -> None:
    server = program(python_path=without_torch)  # sent as soon as the address is printed
    assert server.end(number) == 0


def test_signal_while_training_saves_the_run_and_exits_with_0(program: Callable[..., Program], tmp_path: Path) -> None:
    server = program()
    wait_for(server.is_ready, "readiness")
    _, answer = server.ask("/api/start", ENDLESS)
    wait_for(lambda: server.ask("/api/metrics")[1]["models"]["model2"]["step"] > 20, "training")
    before = server.ask("/api/metrics")[1]["models"]["model2"]["step"]
    asked = time.monotonic()
    assert server.end(signal.SIGTERM) == 0
    assert time.monotonic() - asked < 10
    store = RunStore(tmp_path / "runs")
    try:
        models = store.run(answer["run"]).view()[1]
        assert {model["state"] for model in models.values()} == {"stopped"}
        assert models["model2"]["step"] >= before
        assert models["model2"]["points"]["step"][-1] == models["model2"]["step"]
    finally:
        store.close()


def test_second_server_on_the_same_runs_is_refused(
    program: Callable[..., Program], without_torch: Path, tmp_path: Path
) -> None:
    program(python_path=without_torch)
    second = program()
    assert second.end() == 1
    assert second.output[1] == f"{tmp_path / 'runs'} is in use by another server: stop that one or give --runs-dir\n"


def test_port_in_use_is_named_in_one_line_at_once(program: Callable[..., Program], without_torch: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = program("--port", str(port), python_path=without_torch)  # torch would never load
        assert server.end() == 1
    assert server.first_line == ""
    assert re.fullmatch(rf"Cannot listen on 127\.0\.0\.1:{port} \(.+\): choose another with --port\n", server.output[1])


def test_unknown_host_is_named_in_one_line_at_once(program: Callable[..., Program], without_torch: Path) -> None:
    server = program("--host", "no such host", python_path=without_torch)
    assert server.end() == 1
    assert re.fullmatch(r"Cannot listen on no such host:\d+ \(.+\): choose another with --port\n", server.output[1])


@pytest.mark.parametrize("port", ["99999", "65536", "0", "-1", "http", "８０８０"])
def test_number_that_is_not_a_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments([f"--port={port}"])
    assert caught.value.code == 2
    assert f"argument --port: must be a whole number from 1 to 65535, got {port!r}" in capsys.readouterr().err


def test_endless_and_enormous_bodies_are_cut_off(program: Callable[..., Program], without_torch: Path) -> None:
    server = program(python_path=without_torch)
    head = f"POST /api/start HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Type: application/json\r\n"

    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
        sent = 0
        with contextlib.suppress(ConnectionError):  # it hangs up on us
            while sent < 50_000_000:  # far beyond the limit, and what lies in buffers on the way
                sent += connection.send(b"1000\r\n" + b" " * 4096 + b"\r\n")
        assert sent < 50_000_000
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        connection.sendall((head + "Content-Length: 1000000000\r\n\r\n{").encode())
        assert b" 413 " in connection.recv(100)
    assert server.ask("/api/config")[0] == 200


def test_beyond_loopback_a_token_is_printed_and_asked_for(program: Callable[..., Program], without_torch: Path) -> None:
    server = program("--host", "0.0.0.0", python_path=without_torch)
    found = re.search(r"\?token=([\w-]{32}) ", server.first_line)
    assert found
    assert server.ask("/api/config")[0] == 401
    assert server.ask("/api/start", {})[0] == 401
    bearer = {"Authorization": f"Bearer {found[1]}"}
    assert server.ask("/api/config", **bearer)[0] == 200
    assert server.end(signal.SIGTERM) == 0
    assert found[1] not in server.output[1]  # not in the log


def test_help_names_every_option() -> None:
    done = subprocess.run([sys.executable, "server.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    for option in ("--host", "--port", "--data-dir", "--runs-dir"):
        assert option in done.stdout
