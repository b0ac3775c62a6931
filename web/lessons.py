"""Lessons: those that the page offers, and whether those of a link can be used."""

from typing import Any

from flask import Blueprint

from studies.lessons import Lesson, parse_lessons
from web.monitor import Monitor
from web.requests import read_json


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("lessons", __name__)

    @routes.get("/api/lessons")
    def lessons() -> dict[str, Any]:
        return {"lessons": [each.model_dump(mode="json") for each in monitor.lessons]}

    @routes.post("/api/lessons")
    def check() -> dict[str, Any]:
        """Answer the lessons of the body, filled in, before those that stay beside them; nothing is kept."""
        given: Any = read_json()
        found: tuple[Lesson, ...] = parse_lessons(given, monitor.lessons)
        return {"lessons": [each.model_dump(mode="json") for each in found], "given": len(given["lessons"])}

    return routes
