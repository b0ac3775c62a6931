"""kill -9 while checkpoints are reduced or dropped: each is the old one or what was wanted, whole."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from crashes import BODY, CONFIGS, GONE, Nursery, wait_for

from config import MODEL_NAMES
from history.checkpoints import CheckpointFiles
from history.store import RunStore
from training.checkpoint import reduce_to_weights


@pytest.fixture(scope="module")
def finished(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of one short run that has finished."""
    runs = tmp_path_factory.mktemp("finished") / "runs"
    server = nursery.server(runs)
    server.wait_until_ready()
    server.ask("/api/start", {name: config | {"epochs": 1} for name, config in BODY.items()})
    states: list[Any] = []

    def has_finished() -> bool:
        states[:] = [model["state"] for model in server.ask("/api/metrics")["models"].values()]
        return set(states) == {"finished"}

    wait_for(has_finished, "end of the run")
    os.kill(server.pid, signal.SIGTERM)
    wait_for(lambda: not server.is_alive(), "end of the server")
    return runs


def contents(runs: Path, run: str) -> dict[str, bytes | None]:
    """Return the checkpoint of each model as its file holds it; raises where one is damaged."""
    files = CheckpointFiles(runs / "checkpoints")
    return {model: files.read(run, model) for model in MODEL_NAMES}


@pytest.mark.parametrize("keep", ["weights", "nothing"])
def test_server_killed_as_checkpoints_are_given_up_leaves_the_old_or_the_new(
    nursery: Nursery, tmp_path: Path, finished: Path, keep: str
) -> None:
    ends = set()
    for number in range(1, 30):
        runs = Path(shutil.copytree(finished, tmp_path / f"{keep}{number}"))
        [run] = {path.name.partition(".")[0] for path in (runs / "checkpoints").iterdir()}
        old = contents(runs, run)
        new = {model: reduce_to_weights(data) if keep == "weights" else None for model, data in old.items() if data}
        server = nursery.server(runs, die_at=number, after="reduce")
        server.wait_until_ready()
        trainings = [f"{run}/{model}" for model in MODEL_NAMES]
        try:
            answer = server.ask("/api/disk/checkpoints", {"trainings": trainings, "keep": keep})
        except GONE:
            answer = None
        server.kill()
        left = contents(runs, run)
        assert [left[model] in (old[model], new[model]) for model in MODEL_NAMES] == [True, True]
        check_next_start(runs, run, keep, {model for model in MODEL_NAMES if left[model] != old[model]})
        ends.add(sum(left[model] != old[model] for model in MODEL_NAMES))
        if answer is not None:
            assert left == new
            break
        shutil.rmtree(runs)
    else:
        pytest.fail("it has never come to its end")
    assert ends == {0, 1, 2}


def check_next_start(runs: Path, run: str, keep: str, given_up: set[str]) -> None:
    """See that the next process tells what is kept, and has removed all that was left half done."""
    store = RunStore(runs)
    try:
        assert store.warning is None
        told = {model: store.told(run, model) for model in MODEL_NAMES}
        steps = {name: -(-1024 // config.batch_size) for name, config in CONFIGS.items()}
        assert told == {name: (steps[name], keep if name in given_up else "whole") for name in MODEL_NAMES}
    finally:
        store.close()
    assert {path.suffix for path in (runs / "checkpoints").iterdir()} <= {".checkpoint", ".dropped"}
    assert all(path.stat().st_size < 100 for path in (runs / "checkpoints").glob("*.dropped"))
