"""Runs: the history: list, show, continue, rename, delete and restore."""

from typing import Any

from flask import Blueprint, request

from config import say
from exports import runs as export
from studies.branches import MAX_EPOCHS
from web.monitor import Monitor
from web.requests import MAX_NAME, BadRequest, is_title, query_number, read_object, smoothing_asked_for, whole_number

MOST_LISTED = 100_000  # runs


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("runs", __name__)
    store = monitor.store

    @routes.get("/api/runs")
    def runs() -> dict[str, Any]:
        """List the runs, or the newest and those named beside, and those that can be restored, where there are any."""
        limit = query_number("limit", MOST_LISTED, least=1)
        deleted = store.runs(deleted=True)
        listed = {"runs": store.runs(limit=limit, named=request.args.getlist("also"))}
        listed |= {"deleted": deleted} if deleted else {}
        return {
            key: [run | {"file": export.file_stem(run["id"], run["name"])} for run in runs]
            for key, runs in listed.items()
        }

    @routes.get("/api/runs/<run>")
    def one_run(run: str) -> dict[str, Any]:
        return monitor.one_run(run, smoothing_asked_for())

    @routes.post("/api/runs/<run>/resume")
    def continue_run(run: str) -> tuple[dict[str, Any], int]:
        more_epochs = whole_number("more_epochs", read_object(("more_epochs",)).get("more_epochs", 0), 0, MAX_EPOCHS)
        return {"run": monitor.control.continue_run(run, more_epochs)}, 202

    @routes.post("/api/runs/<run>/rename")
    def rename_run(run: str) -> dict[str, Any]:
        name = read_object(("name",)).get("name")
        if not isinstance(name, str) or not is_title(name):
            expected = f"name must be 1 to {MAX_NAME} characters without control characters, got {say(name)}"
            raise BadRequest("A name that cannot be used", {"name": expected})
        store.rename(run, name)
        return {"run": run, "name": name}

    @routes.post("/api/runs/<run>/delete")
    def delete_run(run: str) -> dict[str, Any]:
        read_object((), optional=True)
        monitor.control.delete_run(run)
        return {"run": run}

    @routes.post("/api/runs/<run>/restore")
    def restore_run(run: str) -> dict[str, Any]:
        read_object((), optional=True)
        store.restore(run)
        return {"run": run}

    return routes
