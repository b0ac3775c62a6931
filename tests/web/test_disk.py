"""Room on the disk: what the history takes is told, and what was asked for is given up, and nothing else."""

import shutil
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import as_json, quick
from histories import checkpoint_file
from served import ENDLESS, QUICK, error_of, finish, metrics_of, start, strict, wait_for_steps, wait_until

from config import MODEL_NAMES
from history.store import RunStore
from server import create_app
from web.monitor import Monitor


@pytest.fixture
def store(client: FlaskClient, monitor: Monitor) -> RunStore:
    return monitor.store


def addresses(run: str) -> list[str]:
    return [f"{run}/{model}" for model in MODEL_NAMES]


def told(client: FlaskClient, *trainings: str) -> dict[str, Any]:
    found: dict[str, Any] = strict(client.get("/api/disk", query_string={"training": list(trainings)}))["trainings"]
    return found


def give_up(client: FlaskClient, keep: str, *trainings: str) -> Any:
    response = client.post("/api/disk/checkpoints", json={"trainings": list(trainings), "keep": keep})
    assert response.status_code == 200, response.text
    return strict(response)


def files(store: RunStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store.directory / "checkpoints").iterdir()}


def test_disk_is_told_in_bytes(client: FlaskClient, store: RunStore) -> None:
    empty = strict(client.get("/api/disk"))
    assert (empty["checkpoints"], empty["runs"]) == (0, 0)
    run = finish(client)
    store.save()
    usage = strict(client.get("/api/disk"))
    assert usage["checkpoints"] == sum(map(len, files(store).values()))
    assert usage["runs"] == 1
    parts = [path.stat().st_size for path in store.directory.rglob("*") if path.is_file()]
    assert usage["bytes"] == sum(parts)
    history = [path.stat().st_size for path in store.directory.glob("history.sqlite*") if not path.name.endswith("shm")]
    assert usage["history"] == sum(history) > empty["history"]
    assert abs(usage["free"] - shutil.disk_usage(store.directory).free) < 2**30
    first, second = (told(client, *addresses(run))[address] for address in addresses(run))
    assert first == first | {"checkpoint": "whole", "checkpoint_bytes": len(files(store)[f"{run}.model1.checkpoint"])}
    assert 3_000 < first["history_bytes"] < 50_000
    assert second["history_bytes"] > 3_000


def test_training_that_is_not_in_the_history_is_left_out(client: FlaskClient, store: RunStore) -> None:
    run, gone = finish(client), finish(client)
    assert client.post(f"/api/runs/{gone}/delete", json={}).status_code == 200
    assert list(told(client, f"{run}/model2", f"{run}/model3", f"{gone}/model1", "none/model1")) == [f"{run}/model2"]


def test_reduced_and_dropped_checkpoints_give_their_room_back(client: FlaskClient, store: RunStore) -> None:
    run = finish(client)
    store.save()
    first, second = addresses(run)
    before = strict(client.get("/api/disk"))["checkpoints"]
    whole = told(client, first, second)
    reduced = give_up(client, "weights", first, first)
    after = told(client, first, second)
    assert reduced == {"freed": whole[first]["checkpoint_bytes"] - after[first]["checkpoint_bytes"], "trainings": 1} | {
        "refused": {}
    }
    assert after[first]["checkpoint_bytes"] < whole[first]["checkpoint_bytes"] / 2
    assert (after[first]["checkpoint"], after[second]) == ("weights", whole[second])
    assert give_up(client, "weights", first) == {"freed": 0, "trainings": 1, "refused": {}}  # it is
    dropped = give_up(client, "nothing", first, second)
    assert dropped["freed"] == before - reduced["freed"]
    assert [each["checkpoint"] for each in told(client, first, second).values()] == [None, None]
    assert strict(client.get("/api/disk"))["checkpoints"] < 300
    assert give_up(client, "weights", first) == {"freed": 0, "trainings": 1, "refused": {}}  # nothing to reduce
    assert give_up(client, "nothing", first)["freed"] == 0
    kept = strict(client.get(f"/api/runs/{run}"))["checkpoints"]["model1"]
    assert (kept["step"], kept["whole"], kept["weights"]) == (4, False, False)


def test_what_is_on_is_left_alone_and_the_rest_is_done(client: FlaskClient, store: RunStore, monitor: Monitor) -> None:
    old = finish(client)
    run = start(client, as_json({"model1": quick(batch_size=256)}) | {"model2": ENDLESS["model2"]})
    wait_until(client, "finished", "model1")
    wait_for_steps(client, "model2", 100)  # an epoch, and so a checkpoint
    assert monitor.control.comparison is not None
    monitor.control.comparison.trainers["model1"].join(60)
    first, second = addresses(run)
    for keep in ("weights", "nothing"):
        answer = give_up(client, keep, first, second, *addresses(old), "none/model1")
        assert answer["refused"] == {second: "it is still on", "none/model1": "it is not in the history"}
        assert answer["trainings"] == 3
    assert told(client, second)[second]["checkpoint"] == "whole"
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    assert client.post(f"/api/runs/{run}/resume", json={}).status_code == 202


