"""Lineage: which run went on from which."""

from typing import Any

from flask import Blueprint, request

from web.monitor import Monitor
from web.requests import identifier


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("lineage", __name__)

    @routes.get("/api/lineage")
    def lineage() -> dict[str, Any]:
        return monitor.store.lineage.of(identifier("run", request.args.get("run")))._asdict()

    return routes
