"""Control: start, pause, resume, stop, steer and fork, and what a model will cost."""

from typing import Any

from flask import Blueprint

from config import MODEL_NAMES, parse_config, say
from studies.control import COMMANDS
from web.monitor import Monitor
from web.requests import BadRequest, choice, parse_both, read_json, read_object


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("control", __name__)
    control = monitor.control

    @routes.post("/api/describe")
    def describe() -> dict[str, Any]:
        config = parse_config(read_json(), "config")
        workshop = monitor.loading.require()
        return workshop.describe(config) | {"steps_per_epoch": workshop.steps_per_epoch(config)}

    @routes.post("/api/start")
    def start() -> tuple[dict[str, Any], int]:
        return {"run": control.start(parse_both(read_object(MODEL_NAMES)))}, 202

    @routes.post("/api/<any({}):command>".format(", ".join(COMMANDS)))
    def command(command: str) -> dict[str, Any]:
        model = read_object(("model",), optional=True).get("model")
        control.command(command, None if model is None else choice("model", model, MODEL_NAMES))
        return {"run": monitor.run}

    @routes.post("/api/steer")
    def steer() -> dict[str, Any]:
        given = read_object(("model", "learning_rate"))
        model = choice("model", given.get("model"), MODEL_NAMES)
        rate = parse_config({"learning_rate": given.get("learning_rate")}, model).learning_rate
        control.steer(model, rate)
        return {"run": monitor.run, "model": model, "learning_rate": rate}

    @routes.post("/api/fork")
    def fork() -> tuple[dict[str, Any], int]:
        settings = read_object(("settings",)).get("settings")
        if not isinstance(settings, dict):
            raise BadRequest("No settings", {"settings": f"settings must be an object, got {say(settings)}"})
        return {"run": control.fork(settings)}, 202

    return routes
