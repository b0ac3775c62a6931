"""How long until the page is there, until training can start, and from the click to the first point.

python benchmarks/startup.py [--runs 5] [--json]
"""

import argparse
import json
import statistics
import time
from typing import Any

from serving import resident_megabytes, running_server


def measure_once() -> dict[str, float]:
    """Return seconds to page, to readiness and to the first point, and megabytes resident while training."""
    with running_server() as server:
        server.wait_for("/api/metrics", lambda answer: True, interval=0.005)
        server.get("/")
        page = time.perf_counter() - server.started
        server.wait_for("/api/config", lambda answer: answer["status"] == "ready")
        ready = time.perf_counter() - server.started
        clicked = time.perf_counter()
        server.post("/api/start", {})
        server.wait_for("/api/metrics", lambda answer: all(m["points"]["step"] for m in answer["models"].values()))
        first_point = time.perf_counter() - clicked
        server.wait_for("/api/metrics", lambda answer: answer["models"]["model1"]["evaluations"]["step"])
        return {
            "page_seconds": page,
            "ready_seconds": ready,
            "first_point_seconds": first_point,
            "resident_megabytes": resident_megabytes(server.process.pid),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = [measure_once() for _ in range(options.runs)]
    figures: dict[str, Any] = {name: [run[name] for run in runs] for name in runs[0]}
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, values in figures.items():
        middle, low, high = statistics.median(values), min(values), max(values)
        print(f"{name.replace('_', ' ')}: {middle:.2f} (from {low:.2f} to {high:.2f}, n = {len(values)})")


if __name__ == "__main__":
    main()
