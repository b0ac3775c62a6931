"""The smoothed curve against an independent average of every single loss, wherever it is answered."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from helpers import quick, wait_for

from config import ModelConfig
from exports.plots import plot_curves
from exports.records import ModelRecord
from history.curves import BoundedCurve
from history.log import SMOOTHED, MetricsLog
from history.records import Evaluation, Point, Status
from history.smoothing import WINDOWS, Smoother
from history.store import RunStore
from web.monitor import Monitor

IMAGES = 55_000
RUNNING = Status("running")


def average(points: Sequence[Point], window: int, quantity: str) -> dict[int, float]:
    """Return the debiased average at each step by its definition, in one sum: weights fall by images, not by steps."""
    ends = np.array([point.epoch for point in points]) * IMAGES
    images = np.diff(ends, prepend=0.0)
    values = np.array([getattr(point, quantity) for point in points])
    averages, total, weight = {}, 0.0, 0.0
    for place, point in enumerate(points):
        share = -math.expm1(-images[place] / window)
        total = total * (1 - share) + share * values[place]
        weight = -math.expm1(-ends[place] / window)
        averages[point.step] = total / weight
    return averages


def course(batch: int, epochs: int) -> Iterator[Point]:
    """A loss as noisy and skewed as that of a real run, with a smaller last batch at each epoch's end."""
    chance = np.random.default_rng(batch)
    steps = math.ceil(IMAGES / batch)
    for step in range(1, steps * epochs + 1):
        whole, place = divmod(step - 1, steps)
        epoch = whole + min(IMAGES, (place + 1) * batch) / IMAGES
        loss = (0.2 + 2 * math.exp(-2 * epoch)) * chance.gamma(batch / 32, 32 / batch)
        yield Point(step, epoch, step / 100, float(loss), float(1 - 0.4 * math.exp(-epoch)))


@pytest.mark.parametrize("batch", [16, 64])
def test_curve_of_fifteen_epochs_is_the_average_of_every_loss(batch: int) -> None:
    points = list(course(batch, 15))
    log = MetricsLog(["model1"])
    for first in range(0, len(points), 40):
        log.publish("model1", RUNNING, points[first : first + 40])
    log.publish("model1", RUNNING, flush=True)
    for window in WINDOWS:
        model = log.view(0, window)[1]["model1"]
        shown = model["points"]
        for quantity in ("loss", "accuracy"):
            expected = average(points, window, quantity)
            assert shown[f"smooth_{quantity}"] == pytest.approx([expected[step] for step in shown["step"]], rel=1e-4)
            assert model[f"smooth_{quantity}"] == shown[f"smooth_{quantity}"][-1]
        assert len(shown["step"]) > 400


def test_deltas_carry_the_same_averages_as_the_whole() -> None:
    points = list(course(64, 3))
    log, cursor, steps, losses = MetricsLog(["model1"]), 0, [], []
    for first in range(0, len(points), 40):
        log.publish("model1", RUNNING, points[first : first + 40])
        cursor, news = log.view(cursor, 2750)
        steps += news["model1"]["points"]["step"]
        losses += news["model1"]["points"]["smooth_loss"]
    expected = average(points, 2750, "loss")
    assert losses == pytest.approx([expected[step] for step in steps], rel=1e-4)


def test_loss_that_breaks_leaves_a_gap_and_no_trace_in_the_average() -> None:
    smoother = Smoother([2750])
    (first,) = smoother.add(0.1, 1.0, 0.5)
    assert smoother.add(0.2, math.nan, 0.5) == [(None, None)]
    assert smoother.add(0.3, 1.0, 0.5)[0] == pytest.approx(first)


def test_log_smooths_only_over_the_windows_that_it_keeps() -> None:
    log = MetricsLog(["model1"], windows=[2750])
    log.publish("model1", RUNNING, list(course(64, 1)))
    assert set(SMOOTHED) <= set(log.view(0, 2750)[1]["model1"]["points"])
    assert not set(SMOOTHED) & set(log.view(0)[1]["model1"]["points"])
    with pytest.raises(ValueError, match="275"):
        log.view(0, 275)


