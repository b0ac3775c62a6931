"""The history as a table: what the server sorts, filters, groups and compares is what plain Python would."""

import csv
import io
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from histories import CONFIGS
from served import Buffered, error_of, strict

from analysis.seeds import difference_of, mean_of
from config import MODEL_NAMES, ModelConfig
from history.log import MetricsLog
from history.records import Evaluation, Event, Status
from history.store import RunStore
from history.trainings import SORTS
from server import create_app
from web.monitor import Monitor

COUNT = 24  # runs
MEASURES = ("test_accuracy", "val_accuracy", "loss", "val_loss", "images_per_second")


def run_id(number: int) -> str:
    return f"202601{number + 1:02}-000000-{number:04x}"


def enter(store: RunStore, number: int, chance: random.Random) -> None:
    """Enter a run of random settings and results; of some nothing is known yet."""
    configs, log = {}, MetricsLog(MODEL_NAMES, keep_unsaved=True)
    for model in MODEL_NAMES:
        settings = {
            "seed": chance.randrange(4),
            "optimizer": chance.choice(["adam", "sgd"]),
            "kernels": chance.choice([(4,), (4, 8)]),
            "batch_norm": chance.choice([True, False]),
        }
        configs[model] = ModelConfig(**(CONFIGS[model].model_dump(exclude={"kernel_sizes"}) | settings))
        known = {name: round(chance.random(), 3) if chance.random() < 0.8 else None for name in MEASURES}
        state = chance.choice(["finished", "finished", "stopped", "failed"])
        told = {
            "step": 9,
            "epoch": chance.randrange(1, 9) / 2,
            "elapsed_seconds": chance.random() * 99,
            "parameters": 77,
        }
        config = configs[model].model_dump(mode="json")
        looks = [Evaluation(step, step / 9, step / 3, 0.5, round(chance.random(), 3)) for step in (3, 9)]
        known["val_accuracy"] = looks[-1].accuracy
        status = Status(state, config=config, **told, **known)
        log.publish(model, status, [], looks, flush=True)
    store.record(run_id(number), log, configs, {"device": chance.choice(["CPU, 2 cores", "NVIDIA H100"])})


def fill(store: RunStore) -> None:
    chance = random.Random(14)
    for number in range(COUNT):
        enter(store, number, chance)
        if number % 5 == 0:
            store.save()
            store.rename(run_id(number), f"Experiment {number}")
    store.save()
    store.delete(run_id(3))


def client_of(monitor: Monitor) -> FlaskClient:
    client = create_app(monitor).test_client()
    client.response_wrapper = Buffered
    return client


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    """A monitor of a history that is read alone."""
    folder = tmp_path_factory.mktemp("trainings")
    monitor = Monitor(folder / "data", RunStore(folder / "runs"))
    fill(monitor.store)
    yield monitor
    monitor.close()


@pytest.fixture(scope="module")
def reading(monitor: Monitor) -> FlaskClient:
    return client_of(monitor)


@pytest.fixture
def client(unloaded: Monitor) -> FlaskClient:
    """A client that may also write."""
    fill(unloaded.store)
    return client_of(unloaded)


def ask(client: FlaskClient, **query: Any) -> Any:
    response = client.get("/api/trainings", query_string={"limit": 100} | query)
    assert response.status_code == 200, response.text
    return strict(response)


