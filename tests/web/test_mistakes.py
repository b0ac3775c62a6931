"""Mistakes and classes: the saved answers, counted and paged."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import wait_for
from served import ENDLESS, SHORT, error_of, finish, metrics_of, start, strict, wait_until
from sklearn.metrics import accuracy_score, confusion_matrix

from analysis.mistakes import PER_PAGE
from data import CLASS_NAMES
from training.images import FashionMNIST
from web.monitor import Monitor


def test_while_the_page_is_loading_the_tabs_say_so(tmp_path: Any) -> None:
    from history.store import RunStore
    from server import create_app

    monitor = Monitor(tmp_path / "data", RunStore(tmp_path / "runs"))
    try:
        error_of(create_app(monitor).test_client().get("/api/mistakes"), 503, "not_ready")
    finally:
        monitor.close()


def test_mistakes_and_classes_are_those_of_the_saved_predictions(
    client: FlaskClient, monitor: Monitor, small_fashion_mnist: FashionMNIST
) -> None:
    run = finish(client, SHORT)
    labels = small_fashion_mnist.test.labels.numpy()
    saved = {name: each["test"] for name, each in monitor.store.predictions(run).items()}
    models = metrics_of(client)["models"]
    for name, each in saved.items():
        assert models[name]["test_accuracy"] == pytest.approx(accuracy_score(labels, each.answers))
    found = strict(client.get("/api/classes"))
    assert found["split"] == "test"
    for name, each in saved.items():
        assert found["confusion"][name] == confusion_matrix(labels, each.answers, labels=range(10)).tolist()
    counts = strict(client.get("/api/mistakes"))["counts"]
    right = {name: each.answers == labels for name, each in saved.items()}
    assert counts["only1"] == int((right["model1"] & ~right["model2"]).sum())
    assert counts == {key: strict(client.get("/api/comparison"))["significance"][key] for key in counts}
    everything = strict(client.get("/api/mistakes?show=all"))
    assert (everything["found"], everything["pages"]) == (256, -(-256 // PER_PAGE))
    image = everything["images"][0]
    assert image["model2"] == pytest.approx(saved["model2"].probabilities[image["image"]].tolist(), abs=1e-4)


def test_answers_while_training_are_those_of_the_latest_evaluations(client: FlaskClient, monitor: Monitor) -> None:
    run = start(client, ENDLESS)
    wait_for(lambda: strict(client.get("/api/mistakes"))["split"] == "validation", "answers")
    first = strict(client.get("/api/mistakes"))["at"]["model1"]["step"]
    wait_for(lambda: strict(client.get("/api/mistakes"))["at"]["model1"]["step"] > first, "later answers")
    assert strict(client.get("/api/comparison"))["significance"] is None
    client.post("/api/stop", json={})
    wait_until(client, "stopped")
    shown = strict(client.get(f"/api/inside?run={run}"))["models"]["model1"]
    evaluations = metrics_of(client)["models"]["model1"]["evaluations"]
    assert shown["step"] == evaluations["step"]
    assert len(shown["gradient_norm"]["conv1"]) == len(shown["step"])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("show=no", "show"),
        ("label=10", "label"),
        ("predicted1=x", "predicted1"),
        ("sort=up", "sort"),
        ("page=-1", "page"),
    ],
)
def test_filters_of_the_gallery_are_checked(client: FlaskClient, query: str, field: str) -> None:
    assert field in error_of(client.get(f"/api/mistakes?{query}"), 400, "bad_request")["fields"]


def test_classes_are_named_as_the_data_set_names_them(client: FlaskClient) -> None:
    assert strict(client.get("/api/config"))["classes"] == list(CLASS_NAMES)
