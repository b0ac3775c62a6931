"""Rows: how records stand in the database's columns."""

import json
import math
from dataclasses import fields
from typing import Any, NamedTuple, TypeVar

from history import answers
from history.records import SPLITS, Filters, Insight, Layer, Predictions, Status, finite

STATUS_FIELDS = frozenset(field.name for field in fields(Status))
Row = TypeVar("Row", bound=NamedTuple)


def status_text(status: Status) -> str:
    return json.dumps(status.as_json())


def status_of(text: str) -> Status:
    """Return a status as far as this version knows its fields."""
    return Status(**{name: value for name, value in json.loads(text).items() if name in STATUS_FIELDS})


def insight_row(insight: Insight) -> tuple[Any, ...]:
    layers = {name: finite(layer._asdict()) for name, layer in insight.layers.items()}
    *about, weights = insight.filters
    return insight.step, insight.epoch, json.dumps(layers), json.dumps(about), weights


def insight_of(step: int, epoch: float, layers: str, filters: str, weights: bytes) -> Insight:
    known = {name: Layer(**layer) for name, layer in json.loads(layers).items()}
    return Insight(step, epoch, known, Filters._make([*json.loads(filters), weights]))


def predictions_row(predictions: Predictions) -> tuple[Any, ...]:
    split = SPLITS.index(predictions.split)
    return split, predictions.step, predictions.epoch, answers.encode(predictions.probabilities, predictions.truth)


def predictions_of(split: int, step: int, epoch: float, data: bytes) -> Predictions:
    """Return answers as they were, or rounded as history/answers.py says. Raises Damaged."""
    return Predictions(SPLITS[split], step, epoch, answers.decode(data))


def measured_of(kind: type[Row], row: tuple[Any, ...]) -> Row:
    """Return a point or an evaluation with the NaN that SQLite keeps as NULL."""
    record = kind(*row)
    return record._replace(loss=math.nan) if record.loss is None else record  # type: ignore[attr-defined, no-any-return]
