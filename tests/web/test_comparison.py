"""`GET /api/comparison` over real runs of small models."""

import json
import math
import subprocess
import sys
from operator import mul
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import DIVERGING, endless, quick, wait_for
from histories import history_file
from served import metrics_of, wait_until

from analysis.measures import AXES
from config import MODEL_NAMES, ModelConfig
from history.records import Point
from server import create_app
from training.images import FashionMNIST
from web.monitor import Monitor

KEYS = {
    *(
        "run",
        "axis",
        "state",
        "verdict",
        "test",
        "attribution",
        "targets",
        "interval",
        "rows",
        "notes",
        "significance",
        "outcomes",
    ),
}


def ask(client: FlaskClient, query: str = "") -> dict[str, Any]:
    response = client.get(f"/api/comparison{query}")
    assert response.status_code == 200, response.get_data()
    answer: dict[str, Any] = json.loads(response.get_data(), parse_constant=pytest.fail)
    assert set(answer) == KEYS
    return answer


def start(client: FlaskClient, one: ModelConfig, two: ModelConfig) -> str:
    body = {"model1": one.model_dump(mode="json"), "model2": two.model_dump(mode="json")}
    response = client.post("/api/start", json=body)
    assert response.status_code == 202, response.get_data()
    return str(response.get_json()["run"])


def row(answer: dict[str, Any], key: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in answer["rows"] if row["key"] == key)
    return found


def run_to_the_end(client: FlaskClient, one: ModelConfig, two: ModelConfig) -> str:
    run = start(client, one, two)
    wait_for(lambda: ask(client)["state"] not in ("running", "idle"), "end of the run")
    return run


def test_an_idle_server_answers_with_nothing_known(client: FlaskClient) -> None:
    answer = ask(client)
    assert (answer["run"], answer["axis"], answer["state"], answer["notes"]) == (None, "epochs", "idle", [])
    assert answer["verdict"]["text"] is None
    assert answer["test"] == {"model1": None, "model2": None}
    assert answer["interval"] == {"model1": None, "model2": None}
    assert {row["better"] for row in answer["rows"]} == {None}
    assert row(answer, "parameters")["text1"] == "422,026"  # of the settings that wait in the forms