def test_picture_of_the_command_line_draws_the_same_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = list(course(64, 15))
    record = ModelRecord(Status("finished", config={}), points, [Evaluation(860, 1.0, 1.0, 0.3, 0.9)])
    drawn: dict[str, tuple[list[float], list[float]]] = {}

    def look(axes: object, x: list[float], y: list[float], **style: object) -> None:
        if style.get("label") == "model1 training" and "loss" not in drawn:
            drawn["loss"] = (x, y)

    monkeypatch.setattr("matplotlib.axes.Axes.plot", look)
    monkeypatch.setattr("matplotlib.axes.Axes.legend", lambda axes: None)
    plot_curves({"model1": record}, tmp_path / "curves.png")
    averages = average(points, 2750, "loss")
    expected = {f"{point.epoch:.6g}": averages[point.step] for point in points}
    x, y = drawn["loss"]
    assert len(x) > 400
    assert y == pytest.approx([expected[f"{epoch:.6g}"] for epoch in x], rel=1e-2)


# Over HTTP


def test_run_is_smoothed_alike_live_resumed_and_past(client: FlaskClient, monitor: Monitor) -> None:
    settings = quick(epochs=40, batch_size=100).model_dump(mode="json")
    run = client.post("/api/start", json={"model1": settings, "model2": settings}).json["run"]
    wait_for(lambda: client.get("/api/metrics").json["models"]["model1"]["step"] >= 30, "30 steps")
    client.post("/api/stop", json={})
    assert monitor.control.comparison.join(60)
    assert client.post(f"/api/runs/{run}/resume", json={}).status_code == 202
    wait_for(lambda: client.get("/api/metrics").json["models"]["model1"]["state"] == "finished", "end")
    points = stored(monitor.store, run)
    assert len(points) == 440
    for window in (275, 2750):
        expected = average(points, window, "loss")
        for path in ("/api/metrics", f"/api/runs/{run}"):
            model = client.get(path, query_string={"smoothing": window}).json["models"]["model1"]
            shown = model["points"]
            assert shown["smooth_loss"] == pytest.approx([expected[step] for step in shown["step"]], rel=1e-4)
            assert model["smooth_loss"] == pytest.approx(expected[440], rel=1e-4)
            assert model["loss"] == pytest.approx(points[-1].loss)  # that of the last batch, as ever
    default = client.get("/api/metrics").json["models"]["model1"]["points"]
    assert default == client.get("/api/metrics?smoothing=2750").json["models"]["model1"]["points"]
    assert "smooth_loss" not in client.get("/api/metrics?smoothing=0").json["models"]["model1"]["points"]


def stored(store: RunStore, run: str) -> list[Point]:
    """Return every step of model 1 as it is on the disk."""
    store.save()
    return [point for portion in store.read(Point, run, "model1", 10**9) for point in portion]


@pytest.mark.parametrize("given", ["-1", "2751", "2750.0", "off", ""])
def test_window_that_is_not_offered_is_refused(client: FlaskClient, given: str) -> None:
    for path in ("/api/metrics", "/api/runs/x"):
        response = client.get(path, query_string={"smoothing": given})
        assert response.status_code == 400
        assert response.json["error"]["fields"]["smoothing"].startswith("smoothing must be 0, 275,")


def test_curve_without_windows_costs_nothing_and_has_none() -> None:
    curve = BoundedCurve()
    for point in course(64, 1):
        curve.append(point, 1)
    with pytest.raises(ValueError, match="2750"):
        curve.smoothed(curve.since(0), 2750)


def test_settings_that_batch_all_images_at_once_are_smoothed_too() -> None:
    assert ModelConfig(batch_size=8192).batch_size > WINDOWS[3]
    assert Smoother(WINDOWS).add(8192 / IMAGES, 2.3, 0.1)[0] == pytest.approx((2.3, 0.1))
