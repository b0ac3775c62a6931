"""A table of trainings as CSV: a line each, with every setting, what it came to, and what was noted."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from config import SCHEMA

ABOUT = ("training", "name", "started", "state", "epoch")
MEASURED = (
    "best_val_accuracy",
    "val_accuracy",
    "test_accuracy",
    "test_low",
    "test_high",
    "loss",
    "val_loss",
    "seconds",
    "images_per_second",
    "parameters",
    "device",
    "parent",
    "note",
)
FORMULA = ("=", "+", "-", "@")  # how one begins


def as_csv(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Return the lines of trainings as web/trainings.py tells them; lists as 16 32, empty what is not known."""
    settings = list(SCHEMA["properties"])
    yield _line([*ABOUT, *settings, *MEASURED])
    for row in rows:
        low, high = row["test_interval"] or (None, None)
        known = {**row, "test_low": low, "test_high": high, "parent": row["parent"] and row["parent"]["run"]}
        values = [row["config"].get(key) for key in settings]
        listed = [" ".join(map(str, value)) if isinstance(value, list) else value for value in values]
        yield _line([*(known[name] for name in ABOUT), *listed, *(known[name] for name in MEASURED)])


def _as_text(value: Any) -> Any:
    """Return words that a spreadsheet would take for a formula with an apostrophe before them; all else as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _line(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(map(_as_text, values))
    return text.getvalue()
