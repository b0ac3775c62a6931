"""The queue: comparisons in line: put one in, move it, take it out, go on."""

from typing import Any

from flask import Blueprint

from config import MODEL_NAMES, differing_settings
from history.queue import Item
from studies.queue import MOST_IN_LINE
from web.monitor import Monitor
from web.requests import parse_both, read_object, whole_number


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("queue", __name__)
    queue = monitor.queue

    def answer() -> dict[str, Any]:
        return {
            "state": queue.state,
            "problem": queue.problem,
            "revision": queue.revision,
            "items": [describe(item) for item in queue.items],
        }

    @routes.get("/api/queue")
    def line() -> dict[str, Any]:
        return answer()

    @routes.post("/api/queue")
    def add() -> tuple[dict[str, Any], int]:
        return {"item": queue.add(parse_both(read_object(MODEL_NAMES)))}, 202

    @routes.post("/api/queue/go")
    def go_on() -> dict[str, Any]:
        read_object((), optional=True)
        queue.go_on()
        return answer()

    @routes.post("/api/queue/<item>/move")
    def move(item: str) -> dict[str, Any]:
        queue.move(item, whole_number("to", read_object(("to",)).get("to"), 0, MOST_IN_LINE - 1))
        return answer()

    @routes.post("/api/queue/<item>/delete")
    def remove(item: str) -> dict[str, Any]:
        read_object((), optional=True)
        queue.remove(item)
        return answer()

    return routes


def describe(item: Item) -> dict[str, Any]:
    """Return a comparison in line as the page shows it: its settings, and in which of them its models differ."""
    differing = differing_settings(*(item.configs.get(name, {}) for name in MODEL_NAMES))
    return {"id": item.id, "added": item.added, "differing": differing, "configs": item.configs}
