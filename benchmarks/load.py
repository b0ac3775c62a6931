"""What heavy load does: 10,000 polls a minute beside 100 idle and slow clients, a million points, two trainers.

    python benchmarks/load.py [--seconds 60] [--points 1000000] [--clients 100] [--json]

A history of a million points, half of them of each model, is made up, with checkpoints that stand at its end, and
resumed by the real server: so it trains on, at full speed, behind all that. Slowing is measured in turns with and
without the polls. The polls are those of pages, over connections that are kept: by cursor, gzipped, and one in a
hundred for the whole history, as when a page is opened. The pages' own share of the processor counts as slowing
too: they run here.
"""

import argparse
import heapq
import io
import json
import math
import os
import re
import selectors
import socket
import statistics
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import Any

from serving import ROOT, Progress, Server, percentile, resident_megabytes, running_server, spread

sys.path.insert(0, str(ROOT))

from config import MODEL_NAMES, ModelConfig
from history.log import MetricsLog
from history.records import Event, Point, Status
from history.store import RunStore

POLLS_PER_SECOND = 10_000 / 60
PAGES = 20
WHOLE_EVERY = 100  # polls
TURN = 3.0  # seconds of one measurement of the training speed
CURSOR = re.compile(rb'"boot":"(\w+)","run":"([\w-]+)","next":(\d+)')
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
RUN = "20260101-000000-load"
CONFIG = ModelConfig(batch_size=32, epochs=500)


def make_history(runs: Path, points: int) -> None:
    """Write a run of so many points, half of them of each model, that has checkpoints at its end."""
    import torch

    from training.engine import Engine
    from training.images import load_fashion_mnist

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
    """Pages that poll together at the wanted rate until stopped; they note the seconds and bytes of each answer.

    One thread drives them all, so that they take little of the processor that the server and the trainers need.
    `busy` is the processor time that they take nevertheless, in seconds.
    """

    def __init__(self, server: Server) -> None:
        self.deltas: list[tuple[float, int]] = []
        self.wholes: list[tuple[float, int]] = []
        self.errors = 0
        self.busy = 0.0
        self.polling = 0.0  # seconds
        self._stop = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._pages = [Page(int(server.url.rsplit(":", 1)[1]), number) for number in range(PAGES)]
        for page in self._pages:
            page.open(self._selector)

    def start(self) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _poll(self) -> None:
        began, busy = time.perf_counter(), time.thread_time()
        interval = PAGES / POLLS_PER_SECOND
        due = [(began + interval * number / PAGES, number) for number in range(PAGES)]  # a heap
        while len(due) < PAGES or not self._stop.is_set():
            wait = due[0][0] - time.perf_counter() if due and not self._stop.is_set() else 0.1
            for key, _ in self._selector.select(max(0.0, wait)):
                page: Page = key.data
                try:
                    size = page.receive()
                except OSError:
                    self.errors += 1
                    page.open(self._selector)
                    size = 0
                if size is not None:
                    (self.wholes if page.whole else self.deltas).append((time.perf_counter() - page.asked, size))
                    heapq.heappush(due, (page.due + interval, page.number))
            while due and due[0][0] <= time.perf_counter() and not self._stop.is_set():
                at, number = heapq.heappop(due)
                self._pages[number].ask(at)
        self.busy += time.thread_time() - busy
        self.polling += time.perf_counter() - began


class Page:
    """A page's connection, which is kept; http.client would take more of the processor than the server."""

    def __init__(self, port: int, number: int) -> None:
        self.number = number
        self.due = self.asked = 0.0
        self.whole = True
        self._port = port
        self._polls = number * WHOLE_EVERY // PAGES  # not all are opened at once
        self._query = ""
        self._received = b""
        self._socket: socket.socket | None = None

    def open(self, selector: selectors.BaseSelector) -> None:
        self.close(selector)
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        selector.register(self._socket, selectors.EVENT_READ, self)

    def close(self, selector: selectors.BaseSelector) -> None:
        if self._socket:
            selector.unregister(self._socket)
            self._socket.close()
        self._socket = None

    def ask(self, due: float) -> None:
        """Poll by cursor, or for the whole history as a page does that is opened."""
        self._polls += 1
        self.whole = self._polls % WHOLE_EVERY == 0 or not self._query
        self._received = b""
        self.due, self.asked = due, time.perf_counter()
        query = "" if self.whole else self._query
        request = f"GET /api/metrics{query} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
        self._socket.sendall(request.encode())  # type: ignore[union-attr]

    def receive(self) -> int | None:
        """Return the bytes of the answer's body once it is complete. Raises OSError where there is no good one."""
        received = self._socket.recv(65536)  # type: ignore[union-attr]
        if not received:
            raise ConnectionError("the server has closed the connection")
        self._received += received
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not end:
            return None
        if not head.startswith(b"HTTP/1.1 200") or length is None:
            raise OSError(head.split(b"\r\n")[0].decode())
        if len(body) < int(length.group(1)):
            return None
        text = zlib.decompressobj(wbits=31).decompress(body, 500) if body[:2] == b"\x1f\x8b" else body
        boot, run, since = CURSOR.search(text).groups()  # type: ignore[union-attr]
        self._query = f"?boot={boot.decode()}&run={run.decode()}&since={since.decode()}"
        return len(body)


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
            pollers, progress, ratios = Pollers(server), Progress(server), []
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                pollers.start()
                polled = progress.epochs_per_second(TURN)
                pollers.stop()
                ratios.append(polled / progress.epochs_per_second(TURN))
                memory.append(resident_megabytes(server.process.pid))
            for client in sockets:
                client.close()
    deltas, wholes = ([took for took, _ in some] for some in (pollers.deltas, pollers.wholes))
    return {
        "polls": len(deltas + wholes),
        "polls_per_minute": 60 * len(deltas + wholes) / pollers.polling,
        "errors": pollers.errors,
        "delta_p50_ms": 1000 * statistics.median(deltas),
        "delta_p99_ms": 1000 * percentile(deltas, 0.99),
        "all_p99_ms": 1000 * percentile(deltas + wholes, 0.99),
        "delta_largest_bytes": max(size for _, size in pollers.deltas),
        "whole_p50_ms": 1000 * statistics.median(wholes),
        "whole_p99_ms": 1000 * percentile(wholes, 0.99),
        "whole_largest_bytes": max(size for _, size in pollers.wholes),
        "slowing": [1 - ratio for ratio in ratios],
        "pollers_share_of_all_cores": pollers.busy / pollers.polling / (os.cpu_count() or 1),
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
    print(f"training slowed by {spread(slowing)}")
    print(f"of it the pollers' own processor time: {result.pop('pollers_share_of_all_cores'):.1%}")
    print(f"memory {memory[0]:.0f} MB before, {memory[-1]:.0f} MB after")
    for name, value in result.items():
        print(f"{name.replace('_', ' ')}: {value:,.1f}" if isinstance(value, float) else f"{name}: {value:,}")


if __name__ == "__main__":
    main()
