"""kill -9 while checkpoints are reduced or dropped: each is the old one or what was wanted, whole."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from crashes import BODY, CONFIGS, GONE, Nursery, Server, wait_for

from config import MODEL_NAMES
from history.checkpoints import CheckpointFiles
from history.store import RunStore
from training.checkpoint import reduce_to_weights


@pytest.fixture(scope="module")
def finished(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of two short runs that have finished."""
    runs = tmp_path_factory.mktemp("finished") / "runs"
    server = nursery.server(runs)
    server.wait_until_ready()
    for _ in range(2):
        server.ask("/api/start", {name: config | {"epochs": 1} for name, config in BODY.items()})
        wait_for(lambda: {each["state"] for each in models_of(server)} == {"finished"}, "end of the run")
    os.kill(server.pid, signal.SIGTERM)
    wait_for(lambda: not server.is_alive(), "end of the server")
    return runs


def models_of(server: Server) -> list[Any]:
    return list(server.ask("/api/metrics")["models"].values())


def contents(runs: Path, run: str) -> dict[str, bytes | None]:
    """Return the checkpoint of each model as its file holds it; raises where one is damaged."""
    files = CheckpointFiles(runs / "checkpoints")
    return {model: files.read(run, model) for model in MODEL_NAMES}


@pytest.mark.parametrize(("method", "keep"), [("reduce", "weights"), ("reduce", "nothing"), ("keep_whole", "weights")])
def test_server_killed_as_checkpoints_are_given_up_leaves_the_old_or_the_new(
    nursery: Nursery, tmp_path: Path, finished: Path, method: str, keep: str
) -> None:
    ends = set()
    for number in range(1, 40):
        runs = Path(shutil.copytree(finished, tmp_path / f"runs{number}"))
        run, newer = sorted({path.name.partition(".")[0] for path in (runs / "checkpoints").iterdir()})
        old, untouched = contents(runs, run), contents(runs, newer)
        new = {model: reduce_to_weights(data) if keep == "weights" else None for model, data in old.items() if data}
        server = nursery.server(runs, die_at=number, after=method)
        server.wait_until_ready()
        trainings = [f"{run}/{model}" for model in MODEL_NAMES]
        try:
            if method == "reduce":
                answer = server.ask("/api/disk/checkpoints", {"trainings": trainings, "keep": keep})
            else:
                answer = server.ask("/api/disk/rule", {"keep_whole": 1})
        except GONE:
            answer = None
        server.kill()
        left = contents(runs, run)
        assert [left[model] in (old[model], new[model]) for model in MODEL_NAMES] == [True, True]
        assert contents(runs, newer) == untouched
        given_up = {model for model in MODEL_NAMES if left[model] != old[model]}
        rule = check_next_start(runs, run, keep, given_up)
        assert rule == 1 if method == "keep_whole" and given_up else rule in (None, 1)
        ends.add(len(given_up))
        if answer is not None:
            assert left == new
            break
        shutil.rmtree(runs)
    else:
        pytest.fail("it has never come to its end")
    assert ends == {0, 1, 2}


def check_next_start(runs: Path, run: str, keep: str, given_up: set[str]) -> int | None:
    """See that the next process tells what is kept, and has removed all that was left half done; return its rule."""
    store = RunStore(runs)
    try:
        assert store.warning is None
        rule = store.room.keep_whole
        told = {model: store.told(run, model) for model in MODEL_NAMES}
        steps = {name: -(-1024 // config.batch_size) for name, config in CONFIGS.items()}
        assert told == {name: (steps[name], keep if name in given_up else "whole") for name in MODEL_NAMES}
    finally:
        store.close()
    assert {path.suffix for path in (runs / "checkpoints").iterdir()} <= {".checkpoint", ".dropped"}
    assert all(path.stat().st_size < 100 for path in (runs / "checkpoints").glob("*.dropped"))
    return rule
