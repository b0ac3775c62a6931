"""Requests: what may stand in one, and what is said of one that cannot be used."""

import json
import math
from collections.abc import Sequence
from typing import Any
from unicodedata import category

from flask import request

from config import MODEL_NAMES, InvalidSettings, ModelConfig, parse_config, say
from data import IMAGE_SIDE
from history.records import SPLITS
from history.smoothing import SMOOTHING_IMAGES, WINDOWS
from studies.workshop import Workshop

MAX_NAME = 100  # characters of a run's name
PIXELS = IMAGE_SIDE**2


class BadRequest(Exception):
    """The request cannot be understood; `fields` names what was at fault in it."""

    def __init__(self, message: str, fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = fields or {}


class NothingThere(LookupError):
    """What was asked for does not exist; the message says what does."""


def parse_both(given: dict[str, Any]) -> dict[str, ModelConfig]:
    """Return the settings of both models in a body. Raises InvalidSettings that names every bad field of either."""
    configs: dict[str, ModelConfig] = {}
    fields: dict[str, str] = {}
    for name in MODEL_NAMES:
        try:
            configs[name] = parse_config(given.get(name, {}), name)
        except InvalidSettings as error:
            fields |= error.fields
    if fields:
        raise InvalidSettings(fields)
    return configs


def choice(name: str, value: object, options: tuple[str, ...]) -> str:
    """Return a value that must be one of some words. Raises BadRequest."""
    if not isinstance(value, str) or value not in options:
        expected = f"{name} must be {', '.join(options[:-1])} or {options[-1]}, got {say(value)}"
        raise BadRequest(f"Unknown {name}", {name: expected})
    return value


def identifier(name: str, value: object) -> str:
    """Return the id of a run or a series. Raises BadRequest where it cannot be one."""
    if not isinstance(value, str) or not value.isascii():
        raise BadRequest(f"Bad {name}", {name: f"{name} must be the id of one, got {say(value)}"})
    return value


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """Return a number of a body that must be whole and between two others. Raises BadRequest."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        expected = f"{name} must be a whole number from {least} to {most}, got {say(value)}"
        raise BadRequest("A number that cannot be used", {name: expected})
    return value


def is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20


def query_number(name: str, most: int, least: int = 0) -> int | None:
    """Return a whole number of the query, None where it is not there. Raises BadRequest."""
    text = request.args.get(name) or None
    return None if text is None else whole_number(name, int(text) if is_whole(text) else text, least, most)


def run_asked_for(latest: str | None) -> str | None:
    """Return the run that the query names, else the latest."""
    return request.args.get("run") or latest


def smoothing_asked_for() -> int:
    """Return over how many images the curves are to be smoothed, 0 for not at all. Raises BadRequest."""
    text = request.args.get("smoothing", str(SMOOTHING_IMAGES))
    return int(choice("smoothing", text, ("0", *map(str, WINDOWS))))


def picture_of(given: dict[str, Any]) -> list[int] | tuple[str, int]:
    """Return the pixels in a body, or the split and number of an image that it names. Raises BadRequest."""
    if "pixels" not in given:
        return choice("split", given.get("split"), SPLITS), whole_number("image", given.get("image"), 0, 10**6)
    pixels = given["pixels"]
    if "split" in given or "image" in given:
        raise BadRequest("Two pictures", {"pixels": "give either pixels, or split and image"})
    sound = isinstance(pixels, list) and len(pixels) == PIXELS
    if not sound or not all(type(pixel) is int and 0 <= pixel <= 255 for pixel in pixels):
        expected = f"pixels must be {PIXELS} whole numbers from 0 to 255, got {say(pixels)}"
        raise BadRequest("A picture that cannot be used", {"pixels": expected})
    return pixels


def is_title(text: str) -> bool:
    """Return whether a text can stand as a run's name: something to see, on one line, that UTF-8 can hold."""
    return 1 <= len(text) <= MAX_NAME and not text.isspace() and all(category(one)[0] != "C" for one in text)


def read_object(known: tuple[str, ...], *, optional: bool = False) -> dict[str, Any]:
    """Return the JSON object in the request's body; an empty one where it is optional and there is no body.

    Raises BadRequest where the body is no JSON object, or one with an unknown key.
    """
    given = read_json({} if optional else None)
    if not isinstance(given, dict):
        raise BadRequest("The body must be a JSON object")
    unknown = {key[:80]: f"unknown key; expected {', '.join(known) or 'none'}" for key in given if key not in known}
    if unknown:
        raise BadRequest("The body has unknown keys", unknown)
    return given


class Unusable:
    """Stands for a part of a body that JSON does not allow. No field accepts it, so the error names the field."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def read_json(otherwise: Any = None) -> Any:
    """Return the request's JSON, with an Unusable in place of NaN, of infinities and of a key's value given twice.

    An empty body counts as `otherwise`. Raises BadRequest where that is None, or where the body is not JSON.
    """
    body = request.get_data(cache=False)
    if not body and otherwise is not None:
        return otherwise
    if not body:
        raise BadRequest("The body is empty: send {} to leave everything at its default")
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_constant=Unusable,
            parse_float=_finite_float,
            object_pairs_hook=_members,
        )
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadRequest(f"The body is not JSON: {reason[:200]}") from None


def _finite_float(text: str) -> float | Unusable:
    number = float(text)
    return number if math.isfinite(number) else Unusable(text[:40])


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        twice = key in members
        members[key] = Unusable(f"{say(members[key])} and {say(value)}: it stands there twice") if twice else value
    return members


def check_numbers(workshop: Workshop, split: str, numbers: Sequence[int]) -> None:
    """Raise NothingThere where a split has no image of such a number."""
    count = workshop.images[split]
    if any(number >= count for number in numbers):
        raise NothingThere(f"The {split} images are numbered 0 to {count - 1}, got {max(numbers)}")
