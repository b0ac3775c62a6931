"""What leaves the app, from figures that are known."""

import csv
import json
import math
from pathlib import Path

import pytest

from config import DEFAULTS, ModelConfig
from exports.files import write_metrics
from exports.plots import plot_curves
from exports.records import ModelRecord
from history.records import Evaluation, Point, Status
from terminal import comparison_table


def record(config: ModelConfig, loss: float) -> ModelRecord:
    status = Status(
        "finished", config=config.model_dump(mode="json"), parameters=1234, loss=loss, test_accuracy=0.875, epoch=1.0
    )
    points = [Point(1, 0.5, 0.1, 2.0, 0.5), Point(2, 1.0, 0.2, loss, 0.75)]
    return ModelRecord(status, points, [Evaluation(2, 1.0, 0.3, 0.5, 0.8)])


@pytest.fixture
def records() -> dict[str, ModelRecord]:
    return {"model1": record(DEFAULTS, 0.25), "model2": record(ModelConfig(dropout=0.3), math.nan)}


def test_json_holds_every_step_and_null_for_nan(records: dict[str, ModelRecord], tmp_path: Path) -> None:
    write_metrics(records, tmp_path / "metrics.json")
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert [point["loss"] for point in written["model1"]["points"]] == [2.0, 0.25]
    assert written["model2"]["points"][1]["loss"] is None
    assert written["model2"]["config"]["dropout"] == 0.3
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_csv_has_a_row_for_each_step_and_evaluation(records: dict[str, ModelRecord], tmp_path: Path) -> None:
    write_metrics(records, tmp_path / "metrics.csv")
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [(row["model"], row["split"], row["step"]) for row in rows[:3]] == [
        ("model1", "training", "1"),
        ("model1", "training", "2"),
        ("model1", "validation", "2"),
    ]
    assert len(rows) == 6


def test_table_shows_the_settings_that_differ_and_only_those(records: dict[str, ModelRecord]) -> None:
    lines = {line[:28].strip(): line[28:].split() for line in comparison_table(records).splitlines()}
    assert lines["dropout"] == ["0.5", "0.3"]
    assert lines["test accuracy"] == ["87.50%", "87.50%"]
    assert lines["parameters"] == ["1,234", "1,234"]
    assert "optimizer" not in lines


@pytest.mark.parametrize(("ending", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_curves_are_drawn(records: dict[str, ModelRecord], tmp_path: Path, ending: str, start: bytes) -> None:
    path = tmp_path / f"curves{ending}"
    plot_curves(records, path)
    assert path.read_bytes().startswith(start)
