"""Failures stay visible and local: a full disk, no memory, an exception, a missing file, a clock that jumps."""

import gc
import logging
import os
import re
import resource
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import PATIENCE, quick, wait_for
from served import ENDLESS, QUICK, Program, error_of, metrics_of, start, states, strict, wait_for_steps, wait_until

import train as train_module
from config import MODEL_NAMES
from data import DatasetError
from history import checkpoints
from history.checkpoints import replace_file
from history.records import Point
from history.store import RunStore, StoreError
from server import create_app
from training import checkpoint as checkpoint_module
from training.images import FashionMNIST
from web.monitor import Monitor

ROOT = Path(__file__).resolve().parents[2]


def mount(folder: Path, *options: str) -> None:
    """Mount a file system in memory, or skip the test where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=20)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip("file systems can only be mounted by root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    disk = tmp_path / "disk"
    mount(disk, "size=1m")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], timeout=20, check=True)


# The disk


def fill(disk: Path) -> Path:
    """Leave no room on a disk; return the file that takes it."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass
    return ballast


def test_full_disk_is_shown_training_goes_on_and_saving_resumes_by_itself(
    small_disk: Path,
    small_fashion_mnist: FashionMNIST,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """On a disk that is really full: SQLite's file, its log and the checkpoints get no room."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("training.images.load_fashion_mnist", lambda data_dir: small_fashion_mnist)
    monitor = Monitor(small_disk / "data", RunStore(small_disk / "runs"))
    try:
        monitor.loading.load()
        client = create_app(monitor).test_client()
        run = start(client, ENDLESS)
        wait_for_steps(client, "model1", 20)
        ballast = fill(small_disk)
        wait_for(lambda: "problem" in metrics_of(client), "a word about the full disk")
        reached = metrics_of(client)["models"]["model1"]["step"]
        wait_for_steps(client, "model1", reached + 200)  # epochs' ends among them
        whole = metrics_of(client)
        assert re.match(r"Not saved: .*(full|No space).*\. Training goes on; saving is tried again\.", whole["problem"])
        assert set(states(client).values()) == {"running"}
        error = error_of(client.post(f"/api/runs/{run}/rename", json={"name": "x"}), 503, "not_saved")
        assert error["message"].startswith("The history could not be changed: ")
        assert list((small_disk / "runs" / "checkpoints").glob("*.part")) == []
        ballast.unlink()
        wait_for(lambda: "problem" not in metrics_of(client), "saving again")
        assert client.post("/api/stop", json={}).status_code == 200
        assert monitor.control.comparison.join(60)
        monitor.store.save()
        for name, model in metrics_of(client)["models"].items():
            rows = [row for portion in monitor.store.read(Point, run, name, 10**9) for row in portion]
            assert [row.step for row in rows] == list(range(1, model["step"] + 1))
            checkpoint = monitor.store.checkpoint(run, name)
            assert checkpoint is not None
            assert checkpoint_module.header_of(checkpoint).step == model["step"]
        assert (
            len([line for line in caplog.messages if "not being saved" in line]) == 1
        )  # said once, not twice a second
        assert len([line for line in caplog.messages if "being saved again" in line]) == 1
    finally:
        monitor.close()


def test_read_only_disk_is_refused_at_the_start_in_one_line(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    mount(disk, "ro")
    try:
        with pytest.raises(StoreError, match=r"Cannot write runs to .*Read-only file system.*Give another --runs-dir"):
            RunStore(disk / "runs")
        command = [sys.executable, "server.py", "--runs-dir", str(disk / "runs"), "--port", "1"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert "Give another --runs-dir" in done.stderr
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], timeout=20, check=True)


@pytest.mark.parametrize("failing", ["fsync", "replace", "write"])
def test_file_is_the_old_one_where_writing_the_new_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "weights.checkpoint"
    replace_file(path, b"old")

    def fail(*anything: Any) -> None:
        raise OSError(28, "No space left on device")

    if failing == "write":
        path.with_suffix(".part").mkdir()  # it cannot be opened
    else:
        monkeypatch.setattr(checkpoints.os, failing, fail)
    with pytest.raises(OSError):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_file_and_folder_are_flushed_in_the_right_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        steps.append("folder" if Path(f"/proc/self/fd/{descriptor}").is_dir() else "file")
        fsync(descriptor)

    monkeypatch.setattr(checkpoints.os, "fsync", note_fsync)
    monkeypatch.setattr(checkpoints.os, "replace", lambda *names: (steps.append("rename"), replace(*names)))
    replace_file(tmp_path / "x.checkpoint", b"data")
    assert steps == ["file", "rename", "folder"]


def test_mistake_in_the_writer_is_logged_and_does_not_end_it(
    client: FlaskClient, monitor: Monitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*anything: Any) -> None:
        raise ZeroDivisionError("a mistake of ours")

    start(client, ENDLESS)
    with monkeypatch.context() as patched:
        patched.setattr("history.writer.write_batch", broken)
        wait_for(lambda: "a mistake of ours" in metrics_of(client).get("problem", ""), "a word about it")
        assert "Traceback" in caplog.text
    wait_for(lambda: "problem" not in metrics_of(client), "saving again")
    assert client.post("/api/stop", json={}).status_code == 200


# Memory


def test_model_that_runs_out_of_memory_fails_alone_and_gives_it_back(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a real limit on the process: the model's first convolution wants 3 GB more than there are."""
    engines: list[weakref.ref[Any]] = []

    class Watched(train_module.Engine):
        def __init__(self, *anything: Any) -> None:
            super().__init__(*anything)
            engines.append(weakref.ref(self))

    monkeypatch.setattr(train_module, "Engine", Watched)
    used = int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024  # type: ignore[index]
    limits = resource.getrlimit(resource.RLIMIT_AS)
    huge = quick(kernels=(1024,), kernel_sizes=(3,), batch_size=1024).model_dump(mode="json")  # 3.2 GB of maps
    resource.setrlimit(resource.RLIMIT_AS, (used + 2 * 10**9, limits[1]))
    try:
        start(client, {"model1": huge, "model2": ENDLESS["model2"]})
        wait_until(client, "failed", "model1")
        reached = metrics_of(client)["models"]["model2"]["step"]
        wait_for_steps(client, "model2", reached + 20)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    error = metrics_of(client)["models"]["model1"]["error"]
    assert error == "Out of memory. Start again with a smaller batch size or fewer kernels."

    def given_back() -> bool:
        gc.collect()
        return sum(engine() is not None for engine in engines) == 1

    wait_for(given_back, "memory given back")
    assert client.post("/api/stop", json={}).status_code == 200
    start(client, QUICK)
    wait_until(client, "finished")


# A trainer


def test_exception_in_a_trainer_is_shown_and_logged_and_the_next_start_works(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    step = train_module.Engine.train_step

    def stumble(engine: Any) -> None:
        if engine.config.seed == 0 and engine.step == 5:
            raise ValueError("the lecturer's cat <script>walked</script> over the keyboard")
        step(engine)

    with monkeypatch.context() as patched:
        patched.setattr(train_module.Engine, "train_step", stumble)
        run = start(client, ENDLESS)
        wait_until(client, "failed", "model1")
        assert states(client)["model2"] == "running"
    model = metrics_of(client)["models"]["model1"]
    assert model["error"] == "ValueError: the lecturer's cat <script>walked</script> over the keyboard"
    steps = model["points"]["step"]
    assert steps == [1, 2, 3, 4, 5][: len(steps)]  # those not read from the device yet are lost with it
    assert "Traceback" in caplog.text
    assert f"run {run}: model1 failed: the lecturer's cat" in caplog.text
    assert client.post("/api/stop", json={}).status_code == 200
    start(client, QUICK)
    wait_until(client, "finished")
    assert strict(client.get(f"/api/runs/{run}"))["models"]["model1"]["error"] == model["error"]


# The data set


def test_missing_data_set_can_be_put_there_without_a_restart(
    tmp_path: Path, small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = threading.Event()

    def load(data_dir: Path) -> FashionMNIST:
        if not there.is_set():
            raise DatasetError("train-images-idx3-ubyte.gz is missing: put it into data/")
        return small_fashion_mnist

    monkeypatch.setattr("training.images.load_fashion_mnist", load)
    monitor = Monitor(tmp_path / "data", RunStore(tmp_path / "runs"))
    try:
        monitor.loading.load()
        client = create_app(monitor).test_client()
        error = error_of(client.post("/api/start", json=QUICK), 503, "not_ready")
        assert error["message"] == "train-images-idx3-ubyte.gz is missing: put it into data/"
        wait_for(lambda: monitor.loading.status == "failed", "the second failure")
        there.set()
        assert client.post("/api/start", json=QUICK).status_code == 503  # and loads again
        wait_for(lambda: monitor.loading.status == "ready", "readiness")
        assert strict(client.get("/api/config"))["problem"] is None
        start(client, QUICK)
        wait_until(client, "finished")
    finally:
        monitor.close()


# The clock


def test_clock_that_jumps_a_day_changes_no_duration(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    now, jump = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: now() + jump[0])
    start(client, ENDLESS)
    began = time.monotonic()
    for jump[0] in (86_400.0, -86_400.0, 0.0):
        wait_for_steps(client, "model1", metrics_of(client)["models"]["model1"]["step"] + 100)
    assert client.post("/api/stop", json={}).status_code == 200
    took = time.monotonic() - began
    for model in metrics_of(client)["models"].values():
        seconds = model["points"]["seconds"]
        assert seconds == sorted(seconds)
        assert 0 < seconds[-1] <= model["elapsed_seconds"] + 0.01 <= took + 1
        assert model["batches_per_second"] is None or 0 < model["batches_per_second"] < 10**5


# Slow clients


def test_hundred_idle_and_slow_clients_hold_nobody_up(tmp_path: Path, data_dir: Path) -> None:
    server = Program(tmp_path / "runs", data_dir=data_dir)
    clients: list[socket.socket] = []
    try:
        for number in range(150):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
            clients.append(client)
            if number % 3 == 1:  # half a header
                client.sendall(b"POST /api/start HTTP/1.1\r\nHost: localhost\r\nContent-Le")
            if number % 3 == 2:  # a large answer that nobody reads
                client.sendall(b"GET /vendor/plotly.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for(server.is_ready, "readiness")
        assert server.ask("/api/start", ENDLESS)[0] == 202
        took = []
        for _ in range(100):
            began = time.perf_counter()
            assert server.ask("/api/metrics")[0] == 200
            took.append(time.perf_counter() - began)
        assert sorted(took)[98] < 1.0  # not stuck behind anyone; benchmarks/load.py measures how fast
        assert server.ask("/api/stop", {})[0] == 200
    finally:
        for client in clients:
            client.close()
        server.process.kill()
        server.process.communicate()


# The log


def test_log_tells_each_event_in_one_line_with_its_run_and_nothing_of_polls(
    client: FlaskClient, monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = start(client, ENDLESS)
    wait_for_steps(client, "model1", 10)
    for command in ("pause", "resume", "stop"):
        client.post(f"/api/{command}", json={})
    wait_until(client, "stopped")
    assert monitor.control.comparison is not None
    assert monitor.control.comparison.join(60)  # it tells its end after that can be seen
    before = len(caplog.messages)
    for path in ("/api/metrics", "/api/config", "/api/runs", f"/api/runs/{run}"):
        client.get(path)
    assert caplog.messages[before:] == []
    ours = [message for message in caplog.messages if message.startswith(f"run {run}: ")]
    assert len(ours) == len(caplog.messages)
    for model in MODEL_NAMES:
        told = [re.sub(r"\d+$", "n", one).removeprefix(f"run {run}: ") for one in ours if model in one]
        assert told == [f"{model} {state} at step n" for state in ("running", "paused", "running", "stopped")]
