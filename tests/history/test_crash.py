"""kill -9 of servers that are really training: nothing saved is lost or torn, and the run goes on to the bit."""

import contextlib
import http.client
import json
import os
import random
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from helpers import PATIENCE, quick, train, wait_for

from config import MODEL_NAMES
from training.images import FashionMNIST

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {
    "model1": quick(batch_size=32, epochs=500),
    "model2": quick(batch_size=48, epochs=500, optimizer="sgd", learning_rate=0.01, seed=1),
}
BODY = {name: config.model_dump(mode="json") for name, config in CONFIGS.items()}
MOST_LOST = 1.0  # seconds of points that a kill may cost
GONE = (OSError, http.client.HTTPException)


class Nursery:
    """Starts servers in some milliseconds each (see crash_server.py)."""

    def __init__(self, data_dir: Path) -> None:
        command = [sys.executable, str(ROOT / "tests" / "history" / "crash_server.py"), str(data_dir)]
        self.process = subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
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


@pytest.fixture(scope="module")
def nursery(data_dir: Path) -> Iterator[Nursery]:
    nursery = Nursery(data_dir)
    yield nursery
    nursery.close()


@pytest.fixture(scope="module")
def reference(small_fashion_mnist: FashionMNIST) -> dict[str, list[tuple[float, ...]]]:
    """The first 30 epochs of the same run, never interrupted: (epoch, loss, accuracy) of each step."""
    log = train(
        small_fashion_mnist, **{name: config.model_copy(update={"epochs": 30}) for name, config in CONFIGS.items()}
    )
    return {name: [(p.epoch, p.loss, p.accuracy) for p in log.all_points[name]] for name in MODEL_NAMES}


def saved(runs: Path, tmp_path: Path) -> tuple[dict[str, str], dict[str, list[tuple[Any, ...]]], dict[str, int]]:
    """Read the dead server's files as they lie, from a copy: each model's state, points and last step."""
    copy = Path(shutil.copytree(runs, tmp_path / "copy", dirs_exist_ok=False))
    try:
        database = sqlite3.connect(copy / "history.sqlite")
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        states, steps = {}, {}
        for model, status in database.execute("SELECT model, status FROM models").fetchall():
            states[model], steps[model] = json.loads(status)["state"], json.loads(status)["step"]
        points = {
            model: database.execute(
                "SELECT step, epoch, seconds, loss, accuracy FROM points WHERE model = ? ORDER BY step", (model,)
            ).fetchall()
            for model in MODEL_NAMES
        }
        database.close()
        return states, points, steps
    finally:
        shutil.rmtree(copy)


def lost_seconds(
    server: Server,
    points: dict[str, list[tuple[Any, ...]]],
    steps: dict[str, int],
    reference: dict[str, list[tuple[float, ...]]],
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


def kill_at_random(
    nursery: Nursery, tmp_path: Path, reference: dict[str, list[tuple[float, ...]]], kills: int, seed: int
) -> list[float]:
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
    server.kill()
    return lost


def test_training_server_killed_at_random_moments_loses_a_second_at_most_and_resumes(
    nursery: Nursery, tmp_path: Path, reference: dict[str, list[tuple[float, ...]]]
) -> None:
    lost = kill_at_random(nursery, tmp_path, reference, 20, seed=1)
    print(f"20 kills, lost {max(lost):.2f} s at most, {sum(lost) / len(lost):.2f} s on average")
    assert max(lost) <= MOST_LOST
    assert len(saved(tmp_path / "runs", tmp_path)[1]["model1"]) > 100  # it has come on


def test_server_told_to_end_while_it_saves_ends_within_5_seconds_and_saves_all(
    nursery: Nursery, tmp_path: Path, reference: dict[str, list[tuple[float, ...]]]
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


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(10))
def test_many_more_kills(
    nursery: Nursery, tmp_path: Path, reference: dict[str, list[tuple[float, ...]]], seed: int
) -> None:
    lost = kill_at_random(nursery, tmp_path, reference, 50, seed=100 + seed)
    print(f"50 kills, lost {max(lost):.2f} s at most")
    assert max(lost) <= MOST_LOST


def kill_at_write(nursery: Nursery, tmp_path: Path, reference: dict[str, list[tuple[float, ...]]], number: int) -> None:
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
    nursery: Nursery, tmp_path: Path, reference: dict[str, list[tuple[float, ...]]], numbers: range
) -> None:
    for number in numbers:
        kill_at_write(nursery, tmp_path, reference, number)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_server_killed_at_each_of_300_writes_leaves_nothing_torn(
    nursery: Nursery, tmp_path: Path, reference: dict[str, list[tuple[float, ...]]]
) -> None:
    for number in range(1, 301):
        kill_at_write(nursery, tmp_path, reference, number)


