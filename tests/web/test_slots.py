"""Any two trainings in the two slots: what `a` and `b` may be, and what each route answers about them."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import endless, quick, wait_for
from histories import CONFIGS, history_file, points, recorded, running
from served import ENDLESS, error_of, finish, start, strict, wait_until

from config import MODEL_NAMES
from server import create_app
from web.monitor import Monitor

ROUTES = ("comparison", "metrics", "mistakes", "classes", "inside", "filters", "predict", "export.csv", "export.json")
FIRST = {"model1": quick(epochs=2), "model2": quick(epochs=2, dropout=0.1)}
SECOND = {"model1": quick(epochs=2, optimizer="sgd"), "model2": quick(epochs=2, seed=3, kernels=(4, 6))}


def bodies(configs: dict[str, Any]) -> dict[str, Any]:
    return {name: config.model_dump(mode="json") for name, config in configs.items()}


@pytest.fixture
def two_runs(client: FlaskClient, monitor: Monitor) -> tuple[str, str]:
    """The ids of two finished runs."""
    runs = finish(client, bodies(FIRST)), finish(client, bodies(SECOND))
    assert monitor.control.comparison.join(60)
    return runs


def ask(client: FlaskClient, route: str, a: str, b: str, **more: Any) -> Any:
    response = request(client, route, {"a": a, "b": b} | more)
    assert response.status_code == 200, response.text
    return response.text if route.endswith("csv") else strict(response)


def request(client: FlaskClient, route: str, query: dict[str, Any]) -> Any:
    if route == "predict":
        return client.post("/api/predict", query_string=query, json={"split": "test", "image": 7})
    if route == "filters":
        query = {"model": "model1", "step": 32} | query
    return client.get(f"/api/{route}", query_string=query)


# What may stand there


@pytest.mark.parametrize("route", ROUTES)
def test_bad_addresses_are_refused_on_every_route_and_named(client: FlaskClient, monitor: Monitor, route: str) -> None:
    recorded(monitor.store, "r1")
    good, other = "r1/model1", "r1/model2"
    for query, field, said in (
        ({"a": good}, "b", "b must be the address of a training, <run>/<model>, got nothing"),
        ({"b": good}, "a", "a must be the address of a training, <run>/<model>, got nothing"),
        ({"a": "r1", "b": good}, "a", 'a must be the address of a training, <run>/<model>, got "r1"'),
        ({"a": "", "b": good}, "a", 'a must be the address of a training, <run>/<model>, got ""'),
        ({"a": "r1/model1/x", "b": good}, "a", 'a must be the address of a training, <run>/<model>, got "r1/model1/x"'),
        ({"a": [good, other], "b": good}, "a", "a must be the address of a training, <run>/<model>, got it 2 times"),
        ({"a": good, "b": "r1/model3"}, "b", 'b must be a model of run r1, that is model1 or model2, got "model3"'),
        ({"a": good, "b": good}, "b", 'b must be another training than a, got "r1/model1" for both'),
        ({"a": good, "b": other, "run": "r1"}, "run", 'give either run, or a and b, got run "r1" beside them'),
    ):
        error = error_of(request(client, route, query), 400, "bad_request")
        assert error["fields"] == {field: said}
    error_of(request(client, route, {"a": good, "b": "gone/model1"}), 404, "unknown_run")


def test_both_addresses_are_faulted_at_once_and_a_body_names_no_run_beside_them(client: FlaskClient) -> None:
    error = error_of(request(client, "mistakes", {"a": "x", "b": "y/"}), 400, "bad_request")
    assert set(error["fields"]) == {"a", "b"}
    run = finish(client, bodies(FIRST))
    query = {"a": f"{run}/model1", "b": f"{run}/model2"}
    body = {"split": "test", "image": 7, "run": run}
    error = error_of(client.post("/api/predict", query_string=query, json=body), 400, "bad_request")
    assert error["fields"] == {"run": f'give either run, or a and b, got run "{run}" too'}
    error = error_of(client.get("/api/export.csv"), 400, "bad_request")
    assert set(error["fields"]) == {"a", "b"}


@pytest.mark.parametrize("among", ["1", "100001", "many", "-3"])
def test_among_is_a_number_of_trainings_and_goes_with_two(client: FlaskClient, monitor: Monitor, among: str) -> None:
    recorded(monitor.store, "r1")
    query = {"a": "r1/model1", "b": "r1/model2", "among": among}
    for route in ("comparison", "metrics"):  # the page opens what the latter answers
        error = error_of(request(client, route, query), 400, "bad_request")
        assert error["fields"]["among"].startswith("among must be a whole number from 2 to 100000, got ")
    error = error_of(request(client, "comparison", {"among": "40"}), 400, "bad_request")
    assert error["fields"] == {"among": "among goes with a and b, got 40 without them"}


# What is answered


def test_every_route_answers_about_the_two_trainings(client: FlaskClient, two_runs: tuple[str, str]) -> None:
    first, second = two_runs
    a, b = f"{first}/model2", f"{second}/model1"
    of_run = {run: [strict(request(client, each, {"run": run})) for each in ("inside", "classes")] for run in two_runs}
    for route in ("comparison", "metrics", "mistakes", "classes", "inside", "predict"):
        answer = ask(client, route, a, b)
        assert (answer["run"], answer["a"], answer["b"]) == (None, a, b), route
    metrics = ask(client, "metrics", a, b)
    for slot, run, model in (("model1", first, "model2"), ("model2", second, "model1")):
        shown, own = metrics["models"][slot], strict(client.get(f"/api/runs/{run}"))
        assert shown == own["models"][model]
        about = {key: own[key] for key in ("run", "name", "started", "environment")}
        assert metrics["trainings"][slot] == about | {"model": model}
        inside, classes = of_run[run]
        assert ask(client, "inside", a, b)["models"][slot] == inside["models"][model]
        assert ask(client, "classes", a, b)["confusion"][slot] == classes["confusion"][model]
        filters = strict(client.get(f"/api/filters?model={model}&step=32&run={run}"))
        assert ask(client, "filters", a, b, model=slot)["weights"] == filters["weights"]
        body = {"split": "test", "image": 7, "run": run}
        looked = strict(client.post("/api/predict", json=body))
        assert ask(client, "predict", a, b)["models"][slot] == looked["models"][model]
    compared, counts = ask(client, "comparison", a, b), ask(client, "mistakes", a, b)["counts"]
    assert counts == {key: compared["significance"][key] for key in counts}
    assert compared["attribution"]["differing"] == ["optimizer", "dropout"]


def test_a_run_in_the_other_order_is_its_mirror(client: FlaskClient, two_runs: tuple[str, str]) -> None:
    run = two_runs[0]
    there, back = (
        ask(client, "comparison", *(f"{run}/{model}" for model in order)) for order in (MODEL_NAMES, MODEL_NAMES[::-1])
    )
    own = strict(client.get(f"/api/comparison?run={run}"))
    assert there | {"attribution": own["attribution"]} == own | {key: there[key] for key in ("a", "b")}
    assert [row["text1"] for row in back["rows"]] == [row["text2"] for row in there["rows"]]
    assert back["significance"]["only1"] == there["significance"]["only2"]
    assert {row["caveat"] for row in back["rows"]} == {None}  # of one run: its times do compare
    assert back["attribution"]["pairing"] == there["attribution"]["pairing"]
    said = "the same images in the same split, the same batch order, and the same initial weights."
    assert there["attribution"]["pairing"].endswith(said)


def test_a_fork_is_told_as_the_copy_that_it_is_and_elsewhere_as_a_change_on_the_way(
    client: FlaskClient, monitor: Monitor
) -> None:
    start(client, bodies({"model1": endless(), "model2": endless(seed=1)}))
    wait_for(lambda: strict(client.get("/api/metrics"))["models"]["model1"]["step"] > 20, "steps")
    response = client.post("/api/fork", json={"settings": {"seed": 9}})
    child = strict(response)["run"]
    wait_for(lambda: strict(client.get("/api/metrics"))["models"]["model2"]["step"] > 90, "steps of the copy")
    client.post("/api/stop", json={})
    wait_until(client, "stopped")
    parent = strict(client.get("/api/runs"))["runs"][1]["id"]

    def said(a: str, b: str) -> tuple[str, str]:
        answer = ask(client, "comparison", a, b)["attribution"]
        return answer["text"], answer["pairing"]

    text, pairing = said(f"{child}/model2", f"{child}/model1")
    assert "Model 1 is a copy of model 2 with one change (seed 0 → 9)." in text
    assert "model 1 is a copy of model 2, weights included, and has had a different batch order" in pairing
    text, pairing = said(f"{child}/model2", f"{parent}/model1")
    assert "Model 1 was forked on the way (seed 0 → 9)." in text
    assert "a different batch order, and the same initial weights." in pairing
    text, pairing = said(f"{child}/model1", f"{parent}/model1")
    assert "copy" not in text
    assert "the same batch order, and the same initial weights." in pairing


# Trainings of different runs


def test_of_different_runs_the_pairing_is_said_and_no_time_is_better(
    client: FlaskClient, monitor: Monitor, two_runs: tuple[str, str]
) -> None:
    first, second = two_runs
    a, b = f"{first}/model1", f"{second}/model1"
    monitor.store.save()
    with history_file(monitor.store.directory) as database:
        [(text,)] = database.execute("SELECT environment FROM runs WHERE id = ?", (first,)).fetchall()
        other = json.loads(text) | {"device": "NVIDIA H100", "revision": "0" * 40, "torch": "1.0"}
        database.execute("UPDATE runs SET environment = ? WHERE id = ?", (json.dumps(other), first))
    seconds = ask(client, "comparison", a, b, axis="seconds")
    found = ask(client, "comparison", a, b)
    pairing = found["attribution"]["pairing"]
    assert pairing.startswith(
        "Both models have the same images in the same split, the same batch order, and the same initial weights. "
        "They are of different runs, with another device (NVIDIA H100 and "
    )
    assert "program version (00000000 and " in pairing
    assert pairing.endswith("they are shown and not compared.")
    paired = ask(client, "metrics", a, b)["paired"]
    assert (paired["text"], paired["same_run"], paired["batch_order"]) == (pairing, False, True)
    assert [each["what"] for each in paired["conditions"]] == ["device", "program version", "PyTorch version"]
    said = "They are of different runs, with another device, program version and PyTorch version."
    assert said in found["verdict"]["text"]
    assert "cannot be put down to one of these" in found["verdict"]["text"]
    times = {"seconds_to_target", "batches_per_second", "images_per_second", "training_time", "achieved_flops"}
    for row in found["rows"]:
        assert (row["caveat"] is not None) == (row["key"] in times)
        assert row["better"] is None or row["key"] not in times
    assert next(row for row in found["rows"] if row["key"] == "training_time")["model1"] > 0  # shown all the same
    assert "gpu_use" not in {row["key"] for row in found["rows"]}
    assert seconds["verdict"]["accuracy"]["leader"] is None
    assert seconds["verdict"]["loss"]["leader"] is None
    assert seconds["verdict"]["accuracy"]["at"] > 0


def test_a_later_seed_or_batch_size_is_no_same_order(client: FlaskClient, two_runs: tuple[str, str]) -> None:
    paired = ask(client, "metrics", f"{two_runs[0]}/model1", f"{two_runs[1]}/model2")["paired"]
    assert (paired["batch_order"], paired["initial_weights"]) == (False, [])
    assert paired["conditions"] == []
    assert "no other device, machine or version is on record." in paired["text"]


def test_repeats_of_a_run_say_nothing_of_other_pairs(client: FlaskClient, monitor: Monitor) -> None:
    configs = bodies({"model1": quick(), "model2": quick(dropout=0)})
    assert client.post("/api/repeats", json={"runs": 3} | configs).status_code == 202
    wait_for(lambda: strict(client.get("/api/repeats"))["state"] == "finished", "end of the series")
    one, two = (pair["run"] for pair in strict(client.get("/api/repeats"))["pairs"][:2])
    assert "of repeats" in ask(client, "comparison", f"{one}/model1", f"{one}/model2")["verdict"]["text"]
    for a, b in ((f"{one}/model2", f"{one}/model1"), (f"{one}/model1", f"{two}/model2")):
        assert "of repeats" not in ask(client, "comparison", a, b)["verdict"]["text"]


def test_of_a_pair_that_was_chosen_verdict_and_significance_say_so(
    client: FlaskClient, two_runs: tuple[str, str]
) -> None:
    a, b = f"{two_runs[0]}/model1", f"{two_runs[1]}/model1"
    assert ask(client, "comparison", a, b)["verdict"]["caveat"] is None
    found = ask(client, "comparison", a, b, among=1_240)
    caveat = found["verdict"]["caveat"]
    assert caveat.startswith("Chosen among 1,240 trainings: who picks from a list picks luck as well")
    assert found["verdict"]["text"].endswith(caveat)
    assert found["significance"]["caveat"].endswith(caveat)


def test_before_pytorch_has_loaded_all_is_said_but_the_weights(
    client: FlaskClient, monitor: Monitor, two_runs: tuple[str, str]
) -> None:
    restarted = Monitor(monitor.store.directory, monitor.store)  # its loading has not begun
    early = create_app(restarted).test_client()
    answer = ask(early, "metrics", f"{two_runs[0]}/model1", f"{two_runs[1]}/model1")
    assert (answer["paired"]["batch_order"], answer["paired"]["initial_weights"]) == (True, None)
    assert "told once PyTorch has loaded" in answer["paired"]["text"]
    assert answer["models"]["model1"]["state"] == "finished"


@pytest.fixture
def halves(monitor: Monitor) -> Iterator[tuple[str, str]]:
    """The addresses of the only models that are left of two runs."""
    for run in ("r1", "r2"):
        log = recorded(monitor.store, run)
        for model in MODEL_NAMES:
            log.publish(model, replace(running(model), state="stopped"), points(1, 5))
    monitor.store.save()
    with history_file(monitor.store.directory) as database:
        for table in ("models", "chunks"):
            database.execute(f"DELETE FROM {table} WHERE (run, model) IN (('r1', 'model2'), ('r2', 'model1'))")
    yield "r1/model1", "r2/model2"


def test_what_is_left_of_two_runs_can_be_compared(client: FlaskClient, halves: tuple[str, str]) -> None:
    error_of(client.get("/api/comparison?run=r1"), 409, "conflict")
    query = dict(zip("ab", halves, strict=True))
    for route in ROUTES:  # no evaluation is left, and so no filters
        assert request(client, route, query).status_code == (404 if route == "filters" else 200)
    metrics = ask(client, "metrics", *halves)
    assert metrics["models"]["model2"]["config"] == CONFIGS["model2"].model_dump(mode="json")
    error = error_of(request(client, "metrics", {"a": "r1/model2", "b": halves[1]}), 400, "bad_request")
    assert error["fields"] == {"a": 'a must be a model of run r1, that is model1, got "model2"'}


# The cursor


def has_news(client: FlaskClient, cursor: int) -> bool:
    return bool(strict(client.get("/api/metrics"))["next"] > cursor)


def poll(client: FlaskClient, known: dict[str, Any], a: str, b: str) -> Any:
    return ask(client, "metrics", a, b, boot=known["boot"], since=known["next"])


def test_one_cursor_covers_a_stored_and_a_live_training_and_outlives_the_end_of_the_live_one(
    client: FlaskClient, monitor: Monitor
) -> None:
    old = finish(client, bodies(FIRST))
    run = start(client, ENDLESS)
    a, b = f"{old}/model1", f"{run}/model2"
    wait_for(lambda: strict(client.get("/api/metrics"))["models"]["model2"]["step"] > 5, "steps")
    known = whole = ask(client, "metrics", a, b)
    seen = list(whole["models"]["model2"]["points"]["step"])
    assert (whole["reset"], whole["models"]["model2"]["state"]) == (True, "running")
    assert ask(client, "comparison", a, b)["state"] == "running"
    for _ in range(3):
        wait_for(partial(has_news, client, known["next"] + 2), "news")
        known = poll(client, known, a, b)
        assert (known["reset"], list(known["models"])) == (False, ["model2"])
        seen += known["models"]["model2"]["points"]["step"]
    client.post("/api/stop", json={})
    wait_until(client, "stopped")
    known = poll(client, known, a, b)
    seen += known["models"]["model2"]["points"]["step"]
    assert known["models"]["model2"]["state"] == "stopped"
    assert seen == ask(client, "metrics", a, b)["models"]["model2"]["points"]["step"]
    assert poll(client, known, a, b)["models"] == {}
    before = known
    finish(client, bodies(SECOND))
    after = poll(client, before, a, b)  # its log is no longer the latest: what a reader may have missed comes whole
    assert (after["reset"], after["models"]["model2"]["state"]) == (True, "stopped")
    again = poll(client, after, a, b)
    assert (again["reset"], again["models"]) == (False, {})
    assert ask(client, "metrics", a, b, boot="00000000", since=after["next"])["reset"]


def test_curves_are_smoothed_as_asked_for(client: FlaskClient, two_runs: tuple[str, str]) -> None:
    a, b = f"{two_runs[0]}/model1", f"{two_runs[1]}/model1"
    plain, smooth = ask(client, "metrics", a, b, smoothing=0), ask(client, "metrics", a, b, smoothing=275)
    for model in MODEL_NAMES:
        assert "smooth_loss" not in plain["models"][model]["points"]
        assert len(smooth["models"][model]["points"]["smooth_loss"]) == len(plain["models"][model]["points"]["loss"])


# Exports


def test_two_trainings_are_exported_whole(client: FlaskClient, monitor: Monitor, two_runs: tuple[str, str]) -> None:
    first, second = two_runs
    a, b = f"{first}/model2", f"{second}/model1"
    rows = list(csv.DictReader(io.StringIO(ask(client, "export.csv", a, b))))
    whole = ask(client, "export.json", a, b)
    metrics = ask(client, "metrics", a, b)
    for slot, address in (("model1", a), ("model2", b)):
        own = [row for row in rows if row["model"] == slot]
        assert {row["training"] for row in own} == {address}
        losses = [float(row["loss"]) for row in own if row["kind"] == "training"]
        assert len(losses) == metrics["models"][slot]["step"]
        assert losses == whole["models"][slot]["points"]["loss"]
    assert whole["trainings"] == metrics["trainings"]
    name = f"fashionmnist-{first}-model2-{second}-model1"
    assert metrics["file"] == name
    response = client.get("/api/export.csv", query_string={"a": a, "b": b})
    assert response.headers["Content-Disposition"] == f"attachment; filename={name}.csv"
