"""The rule that keeps the newest runs able to go on: set by the user alone, done at once and after each run's end."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import wait_for
from histories import history_file
from served import ENDLESS, error_of, finish, open_monitor, start, strict, wait_for_steps

from config import MODEL_NAMES
from server import create_app
from web.monitor import Monitor


def set_rule(client: FlaskClient, runs: int | None) -> int:
    response = client.post("/api/disk/rule", json={"keep_whole": runs})
    assert response.status_code == 200, response.text
    answer = strict(response)
    assert answer == {"keep_whole": runs, "freed": answer["freed"]}
    assert strict(client.get("/api/disk"))["keep_whole"] == runs
    return int(answer["freed"])


def kept(monitor: Monitor, *runs: str) -> list[str | None]:
    """Return what is kept of the checkpoints of both models of some runs, one word for each run."""
    monitor.store.save()
    found = [{told and told.kept for model in MODEL_NAMES for told in [monitor.store.told(run, model)]} for run in runs]
    return [each.pop() if len(each) == 1 else "not the same of both" for each in found]


def size(client: FlaskClient) -> int:
    return int(strict(client.get("/api/disk"))["checkpoints"])


def test_rule_reduces_older_runs_at_once_and_after_each_run(client: FlaskClient, monitor: Monitor) -> None:
    runs = [finish(client) for _ in range(3)]
    assert strict(client.get("/api/disk"))["keep_whole"] is None
    assert kept(monitor, *runs) == ["whole"] * 3
    before = size(client)
    freed = set_rule(client, 2)
    assert kept(monitor, *runs) == ["weights", "whole", "whole"]
    assert freed == before - size(client) > 0
    assert set_rule(client, 2) == 0
    runs.append(finish(client))
    wait_for(lambda: kept(monitor, runs[1]) == ["weights"], "end of the rule's work")
    assert kept(monitor, *runs) == ["weights", "weights", "whole", "whole"]
    assert set_rule(client, None) == 0
    runs.append(finish(client))
    monitor.room.close()
    assert kept(monitor, *runs) == ["weights", "weights", "whole", "whole", "whole"]


def test_rule_is_kept_over_a_restart_and_does_then_what_was_left(runs_dir: Path) -> None:
    monitor = open_monitor(runs_dir)
    runs = [finish(create_app(monitor).test_client()) for _ in range(2)]
    monitor.store.room.set_keep_whole(1)  # as one that is killed before it has done more
    monitor.close()
    monitor = open_monitor(runs_dir)
    try:
        client = create_app(monitor).test_client()
        assert strict(client.get("/api/disk"))["keep_whole"] == 1
        assert kept(monitor, *runs) == ["whole", "whole"]
        runs.append(finish(client))
        wait_for(lambda: kept(monitor, *runs) == ["weights", "weights", "whole"], "end of the rule's work")
    finally:
        monitor.close()


def test_run_that_is_on_is_left_alone_whatever_its_age(client: FlaskClient, monitor: Monitor) -> None:
    old = start(client, ENDLESS)
    wait_for_steps(client, "model1", 20)
    client.post("/api/stop", json={})
    assert monitor.control.comparison is not None
    assert monitor.control.comparison.join(60)
    newer = finish(client)
    assert client.post(f"/api/runs/{old}/resume", json={}).status_code == 202  # the older one is on now
    assert set_rule(client, 1) == 0
    assert kept(monitor, old, newer) == ["whole", "whole"]
    client.post("/api/pause", json={})
    client.post("/api/stop", json={"model": "model1"})
    wait_for(lambda: not monitor.control.comparison.trainers["model1"].is_alive(), "end of model 1")  # type: ignore[union-attr]
    assert set_rule(client, 1) == 0
    client.post("/api/stop", json={})
    wait_for(lambda: monitor.store.told(old, "model2") is not None, "checkpoint")
    assert monitor.control.comparison.join(60)
    wait_for(lambda: told_of(monitor, old) == {"weights"}, "end of the rule's work")
    assert kept(monitor, newer) == ["whole"]


def told_of(monitor: Monitor, run: str) -> set[str]:
    return {told.kept for model in MODEL_NAMES if (told := monitor.store.told(run, model))}


def test_deleted_runs_are_not_counted_and_stay_as_they_are(client: FlaskClient, monitor: Monitor) -> None:
    runs = [finish(client) for _ in range(3)]
    for run in (runs[0], runs[2]):
        assert client.post(f"/api/runs/{run}/delete", json={}).status_code == 200
    set_rule(client, 1)
    assert kept(monitor, *runs) == ["whole"] * 3
    assert client.post(f"/api/runs/{runs[2]}/restore", json={}).status_code == 200
    set_rule(client, 1)
    assert kept(monitor, *runs) == ["whole", "weights", "whole"]


def test_work_of_the_rule_that_fails_is_told_in_the_log_and_done_after_the_next_run(
    client: FlaskClient, monitor: Monitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = finish(client)
    set_rule(client, 1)

    def fail(_: int) -> Any:
        raise RuntimeError("our own mistake")

    with monkeypatch.context() as patched:
        patched.setattr(monitor.store.room, "whole_beyond", fail)
        finish(client)
        wait_for(lambda: "checkpoints could not be reduced: our own mistake" in caplog.text, "message")
    assert kept(monitor, first) == ["whole"]
    finish(client)
    wait_for(lambda: kept(monitor, first) == ["weights"], "end of the rule's work")


@pytest.mark.parametrize("value", ["50", "", "-1", "all"])
def test_rule_that_is_no_number_is_none(client: FlaskClient, monitor: Monitor, value: str) -> None:
    set_rule(client, 7)
    with history_file(monitor.store.directory) as database:
        database.execute("UPDATE choices SET value = ? WHERE id = 'keep_whole'", (value,))
    assert strict(client.get("/api/disk"))["keep_whole"] == (50 if value == "50" else None)


@pytest.mark.parametrize("body", [{}, *({"keep_whole": value} for value in (0, -1, 100_001, 1.5, "2", True, [], {}))])
def test_rule_that_cannot_be_is_refused(client: FlaskClient, monitor: Monitor, body: dict[str, Any]) -> None:
    error = error_of(client.post("/api/disk/rule", json=body), 400, "bad_request")
    assert "keep_whole" in error["fields"]
    assert monitor.store.room.keep_whole is None


def test_rule_waits_for_pytorch_and_none_does_not(unloaded: Monitor) -> None:
    client = create_app(unloaded).test_client()
    error_of(client.post("/api/disk/rule", json={"keep_whole": 3}), 503, "not_ready")
    assert strict(client.post("/api/disk/rule", json={"keep_whole": None})) == {"keep_whole": None, "freed": 0}