# A run that goes on from another, and one that is changed on the way


@pytest.fixture(scope="module")
def two_epochs(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of one run, finished after two epochs."""
    runs = tmp_path_factory.mktemp("finished") / "runs"
    server = nursery.server(runs)
    server.wait_until_ready()
    server.ask("/api/start", {name: config | {"epochs": 2} for name, config in BODY.items()})
    wait_for(lambda: set(models_of(server, "state")) == {"finished"}, "end of the run")
    os.kill(server.pid, signal.SIGTERM)
    wait_for(lambda: not server.is_alive(), "end of the server")
    return runs


def models_of(server: Server, key: str) -> list[Any]:
    return [model[key] for model in server.ask("/api/metrics")["models"].values()]


def wait_for_both(server: Server, beyond: int) -> None:
    wait_for(lambda: min(models_of(server, "step")) > beyond, f"steps beyond {beyond}")


def call_and_die(server: Server, path: str, body: object) -> bool:
    """Return whether the server was still there to answer; kill it then."""
    try:
        server.ask(path, body)
    except GONE:
        wait_for(lambda: not server.is_alive(), "death")
        return False
    server.kill()
    return True


def kept(runs: Path, run: str, columns: str = "step, epoch, loss, accuracy") -> dict[str, list[tuple[Any, ...]]]:
    """Return the points of each model of a run, as the file has them."""
    database = sqlite3.connect(runs / "history.sqlite")
    try:
        return {
            model: database.execute(
                f"SELECT {columns} FROM points WHERE run = ? AND model = ? ORDER BY step", (run, model)
            ).fetchall()
            for model in MODEL_NAMES
        }
    finally:
        database.close()


def fork_and_die(nursery: Nursery, tmp_path: Path, reference: dict[str, list[tuple[float, ...]]], number: int) -> bool:
    """Kill a server at the n-th write after a fork; return whether it got as far as to answer."""
    runs = tmp_path / f"fork{number}"
    server = nursery.server(runs, die_at=number, after="fork")
    server.wait_until_ready()
    parent = server.ask("/api/start", BODY)["run"]
    wait_for_both(server, 40)  # an epoch, and so a checkpoint
    answered = call_and_die(server, "/api/fork", {"settings": {"dropout": 0.1}})
    after = nursery.server(runs)
    after.wait_until_ready()
    assert after.ask("/api/config")["warning"] is None
    entries = {entry["id"]: entry for entry in after.ask("/api/runs")["runs"]}
    assert parent in entries
    assert [path for path in (runs / "checkpoints").iterdir() if path.name[: len(parent)] not in entries] == []
    children = [entry for entry in entries.values() if entry["parent"] == {"run": parent, "kind": "forked"}]
    assert len(children) == len(entries) - 1 <= 1
    if answered:
        assert children, "answered, but not there"
    for child in children:
        run = child["id"]
        assert {model["state"] for model in child["models"].values()} == {"interrupted"}
        assert [child["models"][name]["config"]["dropout"] for name in MODEL_NAMES] == [0.5, 0.1]
        events = after.ask(f"/api/runs/{run}")["models"]["model2"]["events"]
        at = events["step"][events["kind"].index("forked")]
        assert at > 0
        after.start_or_resume(run)
        steps = {name: model["step"] for name, model in after.ask("/api/metrics")["models"].items()}
        assert min(steps.values()) >= at  # not from the beginning with the changed setting
        wait_for_both(after, at + 40)
        after.kill()
        points = kept(runs, run)
        for name in MODEL_NAMES:
            rows, known = points[name], reference["model1"]
            assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
            same = min(len(rows), len(known)) if name == "model1" else at
            assert [row[1:] for row in rows[:same]] == known[:same]
        after = nursery.server(runs)
        after.wait_until_ready()
    after.start_or_resume(parent)  # as it was, and able to go on
    reached = len(kept(runs, parent)["model1"])
    wait_for_both(after, reached)
    after.kill()
    for name, rows in kept(runs, parent).items():
        assert [row[1:] for row in rows[: len(reference[name])]] == reference[name][: len(rows)]
    shutil.rmtree(runs)
    return answered


@pytest.mark.parametrize("numbers", [range(1, 9), range(9, 33, 3), range(33, 63, 6)], ids=str)
def test_server_killed_in_a_fork_leaves_no_child_or_one_that_goes_on_from_there(
    nursery: Nursery, tmp_path: Path, reference: dict[str, list[tuple[float, ...]]], numbers: range
) -> None:
    answered = [fork_and_die(nursery, tmp_path, reference, number) for number in numbers]
    print(f"of {len(answered)} forks {sum(answered)} were answered before the kill")


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_server_killed_at_each_of_100_writes_of_a_fork(
    nursery: Nursery, tmp_path: Path, reference: dict[str, list[tuple[float, ...]]]
) -> None:
    for number in range(1, 101):
        fork_and_die(nursery, tmp_path, reference, number)


def continue_and_die(
    nursery: Nursery, tmp_path: Path, two_epochs: Path, reference: dict[str, list[tuple[float, ...]]], number: int
) -> bool:
    """Kill a server at the n-th write after a finished run is trained further; return whether it had answered."""
    runs = Path(shutil.copytree(two_epochs, tmp_path / f"continue{number}"))
    server = nursery.server(runs, die_at=number, after="continue_run")
    server.wait_until_ready()
    [parent] = server.ask("/api/runs")["runs"]
    shown = server.ask(f"/api/runs/{parent['id']}")
    answered = call_and_die(server, f"/api/runs/{parent['id']}/resume", {"more_epochs": 28})
    after = nursery.server(runs)
    after.wait_until_ready()
    assert after.ask("/api/config")["warning"] is None
    entries = {entry["id"]: entry for entry in after.ask("/api/runs")["runs"]}
    assert entries.pop(parent["id"]) == parent
    assert after.ask(f"/api/runs/{parent['id']}") | {"boot": None} == shown | {"boot": None}
    assert len(entries) <= 1
    assert entries or not answered
    for run in entries:
        after.start_or_resume(run)
        began = {name: 2 * -(-1024 // config.batch_size) for name, config in CONFIGS.items()}
        assert all(after.ask("/api/metrics")["models"][name]["step"] >= step for name, step in began.items())
        wait_for_both(after, 100)
        after.kill()
        for name, rows in kept(runs, run).items():
            assert [row[1:] for row in rows[: len(reference[name])]] == reference[name][: len(rows)]
    after.kill()
    shutil.rmtree(runs)
    return answered


@pytest.mark.parametrize("numbers", [range(1, 9), range(9, 40, 4)], ids=str)
def test_server_killed_as_a_finished_run_goes_on_leaves_it_as_it_was(
    nursery: Nursery,
    tmp_path: Path,
    two_epochs: Path,
    reference: dict[str, list[tuple[float, ...]]],
    numbers: range,
) -> None:
    answered = [continue_and_die(nursery, tmp_path, two_epochs, reference, number) for number in numbers]
    print(f"of {len(answered)} runs {sum(answered)} had gone on before the kill")


@pytest.mark.parametrize("numbers", [range(1, 25, 3)], ids=str)
def test_server_killed_as_a_model_is_steered_has_the_change_or_has_it_not(
    nursery: Nursery, tmp_path: Path, reference: dict[str, list[tuple[float, ...]]], numbers: range
) -> None:
    for number in numbers:
        runs = tmp_path / f"steer{number}"
        server = nursery.server(runs, die_at=number, after="steer")
        server.wait_until_ready()
        run = server.ask("/api/start", BODY)["run"]
        wait_for_both(server, 10)
        call_and_die(server, "/api/steer", {"model": "model1", "learning_rate": 0.0625})
        after = nursery.server(runs)
        after.wait_until_ready()
        after.start_or_resume(run)
        wait_for_both(after, 0)
        model = after.ask("/api/metrics")["models"]["model1"]
        events = zip(model["events"]["kind"], model["events"]["step"], strict=True)
        steered = [step for kind, step in events if kind == "steered"]
        assert model["learning_rate"] == (0.0625 if steered else BODY["model1"]["learning_rate"])
        wait_for_both(after, 60)
        os.kill(after.pid, signal.SIGTERM)  # all that it has done is saved
        wait_for(lambda after=after: not after.is_alive(), "end")  # type: ignore[misc]
        rows, same = kept(runs, run)["model1"], steered[0] if steered else 60
        assert [row[1:] for row in rows[:same]] == reference["model1"][:same]
        shutil.rmtree(runs)
