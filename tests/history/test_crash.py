"""kill -9 of servers that are really training: nothing saved is lost or torn, and the run goes on to the bit."""

import os
import random
import shutil
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from crashes import BODY, Nursery, Points, check_after_the_kill, lost_seconds, saved, wait_for
from helpers import PATIENCE

from config import MODEL_NAMES

MOST_LOST = 1.0  # seconds of points that a kill may cost


def kill_at_random(nursery: Nursery, tmp_path: Path, reference: Points, kills: int, seed: int) -> list[float]:
    """Kill a training server again and again, each time resume what it was at; return the seconds lost each time."""
    runs, chance, lost = tmp_path / "runs", random.Random(seed), []
    server = nursery.server(runs)
    server.wait_until_ready()
    run: str | None = None
    for _ in range(kills):
        server.start_or_resume(run)
        assert server.run is not None
        run = server.run
        poller = threading.Thread(target=server.poll_until_dead)
        poller.start()
        time.sleep(chance.uniform(0.02, 1.6))  # the point is that nobody knows when
        server.kill()
        poller.join(PATIENCE)
        states, points, steps = saved(runs, tmp_path)
        assert set(states.values()) <= {"idle", "running"}
        lost.append(lost_seconds(server, points, steps, reference))
        server = check_after_the_kill(nursery, runs, run, entered=True)
    server.start_or_resume(run)  # it comes on, be the machine ever so busy
    wait_for(lambda: server.ask("/api/metrics")["models"]["model1"]["step"] > 100, "training after all kills")
    time.sleep(2 * MOST_LOST)
    server.kill()
    return lost


def test_training_server_killed_at_random_moments_loses_a_second_at_most_and_resumes(
    nursery: Nursery, tmp_path: Path, reference: Points
) -> None:
    lost = kill_at_random(nursery, tmp_path, reference, 20, seed=1)
    print(f"20 kills, lost {max(lost):.2f} s at most, {sum(lost) / len(lost):.2f} s on average")
    assert max(lost) <= MOST_LOST
    assert len(saved(tmp_path / "runs", tmp_path)[1]["model1"]) > 100  # it has come on


