"""Exports: every step and every evaluation, of the latest run, of a past one, after a restart."""

import csv
import io
import json
import math
import sqlite3
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from helpers import LIVELY, as_json
from served import ENDLESS, error_of, metrics_of, open_monitor, start, states, strict, wait_for_steps, wait_until

from config import MODEL_NAMES
from exports.runs import as_csv, file_stem
from history.points import put
from history.records import Point
from server import create_app
from training.images import FashionMNIST
from web.monitor import Monitor


def rows_of(client: FlaskClient, run: str) -> list[dict[str, str]]:
    response = client.get(f"/api/runs/{run}/export.csv")
    assert (response.status_code, response.mimetype) == (200, "text/csv")
    return list(csv.DictReader(io.StringIO(response.text)))


def assert_whole(client: FlaskClient, run: str) -> None:
    """Every step that a model has taken is a row, and JSON holds the same numbers."""
    models = strict(client.get(f"/api/runs/{run}"))["models"]
    rows = rows_of(client, run)
    whole = strict(client.get(f"/api/runs/{run}/export.json"))
    assert whole["run"] == run
    for name, model in models.items():
        assert model["step"] > 0
        for kind, key in (("training", "points"), ("validation", "evaluations")):
            of_model = [row for row in rows if (row["model"], row["kind"]) == (name, kind)]
            columns = whole["models"][name][key]
            for column, values in columns.items():
                assert [float(row[column] or "nan") for row in of_model] == pytest.approx(
                    [math.nan if value is None else value for value in values], abs=0, nan_ok=True
                )
            if kind == "training":
                assert [int(row["step"]) for row in of_model] == list(range(1, model["step"] + 1))
            else:
                assert columns["step"] == model["evaluations"]["step"]
        assert whole["models"][name]["config"] == model["config"]
        assert whole["models"][name]["events"]["kind"] == model["events"]["kind"]


def test_run_is_exported_whole_as_the_latest_beside_another_and_after_a_restart(
    tmp_path: Path, small_fashion_mnist: FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.images.load_fashion_mnist", lambda data_dir: small_fashion_mnist)
    runs_dir = tmp_path / "runs"
    monitor = open_monitor(runs_dir)
    client = create_app(monitor).test_client()
    first = start(client, as_json(LIVELY))
    wait_until(client, "finished")
    assert_whole(client, first)
    start(client, ENDLESS)
    wait_for_steps(client, "model1", 100)
    assert_whole(client, first)
    monitor.close()

    monitor = open_monitor(runs_dir)
    try:
        client = create_app(monitor).test_client()
        assert metrics_of(client)["run"] is None
        assert_whole(client, first)
    finally:
        monitor.close()


def test_running_model_is_exported_as_far_as_it_has_come(client: FlaskClient) -> None:
    run = start(client, ENDLESS)
    wait_for_steps(client, "model1", 200)
    before = metrics_of(client)["models"]["model1"]["step"]
    steps = [int(row["step"]) for row in rows_of(client, run) if row["model"] == "model1" and row["kind"] == "training"]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= before
    assert states(client) == dict.fromkeys(MODEL_NAMES, "running")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        (None, "fashionmnist-ID"),
        ("Adam against SGD", "fashionmnist-ID-Adam-against-SGD"),
        ('../../<b>"x"\r\n.csv', "fashionmnist-ID-b-x-csv"),
        ("Größe 3×3", "fashionmnist-ID-Groe-33"),
        ("模型", "fashionmnist-ID"),
        ("x" * 100, "fashionmnist-ID-" + "x" * 60),
    ],
)
def test_file_is_called_after_run_and_name_made_safe(name: str | None, stem: str) -> None:
    assert file_stem("ID", name) == stem


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_export_is_sent_as_a_file_of_that_name_and_its_name_is_data(
    client: FlaskClient,
    ending: str,
) -> None:
    run = start(client, ENDLESS)
    wait_for_steps(client, "model1", 5)
    client.post(f"/api/runs/{run}/rename", json={"name": '=1+1 "Adam"'})
    response = client.get(f"/api/runs/{run}/export.{ending}")
    stem = strict(client.get("/api/runs"))["runs"][0]["file"]
    assert stem == f"fashionmnist-{run}-1-1-Adam"
    assert response.headers["Content-Disposition"] == f"attachment; filename={stem}.{ending}"
    assert ending == "csv" or json.loads(response.text)["name"] == '=1+1 "Adam"'


def test_export_of_what_there_is_not_is_refused(client: FlaskClient) -> None:
    error_of(client.get("/api/runs/20260101-000000-aaaa/export.csv"), 404, "unknown_run")
    error_of(client.get("/api/runs/20260101-000000-aaaa/export.json"), 404, "unknown_run")
    error_of(client.get("/api/runs/20260101-000000-aaaa/export.exe"), 404, "not_found")


def test_long_run_is_exported_in_little_memory(monitor: Monitor, client: FlaskClient, tmp_path: Path) -> None:
    run = start(client, as_json(LIVELY))
    wait_until(client, "finished")
    monitor.store.save()
    many = 150_000
    status: dict[str, Any] = strict(client.get(f"/api/runs/{run}"))["models"]["model1"] | {"step": many}
    with sqlite3.connect(tmp_path / "runs" / "history.sqlite") as database:
        known = {key: value for key, value in status.items() if key not in ("points", "evaluations", "events")}
        database.execute("UPDATE models SET status = ? WHERE run = ? AND model = 'model1'", (json.dumps(known), run))
        points = [Point(step, step / 1000, step / 100, 0.5, 0.5) for step in range(1, many + 1)]
        put(database, run, "model1", points, is_end=True)
        del points
    database.close()
    tracemalloc.start()
    lines = sum(piece.count("\n") for piece in as_csv(monitor.store, run))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert lines > many
    assert peak < 20e6  # a portion of 10,000 rows; all of them would take some 100 MB
