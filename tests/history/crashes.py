"""Servers to be killed, and what is looked for afterwards."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import helpers
from helpers import PATIENCE, quick
from histories import points_in

from config import MODEL_NAMES

wait_for = partial(helpers.wait_for, pause=0.05)  # what is looked at asks a server, which is to train meanwhile
ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {
    "model1": quick(batch_size=32, epochs=500),
    "model2": quick(batch_size=48, epochs=500, optimizer="sgd", learning_rate=0.01, seed=1),
}
BODY = {name: config.model_dump(mode="json") for name, config in CONFIGS.items()}
GONE = (OSError, http.client.HTTPException)
Points = dict[str, list[tuple[float, ...]]]  # of each model: epoch, loss and accuracy of each step


class Nursery:
    """Starts servers in some milliseconds each (see crash_server.py)."""

    def __init__(self, data_dir: Path) -> None:
        command = [sys.executable, str(ROOT / "tests" / "history" / "crash_server.py"), str(data_dir)]
        self.process = subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.errors: list[str] = []
        threading.Thread(target=self._read_errors, daemon=True).start()
        assert self._line() == "ready"

    def server(self, runs: Path, die_at: int = 0, after: str = "") -> "Server":
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        assert self.process.stdin is not None
        order = {"port": port, "runs": str(runs), "die_at": die_at, "after": after}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Server(port, int(self._line()), runs)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError, ValueError):
                stream.close()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        with contextlib.suppress(ValueError):
            for line in self.process.stderr:
                self.errors.append(line)


class Server:
    def __init__(self, port: int, pid: int, runs: Path) -> None:
        self.port, self.pid, self.runs = port, pid, runs
        self.run: str | None = None
        self.seen: dict[str, dict[int, tuple[float, ...]]] = {name: {} for name in MODEL_NAMES}

    def ask(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return json.loads(response.read())

    def is_alive(self) -> bool:
        """Return whether any of its threads is left: only when the last has gone is the lock free."""
        return Path(f"/proc/{self.pid}").exists()

    def wait_until_ready(self) -> None:
        """Return when it can train, or is dead."""

        def is_ready() -> bool:
            try:
                return bool(self.ask("/api/config")["status"] == "ready")
            except GONE:
                return not self.is_alive()

        wait_for(is_ready, "server")

    def start_or_resume(self, run: str | None) -> None:
        try:
            self.run = self.ask(f"/api/runs/{run}/resume", {})["run"] if run else self.ask("/api/start", BODY)["run"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{error.code}: {error.read()[:300]!r}") from None
        except GONE:
            wait_for(lambda: not self.is_alive(), "death")

    def poll_until_dead(self) -> None:
        """See by cursor what a page sees."""
        cursor: dict[str, Any] = {}
        while True:
            try:
                news = self.ask(f"/api/metrics?{urlencode(cursor)}" if cursor else "/api/metrics")
            except GONE:
                return
            self.run = self.run or news["run"]
            for name, model in news["models"].items():
                columns = model["points"]
                rows = zip(*(columns[c] for c in ("step", "epoch", "seconds", "loss", "accuracy")), strict=True)
                self.seen[name] |= {row[0]: row[1:] for row in rows}
            cursor = {"boot": news["boot"], "run": news["run"] or "", "since": news["next"]}
            time.sleep(0.01)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: not self.is_alive(), "death")


def saved(runs: Path, tmp_path: Path) -> tuple[dict[str, str], dict[str, list[tuple[Any, ...]]], dict[str, int]]:
    """Read the dead server's files as they lie, from a copy: each model's state, points and last step."""
    copy = Path(shutil.copytree(runs, tmp_path / "copy", dirs_exist_ok=False))
    try:
        database = sqlite3.connect(copy / "history.sqlite")
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        states, steps = {}, {}
        for model, status in database.execute("SELECT model, status FROM models").fetchall():
            states[model], steps[model] = json.loads(status)["state"], json.loads(status)["step"]
        points = {model: points_in(database, model) for model in MODEL_NAMES}
        database.close()
        return states, points, steps
    finally:
        shutil.rmtree(copy)


def lost_seconds(
    server: Server,
    points: dict[str, list[tuple[Any, ...]]],
    steps: dict[str, int],
    reference: Points,
) -> float:
    """Return how many seconds of what was seen are not on disk; fail where what is there is not as it was seen."""
    lost = 0.0
    for model, rows in points.items():
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1)), "a gap"
        known = reference[model]
        assert [(row[1], row[3], row[4]) for row in rows[: len(known)]] == known[: len(rows)], "other numbers"
        seen = server.seen[model]
        stored = steps.get(model, 0)
        assert len(rows) >= stored
        for step, (epoch, seconds, loss, accuracy) in seen.items():
            if step <= stored:
                _, *saved_row = rows[step - 1]
                assert [float(f"{value:.6g}") for value in saved_row] == [epoch, seconds, loss, accuracy]
        if seen and max(seen) > stored:
            last = rows[stored - 1][2] if stored else 0.0
            lost = max(lost, seen[max(seen)][1] - last)
    return lost


def check_after_the_kill(nursery: Nursery, runs: Path, run: str | None, entered: bool) -> Server:
    """Start the next server and see that it shows the run as interrupted, whole and without a warning."""
    server = nursery.server(runs)
    server.wait_until_ready()
    assert server.is_alive(), nursery.errors[-20:]
    config = server.ask("/api/config")
    assert config["warning"] is None
    entries = {entry["id"]: entry for entry in server.ask("/api/runs")["runs"]}
    assert (run in entries) == entered
    if run and entered:
        assert {model["state"] for model in entries[run]["models"].values()} == {"interrupted"}
        shown = server.ask(f"/api/runs/{run}")["models"]
        for model in shown.values():
            assert model["points"]["step"] == [] or model["points"]["step"][-1] == model["step"]
    assert list((runs / "checkpoints").glob("*.part")) == []
    return server
