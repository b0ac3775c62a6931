"""A real server in a process of its own, for the benchmarks that measure it from outside."""

import json
import math
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent
SETTLE = 0.5  # seconds from a change to what is measured


def spread(shares: list[float]) -> str:
    """Return mean, standard error, median and range of shares of one, as text."""
    error = statistics.stdev(shares) / math.sqrt(len(shares)) if len(shares) > 1 else math.nan
    return (
        f"{statistics.mean(shares):.1%} in the mean, standard error {error:.1%}, "
        f"median {statistics.median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%}, n = {len(shares)})"
    )


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: its body as it came over the wire, and the seconds it took."""

    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]
    started: float  # perf_counter when the process was launched

    def get(self, path: str, *, compressed: bool = False) -> Answer:
        headers = {"Accept-Encoding": "gzip"} if compressed else {}
        return self._call(urllib.request.Request(self.url + path, headers=headers))

    def post(self, path: str, body: object) -> Answer:
        headers = {"Content-Type": "application/json"}
        return self._call(urllib.request.Request(self.url + path, json.dumps(body).encode(), headers))

    def wait_for(self, path: str, condition: Any, interval: float = 0.02) -> Any:
        """Ask again and again until the answer meets the condition; return the answer's JSON."""
        deadline = time.perf_counter() + 120
        while time.perf_counter() < deadline:
            try:
                answer = self.get(path).json
            except (urllib.error.URLError, ConnectionError) as error:
                if self.process.poll() is not None:
                    raise RuntimeError(f"The server has ended with exit code {self.process.returncode}") from error
                answer = None
            if answer is not None and condition(answer):
                return answer
            time.sleep(interval)
        raise TimeoutError(f"{path} did not come to what was awaited")

    def _call(self, request: urllib.request.Request) -> Answer:
        start = time.perf_counter()
        with urllib.request.urlopen(request, timeout=30) as response:
            return Answer(response.read(), time.perf_counter() - start)


class Progress:
    """How fast both trainers go, as the server tells it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cursor: dict[str, Any] = {}

    def epochs_per_second(self, seconds: float) -> float:
        """Return both trainers' speed over so long in which no epoch ends: evaluations take the time of many steps."""
        while True:
            time.sleep(SETTLE)
            began, before = self._epochs()
            time.sleep(seconds)
            ended, after = self._epochs()
            if all(math.ceil(before[model]) == math.ceil(after[model]) for model in before):
                return (sum(after.values()) - sum(before.values())) / (ended - began)

    def _epochs(self) -> tuple[float, dict[str, float]]:
        """Return the time and how far each model is, with as little of the history as can be asked for."""
        answer = self._server.get(f"/api/metrics?{urlencode(self._cursor)}").json
        self._cursor = {"boot": answer["boot"], "run": answer["run"], "since": answer["next"]}
        return time.perf_counter(), {name: model["epoch"] for name, model in answer["models"].items()}


@contextmanager
def running_server(runs_dir: Path | None = None) -> Iterator[Server]:
    """Run `python server.py` on a free port, with an empty history if none is given; end it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as empty:
        command = [sys.executable, "server.py", "--port", str(port), "--runs-dir", str(runs_dir or empty)]
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield Server(f"http://127.0.0.1:{port}", process, started)
        finally:
            process.terminate()
            process.wait(timeout=30)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def resident_megabytes(pid: int) -> float:
    """Return the resident memory of a process (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmRSS")