def everything(client: FlaskClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(client)["trainings"]
    assert len(found) == 2 * (COUNT - 1)
    return found


def value_in(row: dict[str, Any], sort: str) -> Any:
    if sort.startswith("config."):
        value = row["config"][sort.removeprefix("config.")]
        return str(value).replace(" ", "") if isinstance(value, list) else value
    return row["parent"] and row["parent"]["run"] if sort == "parent" else row[sort]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", SORTS)
def test_any_column_sorts_with_the_unknown_last_and_the_newest_first(
    reading: FlaskClient, sort: str, order: str
) -> None:
    rows = everything(reading)  # the newest first
    known = [row for row in rows if value_in(row, sort) is not None]
    unknown = [row for row in rows if value_in(row, sort) is None]
    by_model = sorted(known, key=lambda row: row["model"])
    by_age = sorted(by_model, key=lambda row: (row["started"], row["run"]), reverse=True)
    expected = sorted(by_age, key=lambda row: value_in(row, sort), reverse=order == "desc")
    found = ask(reading, sort=sort, order=order)["trainings"]
    assert [row["training"] for row in found] == [row["training"] for row in [*expected, *unknown]]


CONDITIONS: dict[str, tuple[dict[str, str], Callable[[dict[str, Any]], bool]]] = {
    "setting": ({"config.optimizer": "sgd"}, lambda row: row["config"]["optimizer"] == "sgd"),
    "list": ({"config.kernels": "4,8"}, lambda row: row["config"]["kernels"] == [4, 8]),
    "truth": ({"config.batch_norm": "true"}, lambda row: row["config"]["batch_norm"] is True),
    "two": (
        {"config.seed": "2", "config.optimizer": "adam"},
        lambda row: (row["config"]["seed"], row["config"]["optimizer"]) == (2, "adam"),
    ),
    "state": ({"state": "stopped,failed"}, lambda row: row["state"] in ("stopped", "failed")),
    "name": ({"search": "EXPERIMENT 1"}, lambda row: "Experiment" in (row["name"] or "") and "1" in str(row)),
    "device": ({"search": "h100"}, lambda row: row["device"] == "NVIDIA H100"),
    "id": ({"search": run_id(7)}, lambda row: row["run"] == run_id(7)),
    "none": ({"search": "nowhere"}, lambda row: False),
    "wild cards": ({"search": "%"}, lambda row: False),
    "days": ({"after": "2999-01-01"}, lambda row: False),
    "until": ({"before": "2999-01-01"}, lambda row: True),
    "named": (
        {"training": f"{run_id(1)}/model2"},
        lambda row: row["training"] == f"{run_id(1)}/model2",
    ),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_is_looked_for_is_found_and_nothing_else(reading: FlaskClient, name: str) -> None:
    query, holds = CONDITIONS[name]
    expected = [row for row in everything(reading) if holds(row)]
    found = ask(reading, **query)
    assert [row["training"] for row in found["trainings"]] == [row["training"] for row in expected]
    assert found["total"] == len(expected)
    assert found["all"] == 2 * (COUNT - 1)
    apart = [key for key in CONFIGS["model1"].model_dump() if len({str(row["config"][key]) for row in expected}) > 1]
    assert sorted(found["differing"]) == sorted(apart)
    assert found["values"]["optimizer"] == ["adam", "sgd"]
    assert found["values"]["kernels"] == [[4], [4, 8]]


def test_pages_make_up_the_whole(reading: FlaskClient) -> None:
    rows = everything(reading)
    pages = [ask(reading, limit=7, offset=offset)["trainings"] for offset in range(0, len(rows), 7)]
    assert [row for page in pages for row in page] == rows
    assert ask(reading, offset=len(rows))["trainings"] == []


def test_best_accuracy_is_that_of_all_looks_and_tests_have_an_interval(reading: FlaskClient, monitor: Monitor) -> None:
    for row in everything(reading):
        looks = monitor.store.evaluations(row["run"])[row["model"]]["accuracy"]
        assert row["best_val_accuracy"] == max(looks)
        if row["test_accuracy"] is None:
            assert row["test_interval"] is None
        else:
            low, high = row["test_interval"]
            assert low < row["test_accuracy"] < high


def seeds_of(rows: list[dict[str, Any]], measure: str) -> dict[int, float]:
    """Return the values of a group by seed, counted as docs/http.md says."""
    ended = [row for row in rows if row["state"] == "finished"] or rows
    by_seed = {
        row["config"]["seed"]: row[measure]
        for row in sorted(ended, key=lambda row: (row["run"], row["model"] == "model1"))
    }
    return {seed: value for seed, value in by_seed.items() if value is not None}


def about(found: Any, expected: Any) -> bool:
    """Whether both are unknown, or a number or a list of numbers is as expected to the digits that are sent."""
    return bool(found == (expected if expected is None else pytest.approx(expected, rel=1e-4, abs=1e-5)))


def setting_of(row: dict[str, Any]) -> str:
    return str({key: value for key, value in row["config"].items() if key != "seed"})


def test_seeds_of_one_setting_are_one_group_with_mean_and_difference(client: FlaskClient) -> None:
    rows = everything(client)
    by_setting: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_setting.setdefault(setting_of(row), []).append(row)
    baseline = next(row for row in rows if row["state"] == "finished" and row["test_accuracy"])
    assert strict(client.post("/api/trainings/baseline", json={"training": baseline["training"]})) == {
        "baseline": baseline["training"]
    }
    answer = ask(client, group="seed", sort="test_accuracy")
    groups = answer["trainings"]
    assert answer["total"] == len(groups) == len(by_setting)
    against = seeds_of(by_setting[setting_of(baseline)], "test_accuracy")
    paired = set()
    for group in groups:
        members = next(each for each in by_setting.values() if each[0]["training"] in group["trainings"])
        assert sorted(group["trainings"]) == sorted(row["training"] for row in members)
        values = seeds_of(members, "test_accuracy")
        mean = mean_of(list(values.values()))
        assert group["test_accuracy"]["n"] == mean.n
        assert about(group["test_accuracy"]["mean"], mean.mean)
        assert about(group["test_accuracy"]["interval"], mean.interval and list(mean.interval))
        expected = difference_of(values, against)
        difference = group["difference"]["test_accuracy"]
        assert (difference["how"], difference["n"]) == (expected.how, expected.n)
        assert about(difference["value"], expected.value)
        paired.add(expected.how)
    assert paired >= {"paired by seed", None}
    means = [group["test_accuracy"]["mean"] for group in groups if group["test_accuracy"]["mean"] is not None]
    assert means == sorted(means, reverse=True)


def test_steered_and_forked_trainings_are_in_the_group_of_their_settings_and_count_for_no_seed(
    unloaded: Monitor,
) -> None:
    store, client = unloaded.store, client_of(unloaded)
    course = {1: (), 2: ("steered",), 3: ("forked",), 4: ("undone", "continued")}
    for seed, kinds in course.items():
        log = MetricsLog(["model1"], keep_unsaved=True)
        config = CONFIGS["model1"].model_copy(update={"seed": seed})
        events = [Event(kind, 5, 0.5, 1.0, None) for kind in kinds]
        status = Status("finished", step=9, config=config.model_dump(mode="json"), test_accuracy=seed / 10)
        log.publish("model1", status, [], [], events, flush=True)
        store.record(run_id(seed), log, {"model1": config}, {})
    store.save()
    [group] = ask(client, group="seed", sort="test_accuracy")["trainings"]
    assert (group["count"], group["seeds"]) == (4, [1, 2, 3, 4])
    assert (group["test_accuracy"]["n"], group["test_accuracy"]["mean"]) == (2, 0.25)
    store.reopen(run_id(2), {"model1": 4})  # before it was steered
    store.save()
    [group] = ask(client, group="seed")["trainings"]
    assert group["test_accuracy"]["n"] == 3


def test_difference_of_one_training_has_a_value_and_no_interval(client: FlaskClient) -> None:
    baseline, other = [row for row in everything(client) if row["test_accuracy"]][:2]
    client.post("/api/trainings/baseline", json={"training": baseline["training"]})
    [row] = ask(client, training=other["training"])["trainings"]
    known = row["difference"]["test_accuracy"]
    assert known["value"] == pytest.approx(other["test_accuracy"] - baseline["test_accuracy"], abs=1e-6)
    assert (known["interval"], known["how"]) == (None, None)
    client.post(f"/api/runs/{baseline['run']}/delete", json={})
    assert ask(client)["baseline"] is None
    assert "difference" not in ask(client)["trainings"][0]
    client.post(f"/api/runs/{baseline['run']}/restore", json={})
    assert ask(client)["baseline"] == baseline["training"]
    client.post("/api/trainings/baseline", json={"training": None})
    assert ask(client)["baseline"] is None


def test_note_is_kept_found_exported_and_taken_back(client: FlaskClient) -> None:
    training = f"{run_id(2)}/model1"
    note = 'odd at "epoch 2",\nsee <b>why</b>'
    answer = strict(client.post(f"/api/trainings/{training}/note", json={"note": note}))
    assert answer == {"training": training, "note": note}
    [row] = ask(client, search="epoch 2")["trainings"]
    assert (row["training"], row["note"]) == (training, note)
    [line] = csv.DictReader(io.StringIO(client.get("/api/trainings.csv?search=odd").text))
    assert (line["training"], line["note"], line["kernels"]) == (
        training,
        note,
        " ".join(map(str, row["config"]["kernels"])),
    )
    assert strict(client.get(f"/api/runs/{run_id(2)}"))["notes"] == {"model1": note}
    assert strict(client.get(f"/api/runs/{run_id(2)}/export.json"))["notes"] == {"model1": note}
    client.post(f"/api/trainings/{training}/note", json={"note": None})
    assert ask(client, search="odd")["trainings"] == []


@pytest.mark.parametrize("note", ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)"])
def test_words_are_no_formula_in_a_spreadsheet(client: FlaskClient, note: str) -> None:
    client.post(f"/api/trainings/{run_id(2)}/model1/note", json={"note": note})
    answer = client.get(f"/api/trainings.csv?training={run_id(2)}/model1")
    [line] = csv.DictReader(io.StringIO(answer.text))
    assert line["note"] == f"'{note}"


def test_csv_has_all_that_is_found_whatever_the_page(reading: FlaskClient) -> None:
    lines = list(csv.DictReader(io.StringIO(reading.get("/api/trainings.csv?limit=3&sort=test_accuracy").text)))
    assert [line["training"] for line in lines] == [
        row["training"] for row in ask(reading, sort="test_accuracy")["trainings"]
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=luck", "sort"),
        ("order=up", "order"),
        ("group=color", "group"),
        ("state=finished,lost", "state"),
        ("after=yesterday", "after"),
        ("before=2026-13-01", "before"),
        ("config.kernels=4,x", "config.kernels"),
        ("config.batch_norm=yes", "config.batch_norm"),
        ("config.dropout=nan", "config.dropout"),
        ("config.seed=1.5", "config.seed"),
        ("config.luck=1", "config.luck"),
        ("config.seed=9999999999999999999", "config.seed"),
        ("config.optimizer=lion", "config.optimizer"),
        ("config.kernel_sizes=3,2", "config.kernel_sizes"),
        ("after=2026-W05-1", "after"),
        ("before=20260131", "before"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("offset=-1", "offset"),
        ("training=nothing", "training"),
        ("search=" + "x" * 201, "search"),
    ],
)
def test_bad_question_names_its_field(reading: FlaskClient, query: str, field: str) -> None:
    for path in ("/api/trainings", "/api/trainings.csv"):
        if path.endswith("csv") and field in ("limit", "offset"):
            continue
        assert list(error_of(reading.get(f"{path}?{query}"), 400, "bad_request")["fields"]) == [field]


@pytest.mark.parametrize("note", ["", "  ", "x" * 501, "a\x00b", 5, ["a"]])
def test_bad_note_is_refused(reading: FlaskClient, note: Any) -> None:
    response = reading.post(f"/api/trainings/{run_id(1)}/model1/note", json={"note": note})
    assert "note" in error_of(response, 400, "bad_request")["fields"]


def test_unknown_training_has_no_note_and_is_no_baseline(client: FlaskClient) -> None:
    for training in ("gone/model1", f"{run_id(1)}/model3", f"{run_id(3)}/model1"):
        error_of(client.post(f"/api/trainings/{training}/note", json={"note": "here"}), 404, "unknown_run")
        error_of(client.post("/api/trainings/baseline", json={"training": training}), 404, "unknown_run")
    bad = client.post("/api/trainings/baseline", json={"training": "nothing"})
    assert "training" in error_of(bad, 400, "bad_request")["fields"]


def test_list_of_runs_is_cut_and_those_named_are_in_it(reading: FlaskClient) -> None:
    ids = [run["id"] for run in strict(reading.get("/api/runs"))["runs"]]
    assert len(ids) == COUNT - 1
    named = [run_id(1), run_id(COUNT - 1), "unknown"]
    found = [run["id"] for run in strict(reading.get("/api/runs", query_string={"limit": 2, "also": named}))["runs"]]
    assert found == [*ids[:2], run_id(1)]
    assert "limit" in error_of(reading.get("/api/runs?limit=none"), 400, "bad_request")["fields"]
