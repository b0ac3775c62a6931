"""What a history costs: bytes on the disk, and the start, the list and the table with thousands of trainings in it.

    python benchmarks/histories.py --like runs [--trainings 0,1000,10000] [--starts 3] [--json]

The histories are made of copies of one run that was really trained, the first that --like holds: two models, all that
they have measured, their answers to 15,000 images, what was seen inside. Beside it, where they are installed, what
trackio and TensorBoard (tensorboardX) take for the same points.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from serving import ROOT, running_server

sys.path.insert(0, str(ROOT))

from history.records import Point
from history.store import RunStore
from history.tables import CHUNKS, MEASUREMENTS, MODELS, PREDICTIONS, RUNS
from history.trainings import SORTS
from server import create_app
from web.monitor import Monitor

PAGE = 50  # trainings, and runs
QUESTIONS = {  # for a page of the table of trainings
    "newest": "",
    "sorted": "sort=test_accuracy",
    "filtered": "config.optimizer=adam&state=finished&sort=loss&order=asc",
    "searched": "search=adam+0.003",
    "groups": "group=seed&sort=test_accuracy",
}
FILE = "history.sqlite"
TRAININGS_A_RUN = 2


def rows_of(like: Path) -> tuple[str, dict[str, list[tuple[Any, ...]]]]:
    """Return the id of a run, and its rows in each table without the run's name."""
    with contextlib.closing(sqlite3.connect(like / FILE)) as source:
        [(run,)] = source.execute("SELECT id FROM runs ORDER BY id LIMIT 1").fetchall()
        rows = {RUNS.name: source.execute(RUNS.select("WHERE id = ?"), (run,)).fetchall()}
        for table in (MODELS, *MEASUREMENTS):
            query = table.select("WHERE run = ? ORDER BY 1, 2", table.names[1:])
            rows[table.name] = source.execute(query, (run,)).fetchall()
    return run, rows


