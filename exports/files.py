"""Files of the command line: what was measured of each model, at full resolution, as JSON or CSV."""

import csv
import json
import os
from pathlib import Path
from typing import Any

from exports.records import ModelRecord, Records
from history.records import Point, finite

METRIC_FORMATS = (".json", ".csv")


def write_metrics(records: Records, path: Path) -> None:
    """Write every step and evaluation to a .json or .csv file; the file is there whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        if path.suffix == ".json":
            json.dump({name: _as_json(record) for name, record in records.items()}, file, allow_nan=False)
        else:
            rows = csv.writer(file)
            rows.writerow(["model", "split", *Point._fields])
            for name, record in records.items():
                rows.writerows([name, "training", *point] for point in record.points)
                rows.writerows(
                    [name, "validation", *evaluation[: len(Point._fields)]] for evaluation in record.evaluations
                )
    os.replace(partial, path)


def _as_json(record: ModelRecord) -> dict[str, Any]:
    return record.status.as_json() | {
        "points": [finite(point._asdict()) for point in record.points],
        "evaluations": [evaluation.as_json() for evaluation in record.evaluations],
    }
