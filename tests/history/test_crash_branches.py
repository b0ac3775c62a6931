"""kill -9 as a run goes on from another, or is changed on the way: no half run, and the parent as it was."""

import os
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from crashes import BODY, CONFIGS, GONE, Nursery, Points, Server, wait_for
from histories import points_in

from config import MODEL_NAMES


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


def kept(runs: Path, run: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return the points of each model of a run, as the file has them, without their seconds."""
    database = sqlite3.connect(runs / "history.sqlite")
    try:
        return {
            model: [(step, epoch, *rest) for step, epoch, _, *rest in points_in(database, model, run)]
            for model in MODEL_NAMES
        }
    finally:
        database.close()


def fork_and_die(nursery: Nursery, tmp_path: Path, reference: Points, number: int) -> bool:
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
    nursery: Nursery, tmp_path: Path, reference: Points, numbers: range
) -> None:
    answered = [fork_and_die(nursery, tmp_path, reference, number) for number in numbers]
    print(f"of {len(answered)} forks {sum(answered)} were answered before the kill")


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_server_killed_at_each_of_100_writes_of_a_fork(nursery: Nursery, tmp_path: Path, reference: Points) -> None:
    for number in range(1, 101):
        fork_and_die(nursery, tmp_path, reference, number)


def continue_and_die(nursery: Nursery, tmp_path: Path, two_epochs: Path, reference: Points, number: int) -> bool:
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
    reference: Points,
    numbers: range,
) -> None:
    answered = [continue_and_die(nursery, tmp_path, two_epochs, reference, number) for number in numbers]
    print(f"of {len(answered)} runs {sum(answered)} had gone on before the kill")


@pytest.mark.parametrize("numbers", [range(1, 25, 3)], ids=str)
def test_server_killed_as_a_model_is_steered_has_the_change_or_has_it_not(
    nursery: Nursery, tmp_path: Path, reference: Points, numbers: range
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