def test_pair_that_a_series_may_go_on_with_is_left_alone(
    client: FlaskClient, store: RunStore, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = {"runs": 3, "model1": ENDLESS["model1"], "model2": ENDLESS["model1"] | {"dropout": 0.1}}
    assert client.post("/api/repeats", json=configs).status_code == 202
    wait_for_steps(client, "model2", 20)
    run = metrics_of(client)["run"]
    client.post("/api/repeats/stop", json={})
    monitor.repeats.join(60)
    with monkeypatch.context() as patched:
        patched.setattr(type(monitor.control), "is_series_on", True)
        answer = give_up(client, "nothing", *addresses(run))
    assert answer["refused"] == dict.fromkeys(addresses(run), "the repeats that are on may go on with it")
    assert give_up(client, "nothing", *addresses(run))["refused"] == {}


def test_checkpoint_that_cannot_be_read_is_named_and_stays(client: FlaskClient, store: RunStore) -> None:
    run = finish(client)
    store.save_checkpoint(run, "model1", b"weights of another program")
    store.save()
    path = checkpoint_file(store.directory, run, "model2")
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    first, second = addresses(run)
    answer = give_up(client, "weights", first, second)
    assert (answer["freed"], answer["trainings"]) == (0, 0)
    assert answer["refused"][first].startswith("its checkpoint cannot be read: ")
    assert answer["refused"][second] == "its checkpoint is damaged"
    store.save()
    assert set(files(store)) == {f"{run}.model1.checkpoint", f"{run}.model2.damaged"}
    assert "was damaged" in strict(client.get("/api/config"))["warning"]


@pytest.mark.parametrize("step", ["history.checkpoints.replace_file", "os.fsync", "os.replace"])
def test_full_disk_leaves_the_checkpoint_as_it_was(
    client: FlaskClient, store: RunStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    run = finish(client)
    store.save()
    before = files(store)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(step, full)
        answer = give_up(client, "weights", *addresses(run))
    assert answer["freed"] == 0
    assert answer["refused"] == dict.fromkeys(addresses(run), "its file could not be changed: No space left on device")
    assert files(store) == before


def test_later_checkpoint_is_never_replaced(
    client: FlaskClient, store: RunStore, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finish(client)
    store.save()
    whole = store.checkpoint(run, "model1")
    workshop = monitor.loading.workshop
    reduce = workshop.reduce

    def reduce_late(checkpoint: bytes) -> bytes:
        store.save_checkpoint(run, "model1", checkpoint + b"later")
        store.save()
        return bytes(reduce(checkpoint))

    monkeypatch.setattr(workshop, "reduce", reduce_late)
    answer = give_up(client, "weights", f"{run}/model1")
    assert answer["refused"] == {f"{run}/model1": "another checkpoint has come: try again"}
    assert store.checkpoint(run, "model1") == whole + b"later"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"keep": "weights"}, "trainings"),
        ({"keep": "weights", "trainings": []}, "trainings"),
        ({"keep": "weights", "trainings": "RUN/model1"}, "trainings"),
        ({"keep": "weights", "trainings": ["RUN"]}, "trainings"),
        ({"keep": "weights", "trainings": ["RUN/model1", None]}, "trainings"),
        ({"keep": "weights", "trainings": ["../../etc/passwd"]}, "trainings"),
        ({"keep": "weights", "trainings": ["RUN/model1"] * 1001}, "trainings"),
        ({"trainings": ["RUN/model1"]}, "keep"),
        ({"trainings": ["RUN/model1"], "keep": "whole"}, "keep"),
        ({"trainings": ["RUN/model1"], "keep": ["weights"]}, "keep"),
        ({"trainings": ["RUN/model1"], "keep": "nothing", "all": True}, "all"),
    ],
)
def test_request_that_cannot_be_understood_changes_nothing(
    client: FlaskClient, store: RunStore, body: Any, field: str
) -> None:
    run = finish(client, QUICK)
    store.save()
    before = files(store)
    if isinstance(body.get("trainings"), list):
        body = body | {"trainings": [each and each.replace("RUN", run) for each in body["trainings"]]}
    assert field in error_of(client.post("/api/disk/checkpoints", json=body), 400, "bad_request")["fields"]
    assert files(store) == before


@pytest.mark.parametrize("trainings", [[""], ["x"], ["x/y/z"], ["x/model1"] * 101])
def test_trainings_that_cannot_be_told_of_are_refused(client: FlaskClient, trainings: list[str]) -> None:
    response = client.get("/api/disk", query_string={"training": trainings})
    assert "training" in error_of(response, 400, "bad_request")["fields"]


def test_weights_are_reduced_once_pytorch_is_there_and_dropped_before(unloaded: Monitor) -> None:
    client = create_app(unloaded).test_client()
    body = {"trainings": ["none/model1"], "keep": "weights"}
    error_of(client.post("/api/disk/checkpoints", json=body), 503, "not_ready")
    assert client.post("/api/disk/checkpoints", json=body | {"keep": "nothing"}).status_code == 200
