"""Try it: a picture is answered as the evaluation did, by the latest weights there are."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import quick
from served import ENDLESS, SHORT, error_of, finish, metrics_of, predict, start, strict, wait_for_steps, wait_until

from config import MODEL_NAMES
from training import checkpoint
from web.monitor import Monitor


def test_tried_picture_gets_the_answer_that_the_evaluation_gave(client: FlaskClient, monitor: Monitor) -> None:
    run = finish(client, SHORT)
    saved = monitor.store.predictions(run)
    for image in (0, 7, 255):
        answer = predict(client, split="test", image=image)
        for name in MODEL_NAMES:
            expected = saved[name]["test"].probabilities[image].tolist()
            assert answer["models"][name]["probabilities"] == pytest.approx(expected, abs=1e-4)
    pixels = monitor.loading.workshop.dataset.test.images[7].flatten().tolist()
    drawn = predict(client, pixels=pixels, layers=True)
    assert drawn["label"] is None
    assert (
        drawn["models"]["model1"]["probabilities"]
        == predict(client, split="test", image=7)["models"]["model1"]["probabilities"]
    )
    assert [layer["name"] for layer in drawn["models"]["model1"]["layers"]] == ["conv1", "conv2", "hidden"]
    assert [layer["side"] for layer in drawn["models"]["model1"]["layers"]] == [14, 7, 1]


def test_model_that_was_stopped_is_asked_as_it_was_tested(client: FlaskClient, monitor: Monitor) -> None:
    start(client, ENDLESS)
    for name in MODEL_NAMES:
        wait_for_steps(client, name, 40)
    client.post("/api/stop", json={})
    assert monitor.control.comparison is not None
    assert monitor.control.comparison.join(60)
    for name in MODEL_NAMES:
        answer = predict(client, split="test", image=7)["models"][name]
        assert answer["step"] == metrics_of(client)["models"][name]["step"]
        tested = monitor.store.predictions(str(metrics_of(client)["run"]))[name]["test"]
        assert answer["probabilities"] == pytest.approx(tested.probabilities[7].tolist(), abs=1e-4)


def test_past_run_is_asked_from_its_checkpoint(client: FlaskClient, monitor: Monitor) -> None:
    run = finish(client, SHORT)
    before = predict(client, split="test", image=3)
    finish(client, SHORT | {"model1": SHORT["model1"] | {"seed": 4}})
    past = predict(client, run=run, split="test", image=3)
    assert past["models"] == before["models"]
    assert predict(client, split="test", image=3)["models"]["model1"] != before["models"]["model1"]
    error_of(client.post("/api/predict", json={"run": "none", "pixels": [0] * 784}), 404, "unknown_run")


def test_past_run_is_read_once_and_again_after_another_has_run(
    client: FlaskClient, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = finish(client, SHORT), SHORT | {"model1": SHORT["model1"] | {"seed": 4}}
    finish(client, other)
    read: list[int] = []
    whole = checkpoint.read_weights
    monkeypatch.setattr(checkpoint, "read_weights", lambda data: read.append(1) or whole(data))
    before = [predict(client, run=run, split="test", image=image)["models"]["model1"] for image in (3, 4, 3)]
    assert len(read) == 2  # one checkpoint for each model
    assert before[0] == before[2] != before[1]
    longer = strict(client.post(f"/api/runs/{run}/resume", json={"more_epochs": 1}))["run"]
    wait_until(client, "finished")
    finish(client, other)
    after = predict(client, run=longer, split="test", image=3)["models"]["model1"]
    assert after["step"] == 2 * before[0]["step"]
    assert after["probabilities"] != before[0]["probabilities"]
    assert predict(client, run=run, split="test", image=3)["models"]["model1"] == before[0]
    assert len(read) == 6


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "split"),
        ({"pixels": [0] * 783}, "pixels"),
        ({"pixels": [0] * 783 + [256]}, "pixels"),
        ({"pixels": [0] * 783 + [True]}, "pixels"),
        ({"pixels": [0] * 783 + [0.5]}, "pixels"),
        ({"pixels": "black"}, "pixels"),
        ({"pixels": [0] * 784, "split": "test"}, "pixels"),
        ({"split": "test", "image": "3"}, "image"),
        ({"split": "test", "image": 3, "layers": 1}, "layers"),
        ({"split": "test", "image": 3, "run": 1}, "run"),
    ],
)
def test_picture_that_cannot_be_used_is_refused_by_name(client: FlaskClient, body: Any, field: str) -> None:
    assert field in error_of(client.post("/api/predict", json=body), 400, "bad_request")["fields"]


def test_a_screen_of_the_largest_model_stays_small(client: FlaskClient, monitor: Monitor) -> None:
    large = quick(kernels=(80, 16, 16, 16), kernel_sizes=(7, 1, 1, 1), hidden_units=4096, batch_size=512)
    finish(client, dict.fromkeys(MODEL_NAMES, large.model_dump(mode="json")))
    looked = client.post("/api/predict", json={"split": "test", "image": 0, "layers": True})
    assert len(looked.data) < 100_000
    step = strict(client.get("/api/inside"))["models"]["model1"]["step"][-1]
    assert len(client.get(f"/api/filters?model=model1&step={step}").data) < 10_000
    numbers = ",".join(str(image["image"]) for image in strict(client.get("/api/mistakes?show=all"))["images"])
    assert len(client.get(f"/api/images.png?split=test&images={numbers}").data) < 100_000
