"""Trainings: those of the whole history that a question finds, sorted and by pages, and what a user says of them."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

from history.catalogue import NAME, OF_STATUS, PREFIX, SETTINGS, setting_of, value_of
from history.database import Database
from history.errors import Damaged, UnknownRun
from history.reader import RunReader
from history.records import Training
from history.soundness import types_fit
from history.tables import CHOICES
from history.writer import Writer

BASELINE = "baseline"  # the choice of the training that all others are read against
MEASURES = ("best_val_accuracy", "val_accuracy", "test_accuracy", "loss", "val_loss", "seconds", "images_per_second")
SORTS = ("name", "started", *OF_STATUS, "device", "parent", "note", *(f"config.{key}" for key in SETTINGS))
WORDS = ("name", "device", "note")  # are sorted as words are
AT_ONCE = 100  # trainings that are read in one go
MOST_VALUES = 20  # of a setting, that are told to choose from
NEWEST = "started DESC, run DESC, model"
SEED = f"{PREFIX}seed"
COLUMNS_OF_SETTINGS = ", ".join(PREFIX + key for key in SETTINGS)
COUNTED = (  # of each setting and seed the training that counts, as `_group` counts, and its `value` of a measure:
    # SQLite takes a row's other columns from where max() is. Windows take three times as long
    "SELECT setting, CASE WHEN is_of_setting THEN {measure} END AS value, ended, started, run,"  # noqa: S608
    " max(is_of_setting || ended || started || run || char(127 - unicode(substr(model, -1)))) FROM"
    f" (SELECT *, is_of_setting AND state IS 'finished' AS ended FROM {NAME} WHERE {{condition}})"
    f" GROUP BY setting, {SEED}"
)
MEAN = "CASE WHEN max(ended) THEN avg(CASE WHEN ended THEN value END) ELSE avg(value) END"
OF_CATALOGUE = ("run", "model", "best_val_accuracy", "device", "note")  # of a training that is told
MEMBER = ("run", "model", SEED, "state", "started", "is_of_setting", *MEASURES)


@dataclass(frozen=True)
class Question:
    """What is asked for: trainings that have all that is given here, in an order, from one place on."""

    words: Sequence[str] = ()  # each in the name, id, note, device or a setting
    states: Sequence[str] = ()  # one of them, where any is given
    after: date | None = None  # in UTC, both days included
    before: date | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    trainings: Sequence[Training] = ()  # one of them, where any is given
    sort: str = "started"  # of SORTS
    is_ascending: bool = False
    limit: int = -1  # all
    offset: int = 0

    def condition(self) -> tuple[str, list[Any]]:
        """Return the SQL of what is asked for, and the values in it."""
        parts: list[str] = []
        values: list[Any] = []
        if self.words:
            parts.append(f"has_words(words, {', '.join('?' * len(self.words))})")
            values += [word.casefold() for word in self.words]
        if self.after is not None:
            parts.append("started >= ?")
            values.append(self.after.isoformat())
        if self.before is not None and self.before < date.max:
            parts.append("started < ?")
            values.append((self.before + timedelta(days=1)).isoformat())
        for key, value in self.settings.items():
            parts.append(f"{PREFIX}{key} = ?")
            values.append(value_of(key, value))
        if self.states:
            parts.append(f"state IN ({', '.join('?' * len(self.states))})")
            values += self.states
        if self.trainings:
            parts.append("(run || '/' || model) IN (SELECT value FROM json_each(?))")
            values.append(json.dumps([training.address for training in self.trainings]))
        return " AND ".join(parts) or "1", values

    @property
    def column(self) -> str:
        """By what is sorted, in SQL: words whatever their capitals."""
        column = self.sort.replace("config.", PREFIX)
        return f"casefolded({column})" if self.sort in WORDS else column

    @property
    def direction(self) -> str:
        return "ASC" if self.is_ascending else "DESC"


class Found(NamedTuple):
    """What a question finds: a page of `rows`, and how many there are of such in all."""

    rows: list[dict[str, Any]]
    total: int
    differing: list[str]  # the settings that are not alike in all that was found
    values: dict[str, list[Any]]  # of the settings that are not alike in the whole history, as Trainings.values tells


class Trainings:
    """The trainings of one history. Safe to call from any thread."""

    def __init__(self, database: Database, reader: RunReader, writer: Writer) -> None:
        self._database = database
        self._reader = reader
        self._writer = writer

    def find(self, question: Question) -> Found:
        """Return a page of trainings: of each its run and model, and what the catalogue alone knows of it.

        Each has `about`, its run as RunReader.runs lists it, and `status`, its own in that, with its settings.
        """
        return Found(list(self._told(self._rows(question))), *self._count("count(*)", *question.condition()))

    def every(self, question: Question) -> Iterator[dict[str, Any]]:
        """Yield all trainings that are asked for, as `find` does, a portion at a time."""
        rows = self._rows(question)
        for first in range(0, len(rows), AT_ONCE):
            yield from self._told(rows[first : first + AT_ONCE])

    def _rows(self, question: Question) -> list[Any]:
        """Return what the catalogue alone knows of the trainings that are asked for, in their order."""
        condition, values = question.condition()
        order = f"{question.column} {question.direction} NULLS LAST, {NEWEST}"
        if question.sort == "started":  # which all have: by its index
            order = f"{question.column} {question.direction}, {NEWEST.removeprefix('started DESC, ')}"
        return self._database.read(
            f"SELECT {', '.join(OF_CATALOGUE)} FROM {NAME} WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?",  # noqa: S608
            (*values, question.limit, question.offset),
            _checked,
        )

    def _told(self, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
        """Yield what is known of rows of the catalogue, without those that have been deleted meanwhile."""
        about = {run["id"]: run for run in self._reader.runs(named=[row[0] for row in rows], limit=0)}
        for row in rows:
            known = dict(zip(OF_CATALOGUE, row, strict=True))
            if known["run"] in about:
                run = about[known["run"]]
                yield known | {"about": run, "status": run["models"][known["model"]]}

    def groups(self, question: Question) -> Found:
        """Return a page of groups: trainings that have all settings but the seed alike.

        Each has the `setting` that they share, and `members` by age: run, model, seed, state, started, MEASURES, and
        whether one `counts`.
        """
        condition, values = question.condition()
        key, source = f"max({question.column})", f"{NAME} WHERE {condition}"
        if question.column in MEASURES:
            key, source = MEAN, f"({COUNTED.format(measure=question.column, condition=condition)})"
        page = self._database.select(
            f"SELECT setting FROM {source} GROUP BY setting ORDER BY {key} {question.direction} NULLS LAST,"  # noqa: S608
            " max(started) DESC, max(run) DESC LIMIT ? OFFSET ?",
            (*values, question.limit, question.offset),
        )
        settings = [setting for (setting,) in page]
        found = self._groups(settings, condition, values)
        groups = [found[setting] for setting in settings if setting in found]
        return Found(groups, *self._count("count(DISTINCT setting)", condition, values))

    def group_of(self, training: Training) -> dict[str, Any] | None:
        """Return the whole group that a training is in, as `groups` does; None where there is no such training."""
        query = f"SELECT setting FROM {NAME} WHERE run = ? AND model = ?"  # noqa: S608
        settings = [setting for (setting,) in self._database.select(query, training)]
        return next(iter(self._groups(settings, "TRUE", ()).values()), None)

    def _groups(self, settings: Sequence[str], condition: str, values: Sequence[Any]) -> dict[str, dict[str, Any]]:
        """Return the groups of some settings, of what fulfils a condition."""
        chosen = f"{NAME} WHERE setting IN (SELECT value FROM json_each(?))"  # noqa: S608
        texts = json.dumps(settings)
        rows = self._database.select(
            f"SELECT setting, {', '.join(MEMBER)} FROM {chosen} AND {condition} ORDER BY setting, started, run, model",  # noqa: S608
            (texts, *values),
        )
        one_each = f"SELECT min(rowid) FROM {chosen} GROUP BY setting"  # noqa: S608
        held = self._database.select(
            f"SELECT setting, {COLUMNS_OF_SETTINGS} FROM {NAME} WHERE rowid IN ({one_each})",  # noqa: S608
            (texts,),
        )
        columns = {setting: dict(zip(SETTINGS, row, strict=True)) for setting, *row in held}
        return {
            setting: _group(columns[setting], list(members))
            for setting, members in itertools.groupby(rows, lambda row: row[0])
            if setting in columns  # they may have been deleted meanwhile
        }

    def _count(self, count: str, condition: str, values: Sequence[Any]) -> tuple[int, list[str], dict[str, list[Any]]]:
        """Return how many there are of what is found, which settings are not alike in it, and all settings' values."""
        known = self.values()
        keys = list(known)  # no others can differ
        if not values:
            [(total,)] = self._database.select(f"SELECT {count} FROM {NAME}")  # noqa: S608
            return int(total), keys, known
        apart = "".join(f", min({PREFIX}{key}) IS NOT max({PREFIX}{key})" for key in keys)
        [(total, *differ)] = self._database.select(f"SELECT {count}{apart} FROM {NAME} WHERE {condition}", values)  # noqa: S608
        return total, [key for key, is_apart in zip(keys, differ, strict=True) if is_apart], known

    def all(self) -> int:
        """Return how many trainings there are."""
        [(count,)] = self._database.select(f"SELECT count(*) FROM {NAME}")  # noqa: S608
        return int(count)

    def values(self) -> dict[str, list[Any]]:
        """Return the values of each setting that is not alike in all trainings, at most MOST_VALUES, in order."""
        found = {}
        for key in SETTINGS:
            column = f"{PREFIX}{key}"
            steps = (  # from one value to the next by the index, without reading the rows
                f"WITH RECURSIVE each(value, place) AS (SELECT min({column}), 1 FROM {NAME} UNION ALL"  # noqa: S608
                f" SELECT (SELECT min({column}) FROM {NAME} WHERE {column} > value), place + 1 FROM each"
                f" WHERE value IS NOT NULL AND place < {MOST_VALUES}) SELECT value FROM each WHERE value IS NOT NULL"
            )
            values = [setting_of(key, value) for (value,) in self._database.select(steps)]
            if len(values) > 1:
                found[key] = sorted(values)  # lists by their numbers, which the index has as text
        return found

    # What a user says of them

    @property
    def baseline(self) -> Training | None:
        """The training that all others are read against; None where none is chosen, or it has been deleted."""
        rows = self._database.select(
            f"SELECT run, model FROM {NAME} JOIN {CHOICES.name} ON value = run || '/' || model WHERE id = ?",  # noqa: S608
            (BASELINE,),
        )
        return Training(*rows[0]) if rows else None

    def set_baseline(self, training: Training | None) -> None:
        """Choose the training that all others are read against, or with None none. Raises UnknownRun or NotSaved."""
        if training is not None:
            self._check_there(training)
        with self._database.change() as connection:
            connection.execute(f"DELETE FROM {CHOICES.name} WHERE id = ?", (BASELINE,))  # noqa: S608
            if training is not None:
                connection.execute(CHOICES.insert(), (BASELINE, training.address))

    def write_note(self, training: Training, note: str | None) -> None:
        """Keep a user's words on a training, in place of those before; None for none. Raises UnknownRun or NotSaved."""
        self._check_there(training)
        with self._database.change() as connection:
            connection.execute("UPDATE models SET note = ? WHERE run = ? AND model = ?", (note, *training))

    def _check_there(self, training: Training) -> None:
        self._writer.save_measurements()  # it may not be entered yet
        if not self._database.select(f"SELECT 1 FROM {NAME} WHERE run = ? AND model = ?", training):  # noqa: S608
            raise UnknownRun(training.address)


def _checked(rows: list[Any]) -> list[Any]:
    """Return rows of run, model, best accuracy, device and note as they are. Raises Damaged."""
    for row in rows:
        if not types_fit(("text", "text", "real?", "text?", "text?"), row):
            raise Damaged(f"the catalogue holds a row that was never written: {row!a:.80}")
    return rows


def _group(columns: Mapping[str, Any], rows: list[Any]) -> dict[str, Any]:
    """Return the group of rows that have the same setting, by age.

    Of the trainings of one seed the latest counts, and where any has finished only those that have; none that has left
    its settings on the way.
    """
    names = [name.removeprefix(PREFIX) for name in MEMBER]
    members = [dict(zip(names, row[1:], strict=True)) | {"counts": False} for row in rows]
    of_setting = [member for member in members if member["is_of_setting"]]
    ended = [member for member in of_setting if member["state"] == "finished"] or of_setting
    latest: dict[int, dict[str, Any]] = {}
    for member in sorted(ended, key=lambda member: (member["started"], member["run"]), reverse=True):
        latest.setdefault(member["seed"], member)
    for member in latest.values():
        member["counts"] = True
    return {
        "setting": {key: setting_of(key, held) for key, held in columns.items() if key != "seed"},
        "members": members,
    }
