"""What serving costs: latency and size of polls, and how much two polling pages slow down training.

    python benchmarks/polling.py [--pairs 12] [--seconds 4] [--json]

Slowing is measured on one run of two default models, in turns with and without two pages that
poll by cursor every 2 s. The million-step history is made of synthetic points: the log does not know.
"""

import argparse
import gzip
import json
import math
import statistics
import sys
import threading
import time
from typing import Any
from urllib.parse import urlencode

from serving import ROOT, Progress, Server, percentile, running_server, spread

sys.path.insert(0, str(ROOT))

from config import MODEL_NAMES
from history.log import MetricsLog
from history.records import Point, Status

PAGES = 2
POLL_SECONDS = 2.0
MILLION = 1_000_000


def poll_by_cursor(server: Server, stop: threading.Event, interval: float, seen: list[tuple[float, int]]) -> None:
    """Poll as a page does until stopped; note seconds and bytes of each delta."""
    answer = server.get("/api/metrics", compressed=True)
    cursor: dict[str, Any] = {}
    while not stop.wait(interval):
        answer = server.get(f"/api/metrics?{urlencode(cursor)}", compressed=True)
        body = gzip.decompress(answer.body) if answer.body[:2] == b"\x1f\x8b" else answer.body
        if cursor:
            seen.append((answer.seconds, len(body)))
        news = json.loads(body)
        cursor = {"boot": news["boot"], "run": news["run"], "since": news["next"]}


def speed(progress: Progress, server: Server, seconds: float, pages: int, seen: list[tuple[float, int]]) -> float:
    """Return both trainers' epochs a second while `pages` pages poll."""
    stop = threading.Event()
    pollers = [threading.Thread(target=poll_by_cursor, args=(server, stop, POLL_SECONDS, seen)) for _ in range(pages)]
    for poller in pollers:
        poller.start()
    rate = progress.epochs_per_second(seconds)
    stop.set()
    for poller in pollers:
        poller.join()
    return rate


def million_step_history() -> tuple[int, int, float]:
    """Return bytes and gzipped bytes of the whole history after a million steps of two models, and µs per point."""
    log = MetricsLog(MODEL_NAMES)
    start = time.perf_counter()
    for model in MODEL_NAMES:
        for first in range(1, MILLION, 1000):
            points = [
                Point(step, step / 860, step * 0.0157, 2 / math.sqrt(step) + 0.1 * math.sin(step * 1.7) ** 2, 0.9)
                for step in range(first, first + 1000)
            ]
            log.publish(model, Status("running"), points)
    each = (time.perf_counter() - start) / (2 * MILLION)
    body = json.dumps(log.view()[1]).encode()
    return len(body), len(gzip.compress(body, 4)), each * 1e6


def measure(pairs: int, seconds: float) -> dict[str, Any]:
    with running_server() as server:
        server.wait_for("/api/config", lambda answer: answer["status"] == "ready")
        server.post("/api/start", {"model1": {"epochs": 500}, "model2": {"epochs": 500}})
        server.wait_for("/api/metrics", lambda answer: answer["models"]["model1"]["step"] > 300)
        seen: list[tuple[float, int]] = []
        progress, ratios = Progress(server), []
        for _ in range(pairs):
            polled = speed(progress, server, seconds, PAGES, seen)
            ratios.append(polled / speed(progress, server, seconds, 0, seen))
        dense: list[tuple[float, int]] = []
        stop = threading.Event()
        poller = threading.Thread(target=poll_by_cursor, args=(server, stop, 0.02, dense))
        poller.start()
        time.sleep(4 * seconds)
        stop.set()
        poller.join()
        server.post("/api/pause", {})
        settled = server.wait_for("/api/metrics", lambda a: all(m["state"] == "paused" for m in a["models"].values()))
        time.sleep(1)
        settled = server.get("/api/metrics").json
        cursor = urlencode({"boot": settled["boot"], "run": settled["run"], "since": settled["next"]})
        idle = len(server.get(f"/api/metrics?{cursor}").body)
    whole, zipped, each = million_step_history()
    return {
        "slowing": [1 - ratio for ratio in ratios],
        "poll_p50_ms": 1000 * statistics.median(took for took, _ in dense),
        "poll_p99_ms": 1000 * percentile([took for took, _ in dense], 0.99),
        "polls": len(dense),
        "largest_two_second_delta_bytes": max(size for _, size in seen),
        "idle_poll_bytes": idle,
        "million_steps_bytes": whole,
        "million_steps_gzipped_bytes": zipped,
        "microseconds_per_point": each,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.pairs, options.seconds)
    if options.json:
        print(json.dumps(result, indent=2))
        return
    slowing = result.pop("slowing")
    print(f"training slowed by {PAGES} polling pages: {spread(slowing)}")
    for name, value in result.items():
        print(
            f"{name.replace('_', ' ')}: {value:,.1f}"
            if isinstance(value, float)
            else f"{name.replace('_', ' ')}: {value:,}"
        )


if __name__ == "__main__":
    main()
