"""What heavy load does: 10,000 polls a minute beside 100 idle and slow clients, a million points, two trainers.

    python benchmarks/load.py [--seconds 60] [--points 1000000] [--clients 100] [--json]

A history of a million points, half of them of each model, is made up, with checkpoints that stand at its end, and
resumed by the real server: so it trains on, at full speed, behind all that. Slowing is measured in turns with and
without the polls. The polls are those of pages, over connections that are kept: by cursor, gzipped, and one in a
hundred for the whole history, as when a page is opened. The pages' own share of the processor counts as slowing
too: they run here.
"""

import argparse
import gzip
import io
import json
import math
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from serving import ROOT, Server, percentile, resident_megabytes, running_server

sys.path.insert(0, str(ROOT))

from config import MODEL_NAMES, ModelConfig
from metrics import Event, MetricsLog, Point, Status
from store import RunStore

POLLS_PER_SECOND = 10_000 / 60
PAGES = 20  # threads that poll
WHOLE_EVERY = 100  # polls
TURN = 5.0  # seconds of one measurement of the training speed
CURSOR = re.compile(rb'"boot":"(\w+)","run":"([\w-]+)","next":(\d+)')
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
RUN = "20260101-000000-load"
CONFIG = ModelConfig(batch_size=32, epochs=500)


