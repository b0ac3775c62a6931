"""Past runs, and any two trainings, as CSV or JSON: everything that was measured, at full resolution, piece by piece.

Read from the history in portions, so that a run of millions of steps takes no more memory than a short one.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from history.reader import RunReader
from history.records import Evaluation, Event, Point, Status, Training, finite, shown_fields

KINDS: dict[str, Any] = {"training": Point, "validation": Evaluation}  # as the CSV calls them
COLUMNS = list(dict.fromkeys([*Point._fields, *shown_fields(Evaluation)]))
Exported = dict[str, tuple[Training, Status]]  # by what each is called in the file
LONGEST_NAME = 60  # characters of a run's name in that of its file


def file_stem(run: str, name: str | None) -> str:
    """Return what a run's files are called, without the ending: its id and its name, made safe for any file system."""
    plain = unicodedata.normalize("NFKD", name or "").encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")[:LONGEST_NAME].strip("-")
    return f"fashionmnist-{run}-{safe}" if safe else f"fashionmnist-{run}"


def pair_stem(trainings: Mapping[str, Training]) -> str:
    """Return what the files of two trainings are called, without the ending."""
    return "-".join(["fashionmnist", *(part for training in trainings.values() for part in training)])


def as_csv(store: RunReader, run: str) -> Iterator[str]:
    """Return a line for every step and every evaluation; empty is what is not known, or not a number.

    Raises UnknownRun, before the first piece is taken.
    """
    return _csv_of(store, _models_of(store, run))


def as_json(store: RunReader, run: str) -> Iterator[str]:
    """Return the run in the form of GET /api/runs/<id>, but with every step. Raises UnknownRun likewise."""
    return _json_of(store, {"run": run, **store.about(run)}, _models_of(store, run))


def pair_as_csv(store: RunReader, trainings: Mapping[str, Training]) -> Iterator[str]:
    """Return two trainings, by what they are shown as, like `as_csv`, with the address of each in a column more."""
    return _csv_of(store, _statuses_of(store, trainings), are_named=True)


def pair_as_json(
    store: RunReader, trainings: Mapping[str, Training], about: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Return two trainings in the form of GET /api/metrics?a=&b=, but with every step; about: what is told of each.

    Raises UnknownRun.
    """
    return _json_of(store, {"trainings": about}, _statuses_of(store, trainings))


def _models_of(store: RunReader, run: str) -> Exported:
    return {model: (Training(run, model), status) for model, status in store.statuses(run).items()}


def _statuses_of(store: RunReader, trainings: Mapping[str, Training]) -> Exported:
    return {name: (training, store.run_status(*training)) for name, training in trainings.items()}


def _csv_of(store: RunReader, models: Exported, *, are_named: bool = False) -> Iterator[str]:
    yield _lines([["model", *["training"] * are_named, "kind", *COLUMNS]])
    for name, (training, status) in models.items():
        called = [name, *[training.address] * are_named]
        for kind, row_type in KINDS.items():
            for rows in store.read(row_type, *training, status.step):
                known = (finite(row._asdict()) for row in rows)
                yield _lines([*called, kind, *map(each.get, COLUMNS)] for each in known)


def _lines(rows: Iterable[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _json_of(store: RunReader, about: dict[str, Any], models: Exported) -> Iterator[str]:
    yield f'{json.dumps(about)[:-1]}, "models": {{'
    for number, (model, (training, status)) in enumerate(models.items()):
        yield f'{", " if number else ""}"{model}": {json.dumps(status.as_json())[:-1]}'
        for name, row_type in (("points", Point), ("evaluations", Evaluation)):
            yield f', "{name}": {{'
            columns = shown_fields(row_type)
            for column in columns:  # one after another: nothing has to be held until its turn comes
                yield f'{"" if column == columns[0] else ", "}"{column}": ['
                yield from _column(store.read(row_type, *training, status.step), column)
                yield "]"
            yield "}"
        events = store.events(*training)
        yield f', "events": {json.dumps({name: [getattr(each, name) for each in events] for name in Event._fields})}}}'
    yield "}}"


def _column(portions: Iterable[list[Any]], column: str) -> Iterator[str]:
    for number, rows in enumerate(portions):
        values = [finite({column: getattr(row, column)})[column] for row in rows]
        yield (", " if number else "") + json.dumps(values)[1:-1]
