"""Metrics: the answer to a poll that `web/polls.py` leaves to Flask: its query is written otherwise, or is wrong."""

from typing import Any

from flask import Blueprint, request

from web.monitor import Monitor
from web.requests import BadRequest, is_whole, smoothing_asked_for
from web.slots import among_asked_for, slots_asked_for


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("metrics", __name__)

    @routes.get("/api/metrics")
    def metrics() -> dict[str, Any]:
        since = request.args.get("since")
        if since is not None and not is_whole(since):
            raise BadRequest("Bad cursor", {"since": f"since must be a whole number, got {since[:80]!a}"})
        boot, cursor, smoothing = request.args.get("boot"), int(since) if since else None, smoothing_asked_for()
        slots = slots_asked_for(*monitor.known)
        if slots.are_chosen:
            among_asked_for(slots)  # refused before anything is shown that /api/comparison says nothing of
            return monitor.trainings(slots, boot, cursor, smoothing)
        return monitor.metrics(boot, request.args.get("run"), cursor, smoothing)

    return routes
