"""What the engine sees inside a model, what the inspector answers, and both over HTTP."""

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from flask.testing import FlaskClient
from helpers import CPU, endless, quick, wait_for
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix
from test_server import error_of, metrics_of, start, strict, wait_until

from analysis.mistakes import PER_PAGE
from config import MODEL_NAMES
from data import CLASS_NAMES
from history.records import MOST_FILTERS, take_filters
from training import checkpoint
from training.engine import INSIGHT_IMAGES, Engine
from training.images import FashionMNIST, normalise
from training.predictor import MOST_MAPS, as_maps
from web.inside import as_columns
from web.monitor import Monitor
from web.pictures import PER_ROW, sprite

SHORT = {
    "model1": quick(batch_size=128).model_dump(mode="json"),
    "model2": quick(batch_size=128, kernels=(6,), kernel_sizes=(5,), epochs=2).model_dump(mode="json"),
}
ENDLESS = {name: endless(seed=seed).model_dump(mode="json") for seed, name in enumerate(MODEL_NAMES)}


def engine_after(steps: int, dataset: FashionMNIST, **settings: Any) -> Engine:
    engine = Engine(quick(**settings), dataset, CPU)
    for _ in range(steps):
        engine.train_step()
    return engine


def finish(client: FlaskClient, configs: dict[str, Any]) -> str:
    run = start(client, configs)
    wait_until(client, "finished")
    return run


def predict(client: FlaskClient, **body: Any) -> Any:
    response = client.post("/api/predict", json=body)
    assert response.status_code == 200, response.text
    return strict(response)


# The engine


def gradient_norms(engine: Engine) -> list[float]:
    return [layer.gradient_norm for layer in engine.inspect().layers.values()]