def make_history(runs: Path, points: int) -> None:
    """Write a run of so many points, half of them of each model, that has checkpoints at its end."""
    import torch

    from data import load_fashion_mnist
    from engine import Engine

    engine = Engine(CONFIG, load_fashion_mnist(ROOT / "data"), torch.device("cpu"))
    steps = max(1, points // 2 // engine.steps_per_epoch) * engine.steps_per_epoch
    engine.step = steps
    file = io.BytesIO()
    torch.save({"engine": engine.state(), "elapsed_seconds": steps * 0.01, "running_accuracy": []}, file)
    store, log = RunStore(runs), MetricsLog(MODEL_NAMES, keep_unsaved=True)
    status = Status("stopped", config=CONFIG.model_dump(mode="json"), step=steps, epoch=steps / engine.steps_per_epoch)
    for model in MODEL_NAMES:
        log.publish(model, status, [], [], [Event("running", 0, 0.0, 0.0)])
    store.record(RUN, log, dict.fromkeys(MODEL_NAMES, CONFIG), {})
    for model in MODEL_NAMES:
        for first in range(1, steps + 1, 50_000):
            chunk = range(first, min(first + 50_000, steps + 1))
            rows = [
                Point(
                    step,
                    step / engine.steps_per_epoch,
                    step * 0.01,
                    2 / math.sqrt(step) + 0.1 * math.sin(step * 1.7) ** 2,
                    0.9,
                )
                for step in chunk
            ]
            log.publish(model, status, rows)
            store.save()
        store.save_checkpoint(RUN, model, file.getvalue())
    store.close()


class Pollers:
    """Pages that poll together at the wanted rate until stopped; they note the seconds and bytes of each answer."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.deltas: list[tuple[float, int]] = []
        self.wholes: list[tuple[float, int]] = []
        self.errors = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._poll, args=(page,)) for page in range(PAGES)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _poll(self, page: int) -> None:
        interval = PAGES / POLLS_PER_SECOND
        query = ""
        due = time.perf_counter() + interval * page / PAGES
        number = page * WHOLE_EVERY // PAGES  # not all pages are opened at once
        with Connection(self.server) as connection:
            while not self._stop.wait(max(0.0, due - time.perf_counter())):
                due += interval
                number += 1
                whole = number % WHOLE_EVERY == 0 or not query
                began = time.perf_counter()
                try:
                    body = connection.get("/api/metrics" + ("" if whole else query))
                except OSError:
                    self.errors += 1
                    connection.open()
                    continue
                (self.wholes if whole else self.deltas).append((time.perf_counter() - began, len(body)))
                text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
                query = "?boot={}&run={}&since={}".format(*(part.decode() for part in CURSOR.search(text).groups()))  # type: ignore[union-attr]


class Connection:
    """A kept connection that costs its own process next to nothing: http.client would take more than the server."""

    def __init__(self, server: Server) -> None:
        self._port = int(server.url.rsplit(":", 1)[1])
        self.open()

    def open(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)

    def get(self, path: str) -> bytes:
        """Return the body of an answer. Raises OSError where there is none, or another than 200."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, body = received.split(b"\r\n\r\n", 1)
        length = LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            raise OSError(head.split(b"\r\n")[0].decode())
        while len(body) < int(length.group(1)):
            body += self._receive()
        return body

    def _receive(self) -> bytes:
        received = self._socket.recv(65536)
        if not received:
            raise ConnectionError("the server has closed the connection")
        return received

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def idle_and_slow_clients(server: Server, count: int) -> list[socket.socket]:
    """Open connections that say nothing, stop in the midst of a header, or never read their answer."""
    port = int(server.url.rsplit(":", 1)[1])
    clients = []
    for number in range(count):
        client = socket.create_connection(("127.0.0.1", port), timeout=30)
        if number % 3 == 1:
            client.sendall(b"POST /api/start HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        if number % 3 == 2:
            client.sendall(b"GET /vendor/plotly.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        clients.append(client)
    return clients


def steps_per_second(server: Server, seconds: float) -> float:
    """Return both trainers' steps a second."""

    def steps() -> tuple[float, int]:
        answer = server.get(f"/api/metrics?{urlencode(cursor())}")
        return time.perf_counter(), sum(model["step"] for model in answer.json["models"].values())

    def cursor() -> dict[str, Any]:
        """One behind the newest: an answer of a few points, that still tells both models' step."""
        return {"boot": first["boot"], "run": first["run"], "since": first["next"]}

    first = server.get("/api/metrics").json
    time.sleep(0.5)
    began, before = steps()
    time.sleep(seconds)
    ended, after = steps()
    return (after - before) / (ended - began)


def measure(seconds: float, points: int, clients: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        make_history(Path(folder), points)
        with running_server(Path(folder)) as server:
            server.wait_for("/api/config", lambda answer: answer["status"] == "ready")
            began = time.perf_counter()
            server.post(f"/api/runs/{RUN}/resume", {})
            resumed = time.perf_counter() - began
            server.wait_for("/api/metrics", lambda answer: answer["models"]["model1"]["batches_per_second"])
            sockets = idle_and_slow_clients(server, clients)
            memory = [resident_megabytes(server.process.pid)]
            ratios, seen, wholes, errors, polled_seconds = [], list[tuple[float, int]](), [], 0, 0.0
            for _ in range(max(1, round(seconds / (2 * (TURN + 1))))):
                pollers = Pollers(server)
                start = time.perf_counter()
                pollers.start()
                polled = steps_per_second(server, TURN)
                pollers.stop()
                polled_seconds += time.perf_counter() - start
                alone = steps_per_second(server, TURN)
                ratios.append(polled / alone)
                seen += pollers.deltas
                wholes += pollers.wholes
                errors += pollers.errors
                memory.append(resident_megabytes(server.process.pid))
            for client in sockets:
                client.close()
    took = [each for each, _ in seen]
    return {
        "polls": len(seen) + len(wholes),
        "polls_per_minute": 60 * (len(seen) + len(wholes)) / polled_seconds,
        "errors": errors,
        "delta_p50_ms": 1000 * statistics.median(took),
        "delta_p99_ms": 1000 * percentile(took, 0.99),
        "all_p99_ms": 1000 * percentile(took + [each for each, _ in wholes], 0.99),
        "delta_largest_bytes": max(size for _, size in seen),
        "whole_p50_ms": 1000 * statistics.median(each for each, _ in wholes),
        "whole_p99_ms": 1000 * percentile([each for each, _ in wholes], 0.99),
        "whole_largest_bytes": max(size for _, size in wholes),
        "slowing": [1 - ratio for ratio in ratios],
        "memory_mb": memory,
        "resumed_in_seconds": resumed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.seconds, options.points, options.clients)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    slowing, memory = result.pop("slowing"), result.pop("memory_mb")
    print(
        f"training slowed by {statistics.median(slowing):.1%} (from {min(slowing):.1%} to {max(slowing):.1%}, "
        f"n = {len(slowing)}); memory {memory[0]:.0f} MB before, {memory[-1]:.0f} MB after"
    )
    for name, value in result.items():
        print(f"{name.replace('_', ' ')}: {value:,.1f}" if isinstance(value, float) else f"{name}: {value:,}")


if __name__ == "__main__":
    main()
