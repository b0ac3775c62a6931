"""Disk: what the history takes, and what of it is given up to make room."""

from typing import Any

from flask import Blueprint, request

from config import say
from history.records import Training
from studies.room import KEEP
from web.monitor import Monitor
from web.requests import BadRequest, choice, read_object, whole_number
from web.slots import read_address

MOST_TOLD, MOST_GIVEN_UP = 100, 1000  # trainings in one request
MOST_RUNS = 100_000  # that a rule can name


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("disk", __name__)
    store = monitor.store

    @routes.get("/api/disk")
    def usage() -> dict[str, Any]:
        """Tell what all takes, and what the trainings in the query do."""
        addresses: list[Any] = request.args.getlist("training")
        answer: dict[str, Any] = store.room.usage()
        if addresses:
            answer["trainings"] = store.room.of(trainings_of("training", addresses, MOST_TOLD))
        return answer

    @routes.post("/api/disk/checkpoints")
    def give_up() -> dict[str, Any]:
        given = read_object(("trainings", "keep"))
        keep = choice("keep", given.get("keep"), KEEP)
        return monitor.room.reduce(trainings_of("trainings", given.get("trainings"), MOST_GIVEN_UP), keep)._asdict()

    @routes.post("/api/disk/rule")
    def set_rule() -> dict[str, Any]:
        given = read_object(("keep_whole",))
        runs = given.get("keep_whole", "nothing")
        if runs is not None:
            runs = whole_number("keep_whole", runs, 1, MOST_RUNS)
        return {"keep_whole": runs, "freed": monitor.room.keep_whole(runs)}

    return routes


def trainings_of(name: str, addresses: Any, most: int) -> list[Training]:
    """Return the trainings that were named, each once; they may not be there. Raises BadRequest."""
    if not isinstance(addresses, list) or not 1 <= len(addresses) <= most:
        got = len(addresses) if isinstance(addresses, list) else say(addresses)
        raise BadRequest("No list of trainings", {name: f"{name} must be 1 to {most} addresses, got {got}"})
    trainings = [read_address([each]) if isinstance(each, str) else None for each in addresses]
    bad = [each for each, training in zip(addresses, trainings, strict=True) if training is None]
    if bad:
        expected = f"{name} must be addresses of trainings, <run>/<model>, got {say(bad[0])}"
        raise BadRequest("No list of trainings", {name: expected})
    return list(dict.fromkeys(training for training in trainings if training is not None))