def fill(folder: Path, rows: dict[str, list[tuple[Any, ...]]], runs: int) -> None:
    """Make a history of so many copies of a run, of ten seeds and ever other settings."""
    RunStore(folder).close()
    with contextlib.closing(sqlite3.connect(folder / FILE)) as target:
        target.execute("PRAGMA synchronous = OFF")
        for number in range(runs):
            run = f"20260101-{number // 10_000:02}{number % 10_000:04}-{number:05x}bbb"
            for table in (RUNS, MODELS, *MEASUREMENTS):
                copies = [(run, *row) for row in rows[table.name]]
                if table is MODELS:
                    copies = [varied(row, number) for row in copies]
                target.executemany(table.insert(), copies)
            if number % 100 == 99:
                target.commit()
        target.commit()
        target.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def varied(row: tuple[Any, ...], number: int) -> tuple[Any, ...]:
    """Return a row of MODELS with settings and results that depend on the number of the copy."""
    model = dict(zip(MODELS.names, row, strict=True))
    chance = random.Random(f"{number} {model['model']}")
    config, status = json.loads(model["config"]), json.loads(model["status"])
    config |= {"seed": number % 10, "dropout": number // 10 % 50 / 100, "learning_rate": chance.choice([0.001, 0.003])}
    status |= {name: chance.random() for name in ("test_accuracy", "val_accuracy", "loss")} | {"config": config}
    return tuple((model | {"config": json.dumps(config), "status": json.dumps(status)}).values())


def bytes_of(like: Path) -> dict[str, float]:
    """Return bytes a point and, of a training, of its points, answers and all."""
    _, rows = rows_of(like)
    trainings = len(rows[MODELS.name])
    sizes = {table.name: sum(map(size_of, rows[table.name])) for table in (RUNS, MODELS, *MEASUREMENTS)}
    points = sum(len(points_of(like, model)) for model in ("model1", "model2"))
    return {
        "points a training": points / trainings,
        "bytes a point": sizes[CHUNKS.name] / points,
        "kB of answers a training": sizes[PREDICTIONS.name] / trainings / 1e3,
        "kB a training in all": sum(sizes.values()) / trainings / 1e3,
    }


def size_of(row: tuple[Any, ...]) -> int:
    """Return about how many bytes a row takes: its texts and blobs, eight for a number."""
    return sum(len(value) if isinstance(value, str | bytes) else 8 for value in row if value is not None)


def points_of(like: Path, model: str) -> list[Point]:
    """Return every point of one model."""
    run, _ = rows_of(like)
    store = RunStore(like)
    try:
        last = store.run_status(run, model).step
        return [point for portion in store.read(Point, run, model, last) for point in portion]
    finally:
        store.close()


def measure_start(folder: Path) -> dict[str, float]:
    """Return seconds to the page and to readiness."""
    with running_server(folder) as server:
        server.wait_for("/api/metrics", lambda answer: True, interval=0.005)
        server.get("/")
        page = time.perf_counter() - server.started
        server.wait_for("/api/config", lambda answer: answer["status"] == "ready")
        return {"page, s": page, "ready, s": time.perf_counter() - server.started}


def measure_list(folder: Path) -> dict[str, float]:
    """Return seconds to open the history and to check it whole; milliseconds and kB of a page of the list."""
    began = time.perf_counter()
    store = RunStore(folder)
    try:
        opened = time.perf_counter() - began
        store.wait_until_checked()
        checked = time.perf_counter() - began
        took = []
        for _ in range(5):
            began = time.perf_counter()
            page = store.runs(limit=PAGE)
            took.append(1000 * (time.perf_counter() - began))
    finally:
        store.close()
    size = len(json.dumps(page)) / 1e3
    return {"open, s": opened, "checked, s": checked, f"list of {PAGE}, ms": min(took), f"list of {PAGE}, kB": size}


def measure_table(folder: Path) -> dict[str, float]:
    """Return milliseconds and kB of a page of the table of trainings, as the server answers it, not compressed."""
    found: dict[str, float] = {}
    monitor = Monitor(folder / "no data", RunStore(folder))
    try:
        monitor.store.wait_until_checked()
        client = create_app(monitor).test_client()
        for name, query in QUESTIONS.items():
            took, size = measure_page(client, query)
            found |= {f"{name}, ms": took, f"{name}, kB": size}
        sorts = [measure_page(client, f"sort={sort}&order={order}") for sort in SORTS for order in ("asc", "desc")]
        found |= {"slowest sort, ms": max(took for took, _ in sorts), "largest, kB": max(size for _, size in sorts)}
    finally:
        monitor.close()
    return found


def measure_page(client: FlaskClient, query: str) -> tuple[float, float]:
    """Return milliseconds, the median of seven, and kB of a page of the table."""
    took = []
    for _ in range(7):
        began = time.perf_counter()
        answer = client.get(f"/api/trainings?limit={PAGE}&{query}")
        took.append(1000 * (time.perf_counter() - began))
    return statistics.median(took), len(answer.data) / 1e3


def measure(like: Path, trainings: int, starts: int) -> dict[str, float]:
    """Return the figures of a history of so many trainings: of the starts the median."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "runs"
        fill(folder, rows_of(like)[1], trainings // TRAININGS_A_RUN)
        size = (folder / FILE).stat().st_size / 1e6
        runs = [measure_start(folder) for _ in range(starts)]
        found = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        return {"MB": size} | found | measure_list(folder) | measure_table(folder)


# Peers


def measure_peers(points: list[Point]) -> dict[str, float | None]:
    """Return the bytes a point that others take for the same points; None where they are not installed."""
    return {name: peer(points) for name, peer in (("trackio", trackio), ("TensorBoard (tensorboardX)", tensorboard))}


def or_none(write: Callable[[list[Point], Path], None]) -> Callable[[list[Point]], float | None]:
    """Return what says how many bytes a point a peer's files have, None where it is not installed."""

    def measured(points: list[Point]) -> float | None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            try:
                write(points, Path(folder))
            except ImportError:
                return None
            files = [path for path in Path(folder).rglob("*") if path.is_file()]
            return sum(path.stat().st_size for path in files) / len(points)

    return measured


@or_none
def trackio(points: list[Point], folder: Path) -> None:
    importlib.import_module("trackio")
    code = """
import json, sys
import trackio
run = trackio.init(project="p", name="r", embed=False)
for step, epoch, seconds, loss, accuracy in json.load(sys.stdin):
    run.log({"epoch": epoch, "seconds": seconds, "loss": loss, "accuracy": accuracy}, step=step)
trackio.finish()
"""
    subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(points),
        text=True,
        check=True,
        env=os.environ | {"TRACKIO_DIR": str(folder), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
    )


@or_none
def tensorboard(points: list[Point], folder: Path) -> None:
    writer = importlib.import_module("tensorboardX").SummaryWriter(str(folder))
    for point in points:
        for name in ("epoch", "seconds", "loss", "accuracy"):
            writer.add_scalar(name, getattr(point, name), point.step)
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--like", type=Path, required=True, help="runs directory with a run to be copied")
    parser.add_argument("--trainings", default="0,1000,10000")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    RunStore(options.like).close()  # it may be of an earlier version
    sizes = bytes_of(options.like)
    peers = measure_peers(points_of(options.like, "model1"))
    counts = [int(count) for count in options.trainings.split(",")]
    histories = {count: measure(options.like, count, options.starts) for count in counts}
    if options.json:
        print(json.dumps({"sizes": sizes, "peers": peers, "histories": histories}, indent=2))
        return
    for name, value in sizes.items():
        print(f"{name}: {value:,.1f}")
    for name, peer in peers.items():
        print(f"{name}, bytes a point: {'not installed' if peer is None else f'{peer:,.0f}'}")
    print("| trainings | " + " | ".join(histories[counts[0]]) + " |")
    print("|---" * (1 + len(histories[counts[0]])) + "|")
    for count, figures in histories.items():
        print(f"| {count:,} | " + " | ".join(f"{value:,.2f}" for value in figures.values()) + " |")


if __name__ == "__main__":
    main()
