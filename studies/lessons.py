"""Lessons: comparisons of two models that differ in one setting, with a question before and an answer after.

The shipped ones stand in lessons.json; docs/lessons.md says how to write others.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, computed_field

from analysis.outcomes import FIGURES
from config import MODEL_NAMES, SCHEMA, InvalidSettings, ModelConfig, differing_fields, parse_config, say

MOST_LESSONS = 20
GUESSES = {
    "test_accuracy": "Which model will have more of the test images right?",
    "validation_accuracy": "Which model will have more of the validation images right?",
    "overfitting": "Whose training accuracy will lie further above its validation accuracy?",
}
STRICT = ConfigDict(frozen=True, strict=True, extra="forbid")


def _text(most: int, **default: Any) -> Any:
    """Return the field of a text of so many characters at most; its description says in messages what is expected."""
    return Field(min_length=1, max_length=most, description=f"a text of 1 to {most} characters", **default)


def _one_of(*words: str) -> str:
    return f"one of {', '.join(words)}"


class Expectation(BaseModel):
    """What a lesson expects: which figure is higher, by more than chance, for which model."""

    model_config = STRICT

    figure: Literal["test_accuracy", "validation_accuracy", "overfitting"] = Field(description=_one_of(*FIGURES))
    model: Literal["model1", "model2"] = Field(description=_one_of(*MODEL_NAMES))


class Ends(BaseModel):
    """What a lesson says at its end, by what has really happened."""

    model_config = STRICT

    expected: str = _text(500)
    other: str = _text(500)
    close: str = _text(500)
    failed: str = _text(500, default="A model broke off, so the question stays open. Its panel says why.")
    stopped: str = _text(500, default="The run was stopped before its end, so the question stays open.")
    changed: str = _text(
        500, default="Something was changed on the way, so more than one thing differs, and the question stays open."
    )


class Lesson(BaseModel):
    """A comparison that teaches: settings that differ in one, a question, what to watch, and how it may end."""

    model_config = STRICT

    id: str = Field(pattern=r"^[a-z0-9-]{1,40}$", description="1 to 40 small letters, digits and hyphens")
    title: str = _text(60)
    question: str = _text(240)
    guess: str | None = _text(160, default=None)
    watch: str = _text(300)
    axis: Literal["epochs", "seconds", "images"] = Field("epochs", description=_one_of("epochs", "seconds", "images"))
    model1: ModelConfig = Field(default=ModelConfig(), description="an object of settings")
    model2: ModelConfig = Field(default=ModelConfig(), description="an object of settings")
    expects: Expectation = Field(description="an object with figure and model")
    ends: Ends = Field(description="an object with expected, other and close")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def asks(self) -> str:
        """What is to be guessed."""
        return self.guess or GUESSES[self.expects.figure]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def change(self) -> dict[str, str]:
        """The setting that differs, by its title, and what it is in each model, in words."""
        [key] = differing_fields(self.model1, self.model2)
        values = {name: _say_setting(getattr(self, name).model_dump(mode="json")[key]) for name in MODEL_NAMES}
        return {"key": key, "title": SCHEMA["properties"][key]["title"], **values}


class InvalidLessons(ValueError):
    """Lessons that cannot be used; `fields` says of each faulty part what was expected and given."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = dict(fields)


def parse_lessons(given: object, shipped: Sequence[Lesson] = ()) -> tuple[Lesson, ...]:
    """Return the lessons of a parsed JSON object, before those shipped that they neither replace nor leave out.

    Raises InvalidLessons that names every fault.
    """
    if not isinstance(given, dict):
        raise InvalidLessons({"lessons": f'a lessons file must be an object {{"lessons": […]}}, got {say(given)}'})
    fields = {key: f"{say(key)} is not known here; known are lessons and only" for key in given}
    fields = {key: fault for key, fault in fields.items() if key not in ("lessons", "only")}
    only, items = given.get("only", False), given.get("lessons")
    if not isinstance(only, bool):
        fields["only"] = f"only must be true or false, got {say(only)}"
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_LESSONS:
        fields["lessons"] = f"lessons must be a list of 1 to {MOST_LESSONS} lessons, got {_say_length(items)}"
        raise InvalidLessons(fields)
    found: list[Lesson] = []
    for number, item in enumerate(items):
        try:
            lesson = _parse_lesson(item, f"lessons[{number}]")
            if lesson.id in {each.id for each in found}:
                fields[f"lessons[{number}].id"] = f"id must differ from those before it, got {say(lesson.id)} again"
            found.append(lesson)
        except InvalidLessons as error:
            fields |= error.fields
    if fields:
        raise InvalidLessons(fields)
    names = {each.id for each in found}
    return (*found, *(each for each in shipped if not only and each.id not in names))


def read_lessons(path: Path, shipped: Sequence[Lesson] = ()) -> tuple[Lesson, ...]:
    """Return the lessons of a file, as parse_lessons does. Raises InvalidLessons, also where it cannot be read."""
    try:
        given = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InvalidLessons({"file": f"{path} cannot be read: {error.strerror}"}) from None
    except (ValueError, RecursionError) as error:
        raise InvalidLessons({"file": f"{path} must hold JSON in UTF-8: {error}"}) from None
    return parse_lessons(given, shipped)


def _parse_lesson(given: object, place: str) -> Lesson:
    if not isinstance(given, dict):
        raise InvalidLessons({place: f"a lesson must be an object, got {say(given)}"})
    fields: dict[str, str] = {}
    configs: dict[str, ModelConfig] = {}
    for model in MODEL_NAMES:
        try:
            configs[model] = parse_config(given.get(model, {}), f"{place}.{model}")
        except InvalidSettings as error:
            fields |= error.fields
    if len(configs) == len(MODEL_NAMES):
        fields |= _check_change(configs, place)
    lesson = None
    try:
        lesson = Lesson.model_validate({**given, **{model: ModelConfig() for model in MODEL_NAMES}, **configs})
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            fields.setdefault(*_explain(problem["loc"], problem["type"], problem["input"], place))
    if fields or lesson is None:
        raise InvalidLessons(fields)
    return lesson


def _check_change(configs: Mapping[str, ModelConfig], place: str) -> dict[str, str]:
    differing = differing_fields(*(configs[model] for model in MODEL_NAMES))
    if len(differing) == 1:
        return {}
    what = f"{len(differing)} ({', '.join(differing)})" if differing else "none"
    return {f"{place}.model2": f"model1 and model2 must differ in exactly one setting that both use, got {what}"}


def _explain(loc: Sequence[int | str], kind: str, given: object, place: str) -> tuple[str, str]:
    """Return the place of a fault, and what is expected there."""
    *above, name = map(str, loc)
    owners: dict[str, type[BaseModel]] = {"expects": Expectation, "ends": Ends}
    owner = owners.get(above[0], Lesson) if above else Lesson
    where = ".".join((place, *above, name))
    if kind == "extra_forbidden":
        return where, f"{say(name)} is not known here; known are {', '.join(owner.model_fields)}"
    expected = owner.model_fields[name].description or "a text of 1 to 500 characters"
    if kind == "missing":
        return where, f"{name} is missing: expected {expected}"
    return where, f"{name} must be {expected}, got {say(given)}"


def _say_length(items: object) -> str:
    return f"{len(items)} of them" if isinstance(items, list) else "none" if items is None else say(items)


def _say_setting(value: object) -> str:
    """Return a setting's value as a sentence has it."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


SHIPPED = read_lessons(Path(__file__).with_name("lessons.json"))