@pytest.mark.parametrize("stopped_after", [None, 2, 3], ids=["straight on", "stopped before the last", "after it"])
def test_gradient_norms_at_an_epochs_end_are_those_of_its_last_whole_batch(
    small_fashion_mnist: FashionMNIST, stopped_after: int | None
) -> None:
    settings = {"batch_size": 500, "epochs": 2}  # of 1,024 images: two whole batches, and one of 24
    expected = gradient_norms(engine_after(2, small_fashion_mnist, **settings))
    engine = engine_after(stopped_after or 3, small_fashion_mnist, **settings)
    if stopped_after:
        file = io.BytesIO()
        torch.save(engine.state(), file)
        engine = engine_after(0, small_fashion_mnist, **settings)
        engine.restore(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
        for _ in range(3 - stopped_after):
            engine.train_step()
    assert engine.epoch == 1
    assert gradient_norms(engine) == expected
    engine.train_step()  # in an epoch the latest batch is whole
    assert gradient_norms(engine) != expected


def test_gradient_norms_where_no_batch_is_whole_are_those_of_the_only_one(small_fashion_mnist: FashionMNIST) -> None:
    engine = engine_after(1, small_fashion_mnist, batch_size=2048)
    assert all(norm > 0 for norm in gradient_norms(engine))


def test_norms_are_those_of_the_last_gradients_and_the_weights(small_fashion_mnist: FashionMNIST) -> None:
    engine = engine_after(3, small_fashion_mnist)
    seen = engine.inspect()
    assert (seen.step, seen.epoch) == (3, engine.epoch)
    assert list(seen.layers) == ["conv1", "conv2", "hidden", "output"]
    for name, weights in engine.model.weights_by_layer().items():
        assert seen.layers[name].weight_norm == pytest.approx(float(np.linalg.norm(weights.detach().numpy())))
        assert weights.grad is not None
        assert seen.layers[name].gradient_norm == pytest.approx(float(np.linalg.norm(weights.grad.numpy())))


def test_looking_inside_changes_nothing(small_fashion_mnist: FashionMNIST) -> None:
    plain, looked_at = (engine_after(2, small_fashion_mnist, batch_norm=True, dropout=0.5) for _ in range(2))
    looked_at.inspect()
    looked_at.evaluate(small_fashion_mnist.validation)
    for engine in (plain, looked_at):
        for _ in range(3):
            engine.train_step()
    assert plain.read() == looked_at.read()


def test_units_that_never_answer_are_counted_as_dead(small_fashion_mnist: FashionMNIST) -> None:
    engine = engine_after(1, small_fashion_mnist)
    alive = engine.inspect().layers["hidden"].dead_share
    with torch.no_grad():
        engine.model.hidden.bias[:4] = -1000
        engine.model.get_submodule("layers.conv1.conv").bias[:1] = -1000  # type: ignore[index, operator]
    layers = engine.inspect().layers
    units = torch.relu(engine.model.hidden.weight).shape[0]
    assert alive is not None
    assert layers["hidden"].dead_share is not None
    assert 4 / units <= layers["hidden"].dead_share <= alive + 8 / units
    assert layers["conv1"].dead_share == 1 / 4
    assert layers["output"].dead_share is None


def test_dead_share_is_that_of_a_plain_count(small_fashion_mnist: FashionMNIST) -> None:
    engine = engine_after(20, small_fashion_mnist, learning_rate=0.05)
    images = small_fashion_mnist.validation.first(INSIGHT_IMAGES).images
    with torch.no_grad():
        found = engine.model.eval().activations(normalise(images))
    expected = {name: float((found[name].flatten(2).amax((0, 2)) == 0).float().mean()) for name in ("conv1", "conv2")}
    expected["hidden"] = float((found["hidden"].amax(0) == 0).float().mean())
    seen = engine.inspect().layers
    assert {name: seen[name].dead_share for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_activations_end_in_the_logits_of_the_forward_pass(
    small_fashion_mnist: FashionMNIST, batch_norm: bool, precision: str
) -> None:
    engine = engine_after(1, small_fashion_mnist, batch_norm=batch_norm, kernels=(4, 8, 8, 8), precision=precision)
    images = normalise(small_fashion_mnist.test.images[:20])
    with torch.no_grad(), engine._autocast():
        engine.model.eval()
        assert torch.equal(engine.model.activations(images)["output"], engine.model(images))


# Bytes


def test_filters_come_back_from_their_bytes() -> None:
    weights = np.random.default_rng(0).normal(size=(100, 5, 5)).astype(np.float32)
    filters = take_filters(weights)
    assert (filters.kernels, filters.shown, filters.side) == (100, MOST_FILTERS, 5)
    back = np.frombuffer(filters.weights, np.int8).reshape(-1, 5, 5) / 127 * filters.scale
    assert np.abs(back - weights[:MOST_FILTERS]).max() <= filters.scale / 254 + 1e-6
    assert take_filters(np.zeros((2, 3, 3))).weights == bytes(18)


def test_maps_come_back_from_their_bytes() -> None:
    maps = np.random.default_rng(0).random((40, 7, 7)).astype(np.float32) * 3
    shown = as_maps("conv1", maps)
    assert (shown["count"], shown["shown"], shown["side"]) == (40, MOST_MAPS, 7)
    back = np.frombuffer(base64.b64decode(shown["maps"]), np.uint8).reshape(-1, 7, 7) / 255 * shown["largest"]
    assert np.abs(back - maps[:MOST_MAPS]).max() <= shown["largest"] / 510 + 1e-6
    units = as_maps("hidden", np.zeros(30))
    assert (units["count"], units["shown"], units["side"], units["largest"]) == (30, 30, 1, 0)


def test_sprite_holds_the_images_row_by_row(small_fashion_mnist: FashionMNIST) -> None:
    images = small_fashion_mnist.test.images[:19].numpy()
    picture = np.asarray(Image.open(io.BytesIO(sprite(images))))
    assert picture.shape == (3 * 28, PER_ROW * 28)
    for number, image in enumerate(images):
        row, column = divmod(number, PER_ROW)
        assert (picture[row * 28 : (row + 1) * 28, column * 28 : (column + 1) * 28] == image).all()


def test_nothing_seen_is_said_in_empty_lists() -> None:
    assert as_columns([])["layers"] == []


# Over HTTP


def test_before_a_run_there_is_nothing_to_see_and_no_error(client: FlaskClient) -> None:
    assert strict(client.get("/api/mistakes"))["split"] is None
    assert strict(client.get("/api/classes"))["confusion"] is None
    assert strict(client.get("/api/inside"))["models"]["model1"]["step"] == []
    assert predict(client, pixels=[0] * 784)["models"] == {"model1": None, "model2": None}
    error_of(client.get("/api/filters?model=model1&step=3"), 404, "nothing_there")


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


def test_filters_of_every_evaluation_can_be_had(client: FlaskClient, monitor: Monitor) -> None:
    run = finish(client, SHORT)
    for name, kernels, side in (("model1", 4, 3), ("model2", 6, 5)):
        steps = strict(client.get("/api/inside"))["models"][name]["step"]
        filters = [strict(client.get(f"/api/filters?run={run}&model={name}&step={step}")) for step in steps]
        assert {(each["shown"], each["side"]) for each in filters} == {(kernels, side)}
        assert len({each["weights"] for each in filters}) == len(steps)
    last = monitor.control.comparison.trainers["model2"].snapshot.weights["layers.conv1.conv.weight"][:, 0].numpy()
    found = np.frombuffer(base64.b64decode(filters[-1]["weights"]), np.int8).reshape(last.shape) / 127
    assert np.abs(found * filters[-1]["scale"] - last).max() < filters[-1]["scale"] / 200


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


def test_images_are_those_of_the_split(client: FlaskClient, small_fashion_mnist: FashionMNIST) -> None:
    response = client.get("/api/images.png?split=validation&images=5,250")
    picture = np.asarray(Image.open(io.BytesIO(response.data)))
    assert (picture[:28, 28:56] == small_fashion_mnist.validation.images[250].numpy()).all()
    assert "max-age" in response.headers["Cache-Control"]
    error_of(client.get("/api/images.png?split=test&images=256"), 404, "nothing_there")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("split=train&images=1", "split"),
        ("images=1", "split"),
        ("split=test&images=", "images"),
        ("split=test&images=1,,2", "images"),
        ("split=test&images=-1", "images"),
        (f"split=test&images={','.join('1' * 101)}", "images"),
    ],
)
def test_images_that_cannot_be_had_are_refused_by_name(client: FlaskClient, query: str, field: str) -> None:
    assert field in error_of(client.get(f"/api/images.png?{query}"), 400, "bad_request")["fields"]


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


def test_classes_are_named_as_the_data_set_names_them(client: FlaskClient) -> None:
    assert strict(client.get("/api/config"))["classes"] == list(CLASS_NAMES)