def test_the_endpoint_answers_before_torch_has_loaded(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from history.store import RunStore
from server import create_app
from web.monitor import Monitor
monitor = Monitor(Path("nowhere"), RunStore(Path(sys.argv[1])))
answer = create_app(monitor).test_client().get("/api/comparison?axis=flops")
monitor.close()
assert answer.status_code == 200, answer.get_data()
assert {row["text1"] for row in answer.get_json()["rows"]} == {"–"}
assert not {"torch", "scipy"} & set(sys.modules), "loaded too much"
"""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=root,
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("axis", AXES)
def test_each_axis_is_answered_to(client: FlaskClient, axis: str) -> None:
    assert ask(client, f"?axis={axis}")["axis"] == axis


@pytest.mark.parametrize("axis", ["", "epoch", "Epochs", "steps", "x" * 200, "%00"])
def test_an_unknown_axis_is_refused_by_name(client: FlaskClient, axis: str) -> None:
    response = client.get(f"/api/comparison?axis={axis}")
    assert response.status_code == 400
    error = response.get_json()["error"]
    assert error["code"] == "bad_request"
    assert error["fields"]["axis"].startswith("axis must be epochs, seconds, images or flops, got ")
    assert len(error["fields"]["axis"]) < 200


def test_an_unknown_run_is_not_found(client: FlaskClient) -> None:
    response = client.get("/api/comparison?run=never")
    assert response.status_code == 404
    assert response.get_json()["error"]["code"] == "unknown_run"


def test_a_running_comparison_says_who_leads_and_how_fast(client: FlaskClient) -> None:
    run = start(client, endless(), endless(optimizer="sgd"))
    wait_for(lambda: ask(client, "?axis=seconds")["verdict"]["text"] is not None, "verdict")
    wait_for(lambda: row(ask(client), "images_per_second")["model2"] is not None, "speed")
    answer = ask(client, "?axis=seconds")
    assert (answer["run"], answer["state"]) == (run, "running")
    assert answer["attribution"]["differing"] == ["optimizer"]
    assert answer["verdict"]["axis_text"].startswith("at equal seconds (")
    assert answer["verdict"]["accuracy"]["at"] > 0
    assert answer["interval"]["model1"] in (0.25, 0.5, pytest.approx(1))
    for key in ("images_per_second", "achieved_flops", "parameters", "memory", "training_time"):
        assert row(answer, key)["model1"] > 0
    client.post("/api/stop", json={})
    wait_for(lambda: ask(client)["state"] == "stopped", "stop")


def test_a_finished_run_has_test_accuracies_and_the_figures_of_its_course(client: FlaskClient) -> None:
    settings: dict[str, Any] = {"epochs": 4, "batch_size": 16, "learning_rate": 0.003}
    run_to_the_end(client, quick(**settings), quick(**settings, seed=1))
    answer = ask(client)
    assert answer["state"] == "finished"
    assert answer["attribution"]["text"] == "Only the seed differs. A gap shows what the seed alone does."
    assert answer["verdict"]["text"] == f"{answer['significance']['text']} {answer['attribution']['text']}"
    assert answer["verdict"]["accuracy"]["text"] == answer["significance"]["text"] == answer["verdict"]["first"]
    assert answer["verdict"]["leader"] == answer["significance"]["leader"]
    for name in ("model1", "model2"):
        test = answer["test"][name]
        assert 0 <= test["low"] < test["accuracy"] < test["high"] <= 1
        for key in ("loss_reduction_rate", "instability", "spikes", "drawdown", "plateau", "overfitting"):
            assert isinstance(row(answer, key)[name], int | float), key
    assert answer["verdict"]["accuracy"]["at"] == pytest.approx(4)
    metrics = client.get("/api/metrics").get_json()["models"]
    assert answer["verdict"]["accuracy"]["model1"] == pytest.approx(metrics["model1"]["val_accuracy"], rel=1e-5)


def test_noise_is_that_of_the_answers_to_the_same_images(
    client: FlaskClient, monitor: Monitor, small_fashion_mnist: FashionMNIST
) -> None:
    run = run_to_the_end(client, quick(batch_size=16), quick(batch_size=16, kernels=(4, 6)))
    labels = small_fashion_mnist.validation.labels.numpy()
    answers = monitor.store.predictions(run)
    one, two = (answers[name]["validation"].answers == labels for name in MODEL_NAMES)
    differences = one.astype(float) - two
    accuracy = ask(client)["verdict"]["accuracy"]
    assert accuracy["noise"] == pytest.approx(1.96 * differences.std() / len(labels) ** 0.5, rel=1e-4)
    assert accuracy["model1"] - accuracy["model2"] == pytest.approx(differences.mean(), abs=1e-5)
    assert ask(client, f"?run={run}")["verdict"]["accuracy"] == accuracy
    monitor.store.save()
    with history_file(monitor.store.directory) as database:
        database.execute("UPDATE evaluations SET right_images = NULL")  # as an older version left it
    run_to_the_end(client, quick(), quick())
    older = ask(client, f"?run={run}")["verdict"]
    assert older["accuracy"]["noise"] is None
    assert older["accuracy"]["gap"] == accuracy["gap"]


def test_run_with_the_settings_of_a_series_says_what_the_series_tells(client: FlaskClient, monitor: Monitor) -> None:
    settings = {"model1": quick(), "model2": quick(dropout=0)}
    body = {name: config.model_dump(mode="json") for name, config in settings.items()}
    assert client.post("/api/repeats", json={"runs": 3} | body).status_code == 202
    wait_for(lambda: client.get("/api/repeats").get_json()["state"] == "finished", "end of the series")
    said = (
        "One setting differs (dropout). 3 pairs of repeats are too few to speak of the settings; that takes 5 at least."
    )
    assert said in ask(client)["verdict"]["text"]  # the last pair itself
    run_to_the_end(client, quick(seed=77), quick(seed=77, dropout=0))
    assert said in ask(client)["verdict"]["text"]
    assert ask(client)["verdict"]["action"] == {"kind": "repeat", "pairs": 5}
    run_to_the_end(client, quick(seed=77), quick(seed=77, dropout=0.1))
    assert "repeats name" not in ask(client)["verdict"]["text"]


def test_equal_images_count_the_images_that_there_are(client: FlaskClient, small_fashion_mnist: FashionMNIST) -> None:
    run_to_the_end(client, quick(), quick(kernels=(4, 6)))
    at = ask(client, "?axis=images")["verdict"]["accuracy"]["at"]
    assert at == pytest.approx(len(small_fashion_mnist.train))
    flops = [row(ask(client), "training_flops_per_image")[name] * 1e6 for name in ("model1", "model2")]
    assert ask(client, "?axis=flops")["verdict"]["accuracy"]["at"] == pytest.approx(at * min(flops), rel=1e-4)


def test_a_past_run_is_compared_as_it_was(client: FlaskClient) -> None:
    first = run_to_the_end(client, quick(epochs=2), quick(epochs=2, dropout=0))
    live = ask(client, "?axis=seconds")
    assert ask(client, f"?axis=seconds&run={first}") == live
    second = run_to_the_end(client, quick(), quick())
    assert ask(client)["run"] == second
    past = ask(client, f"?axis=seconds&run={first}")
    assert past["run"] == first
    assert past["attribution"] == live["attribution"]
    assert past["verdict"]["accuracy"] == live["verdict"]["accuracy"]
    assert past["rows"] == live["rows"]


def test_the_gpu_is_of_use_to_a_run_only_while_it_is_on(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studies.workshop.Workshop.gpu_use", lambda workshop: 0.5)
    start(client, endless(), endless(seed=1))
    assert row(ask(client), "gpu_use")["text1"] == "50"
    client.post("/api/stop", json={})
    wait_until(client, "stopped")
    assert "gpu_use" not in [each["key"] for each in ask(client)["rows"]]


def rates_by_hand(monitor: Monitor, run: str, config: ModelConfig, images: int) -> list[float]:
    """Return ln(mean loss of the last whole epoch but one / of the last) of both models, from every saved step."""
    monitor.store.save()
    batches, rates = config.batches(images), []
    for model in MODEL_NAMES:
        steps = monitor.store.run_status(run, model).step
        losses = [point.loss for portion in monitor.store.read(Point, run, model, steps) for point in portion]
        epochs = [losses[start : start + batches.steps] for start in range(0, len(losses), batches.steps)]
        weights = batches.counts(1, batches.steps)
        means = [sum(map(mul, epoch, weights)) / images for epoch in epochs if len(epoch) == batches.steps]
        rates.append(math.log(means[-2] / means[-1]))
    return rates


def test_loss_reduction_rate_is_that_of_whole_epochs_live_resumed_forked_and_past(
    client: FlaskClient, monitor: Monitor, small_fashion_mnist: FashionMNIST
) -> None:
    config = quick(epochs=4, batch_size=48, label_smoothing=0.1)  # an epoch's last batch has 16 images

    def check(run: str, query: str = "") -> None:
        found = row(ask(client, query), "loss_reduction_rate")
        rates = rates_by_hand(monitor, run, config, len(small_fashion_mnist.train))
        assert [found[model] for model in MODEL_NAMES] == pytest.approx(rates)
        assert (found["better"], found["text1"]) == (None, f"{rates[0]:.3f}".replace("-", "−"))

    run = start(client, config, config.model_copy(update={"learning_rate": 0.01}))
    wait_for(lambda: metrics_of(client)["models"]["model1"]["epoch"] > 1.3, "part of the second epoch")
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    assert client.post(f"/api/runs/{run}/resume", json={}).status_code == 202
    wait_until(client, "finished")
    assert monitor.control.comparison.join(60)
    check(run)
    response = client.post("/api/fork", json={"settings": {"epochs": 6}})
    assert response.status_code == 202, response.text
    wait_until(client, "finished")
    assert monitor.control.comparison.join(60)
    check(str(response.get_json()["run"]))
    check(run, f"?run={run}")


def test_what_only_pytorch_can_tell_is_awaited_and_not_denied(client: FlaskClient, monitor: Monitor) -> None:
    run = run_to_the_end(client, quick(epochs=2), quick(epochs=2, dropout=0.1))
    assert monitor.control.comparison.join(60)
    restarted = Monitor(Path("nowhere"), monitor.store)  # its loading has not begun
    early = create_app(restarted).test_client()
    assert (
        "The answers to the test images are read once PyTorch has loaded."
        in ask(early, f"?run={run}")["verdict"]["text"]
    )
    found = ask(early, f"?axis=flops&run={run}")["verdict"]
    assert (found["first"], found["text"]) == ("The work per image is not known yet.", None)
    loaded = [ask(client, f"?axis={axis}&run={run}")["verdict"]["first"] for axis in ("epochs", "flops")]
    assert all("on the test images" in each for each in loaded)


def test_a_run_that_broke_is_explained_first(client: FlaskClient) -> None:
    run_to_the_end(client, DIVERGING, quick())
    answer = ask(client)
    assert answer["state"] == "failed"
    first = answer["notes"][0]
    assert (first["id"], first["model"]) == ("failure-model1", "model1")
    assert answer["verdict"]["text"].endswith("model 2 alone has a result.")
    assert (answer["verdict"]["leader"], answer["verdict"]["gap"]) == ("model2", None)
    assert "no longer a number" in first["text"]
