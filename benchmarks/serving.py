"""A real server in a process of its own, for the benchmarks that measure it from outside."""

import json
import socket
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

ROOT = Path(__file__).resolve().parent.parent


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
