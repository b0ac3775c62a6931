"""Exports: a run, or any two trainings, as a file with every step and every evaluation."""

from collections.abc import Iterator

from flask import Blueprint, Response

from exports import runs as export
from web.monitor import Monitor
from web.pair import tell
from web.requests import BadRequest
from web.slots import PARAMETERS, slots_asked_for

KINDS = {"csv": "text/csv", "json": "application/json"}  # of files, by their ending


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("exports", __name__)
    store = monitor.store

    @routes.get("/api/runs/<run>/export.csv", defaults={"ending": "csv"})
    @routes.get("/api/runs/<run>/export.json", defaults={"ending": "json"})
    def export_run(run: str, ending: str) -> Response:
        write = {"csv": export.as_csv, "json": export.as_json}[ending]
        return as_file(write(store, run), f"{export.file_stem(run, store.about(run)['name'])}.{ending}")

    @routes.get("/api/export.csv", defaults={"ending": "csv"})
    @routes.get("/api/export.json", defaults={"ending": "json"})
    def export_two(ending: str) -> Response:
        slots = slots_asked_for(*monitor.known)
        if not slots.are_chosen:
            expected = "<run>/<model>, got nothing"
            raise BadRequest("No two trainings to export", {each: f"{each} must be {expected}" for each in PARAMETERS})
        trainings = slots.trainings
        about = tell(store, slots)
        parts = {"csv": export.pair_as_csv(store, trainings), "json": export.pair_as_json(store, trainings, about)}
        return as_file(parts[ending], f"{export.pair_stem(trainings)}.{ending}")

    return routes


def as_file(parts: Iterator[str], name: str) -> Response:
    """Return a text, piece by piece, that browsers save under a name."""
    response = Response(parts, mimetype=KINDS[name.rpartition(".")[2]])
    response.headers.set("Content-Disposition", "attachment", filename=name)
    response.headers["Cache-Control"] = "no-store"
    return response