def test_run_that_was_killed_tells_from_where_it_goes_on_and_what_was_lost(nursery: Nursery, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    server = nursery.server(runs)
    server.wait_until_ready()
    run = server.ask("/api/start", {name: config | {"batch_size": 2} for name, config in BODY.items()})["run"]
    files = [runs / "checkpoints" / f"{run}.{name}.checkpoint" for name in MODEL_NAMES]
    for name, file in zip(MODEL_NAMES, files, strict=True):
        wait_for(file.exists, "checkpoint")
        reached = server.ask("/api/metrics")["models"][name]["step"]
        wait_for(
            lambda name=name, least=reached + 20: server.ask("/api/metrics")["models"][name]["step"] > least, "step"
        )  # type: ignore[misc]
        server.ask("/api/pause", {"model": name})
    wait_for(lambda: all("paused" in events for events in saved_events(runs).values()), "events on the disk")
    server.kill()
    after = check_after_the_kill(nursery, runs, run, entered=True)
    left = after.ask(f"/api/runs/{run}")
    for name, at in left["checkpoints"].items():
        assert 0 < at["step"] < left["models"][name]["step"]
        assert at == {"step": at["step"], "epoch": at["step"] / 512, "whole": True, "weights": True}
    after.start_or_resume(run)
    for name, model in after.ask("/api/metrics")["models"].items():
        at = left["checkpoints"][name]
        lost = f"at epoch {left['models'][name]['epoch']:.2f}, continued from {at['epoch']:.2f}"
        events = list(zip(*(model["events"][field] for field in ("kind", "detail", "step")), strict=True))
        assert events[0] == ("running", None, 0)
        assert events[1][:2] == ("undone", "paused")
        assert events[2:] == [("interrupted", lost, at["step"]), ("running", None, at["step"])]
    after.kill()


def test_server_told_to_end_while_it_saves_ends_within_5_seconds_and_saves_all(
    nursery: Nursery, tmp_path: Path, reference: Points
) -> None:
    run, chance = None, random.Random(2)
    for number, order in enumerate([signal.SIGTERM, signal.SIGINT] * 3):
        server = nursery.server(tmp_path / "runs")
        server.wait_until_ready()
        server.start_or_resume(run)
        run = server.run
        poller = threading.Thread(target=server.poll_until_dead)
        poller.start()
        time.sleep(chance.uniform(0.3, 0.9))
        asked = time.monotonic()
        os.kill(server.pid, order)
        wait_for(lambda server=server: not server.is_alive(), "end")  # type: ignore[misc]
        assert time.monotonic() - asked < 5
        poller.join(PATIENCE)
        wait_for(lambda number=number: nursery.errors.count("exit code 0\n") == number + 1, "exit code 0")  # type: ignore[misc]
        states, points, steps = saved(tmp_path / "runs", tmp_path)
        assert set(states.values()) == {"stopped"}
        assert lost_seconds(server, points, steps, reference) == 0.0
        assert {path.suffix for path in (tmp_path / "runs" / "checkpoints").iterdir()} <= {".checkpoint"}


def saved_events(runs: Path) -> dict[str, list[str]]:
    """Return what has happened to each model, as the file has it."""
    database = sqlite3.connect(f"file:{runs / 'history.sqlite'}?mode=ro", uri=True)
    try:
        rows = database.execute("SELECT model, kind FROM events ORDER BY number").fetchall()
    finally:
        database.close()
    return {name: [kind for model, kind in rows if model == name] for name in MODEL_NAMES}


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(10))
def test_many_more_kills(nursery: Nursery, tmp_path: Path, reference: Points, seed: int) -> None:
    lost = kill_at_random(nursery, tmp_path, reference, 50, seed=100 + seed)
    print(f"50 kills, lost {max(lost):.2f} s at most")
    assert max(lost) <= MOST_LOST


def kill_at_write(nursery: Nursery, tmp_path: Path, reference: Points, number: int) -> None:
    runs = tmp_path / f"runs{number}"
    server = nursery.server(runs, die_at=number)
    server.wait_until_ready()
    if server.is_alive():
        server.start_or_resume(None)
        server.poll_until_dead()
    wait_for(lambda: not server.is_alive(), f"death at write {number}")
    states, points, steps = saved(runs, tmp_path) if (runs / "history.sqlite").exists() else ({}, {}, {})
    lost_seconds(server, points, steps, reference)  # no gap, nothing torn, the same numbers
    entries = set(states)
    assert entries in (set(), set(MODEL_NAMES)), "half a run"
    run = None
    if entries:
        with sqlite3.connect(runs / "history.sqlite") as database:
            (run,) = database.execute("SELECT id FROM runs").fetchone()
        database.close()
    after = check_after_the_kill(nursery, runs, run, entered=bool(entries))
    reached = steps.get("model1", 0)
    after.start_or_resume(run)
    wait_for(lambda: after.ask("/api/metrics")["models"]["model1"]["step"] > reached + 5, "training after the crash")
    after.kill()
    shutil.rmtree(runs)


@pytest.mark.parametrize("numbers", [range(1, 13), range(13, 40, 2), range(40, 100, 5)], ids=str)
def test_server_killed_at_its_nth_write_leaves_nothing_torn(
    nursery: Nursery, tmp_path: Path, reference: Points, numbers: range
) -> None:
    for number in numbers:
        kill_at_write(nursery, tmp_path, reference, number)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_server_killed_at_each_of_300_writes_leaves_nothing_torn(
    nursery: Nursery, tmp_path: Path, reference: Points
) -> None:
    for number in range(1, 301):
        kill_at_write(nursery, tmp_path, reference, number)
