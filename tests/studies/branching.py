"""How a test lets a run go on, and all that is kept of one."""

import hashlib
from typing import Any

from flask.testing import FlaskClient
from histories import history_file, points_in
from served import (
    metrics_of,
    strict,
)

from config import MODEL_NAMES
from web.monitor import Monitor

TABLES = ("runs", "models", "evaluations", "events", "insights", "predictions")


def go_on(client: FlaskClient, run: str, more_epochs: int) -> str:
    response = client.post(f"/api/runs/{run}/resume", json={"more_epochs": more_epochs})
    assert response.status_code == 202, response.text
    return str(strict(response)["run"])


def all_of(monitor: Monitor, run: str) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Return all that is kept of a run: its rows in every table, its points, and a digest of each checkpoint."""
    monitor.store.save()
    rows = {}
    with history_file(monitor.store.directory) as database:
        for table in TABLES:
            key = "id" if table == "runs" else "run"
            rows[table] = database.execute(f"SELECT * FROM {table} WHERE {key} = ? ORDER BY 1, 2, 3", (run,)).fetchall()
        rows["points"] = [(run, model, *point) for model in MODEL_NAMES for point in points_in(database, model, run)]
    files = (monitor.store.directory / "checkpoints").glob(f"{run}.*")
    return rows, {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def details(client: FlaskClient, kind: str, model: str = "model1") -> list[str]:
    events = metrics_of(client)["models"][model]["events"]
    return [what for each, what in zip(events["kind"], events["detail"], strict=True) if each == kind]
