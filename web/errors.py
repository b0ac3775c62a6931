"""Errors: which refusal becomes which HTTP status, code and message; said once, for every blueprint."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from flask import Flask
from werkzeug.exceptions import HTTPException

from config import InvalidSettings
from history.store import NotSaved, UnknownItem, UnknownRun
from studies.branches import BadFork, TooManyEpochs
from studies.lessons import InvalidLessons
from studies.plan import NothingToRepeat
from studies.refusals import Conflict, NotReady
from web.requests import BadRequest, NothingThere

Answer = tuple[dict[str, Any], int]


class Kind(NamedTuple):
    """How a kind of error is answered; the `fields` of one that has any are named as well."""

    status: int
    code: str
    message: Callable[[Exception], str] = str


def count_faults(error: Exception) -> str:
    assert isinstance(error, InvalidLessons)
    count = len(error.fields)
    return f"{count} part{'s' * (count > 1)} of the lessons cannot be used"


def count_settings(error: Exception) -> str:
    assert isinstance(error, InvalidSettings)
    count = len(error.fields)
    return f"{count} setting{'s' * (count > 1)} cannot be used"


KINDS: dict[type[Exception], Kind] = {
    InvalidSettings: Kind(400, "invalid_settings", count_settings),
    InvalidLessons: Kind(400, "invalid_lessons", count_faults),
    BadRequest: Kind(400, "bad_request"),
    TooManyEpochs: Kind(400, "bad_request"),
    NothingToRepeat: Kind(400, "bad_request"),
    BadFork: Kind(400, "bad_request"),
    NothingThere: Kind(404, "nothing_there"),
    UnknownRun: Kind(404, "unknown_run", lambda error: "There is no such run in the history"),
    UnknownItem: Kind(404, "unknown_item", lambda error: "There is no such comparison in line"),
    Conflict: Kind(409, "conflict"),
    NotSaved: Kind(503, "not_saved"),
    NotReady: Kind(503, "not_ready"),
}


def handle_errors(app: Flask) -> None:
    """Have an app answer each kind of error as the table says, and any other as JSON, too."""
    for error, kind in KINDS.items():
        app.register_error_handler(error, partial(answer, kind))
    app.register_error_handler(HTTPException, answer_http)


def answer(kind: Kind, error: Exception) -> Answer:
    return error_body(kind.code, kind.message(error), getattr(error, "fields", None)), kind.status


def answer_http(error: HTTPException) -> tuple[dict[str, Any], int, dict[str, str]]:
    code = error.name.lower().replace(" ", "_")
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return error_body(code, error.description or error.name), error.code or 500, headers


def error_body(code: str, message: str, fields: dict[str, str] | None = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": message} | ({"fields": fields} if fields else {})}
