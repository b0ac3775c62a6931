"""The list of all trainings: what SQL finds, in its order, is what plain Python finds among all rows."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from histories import history_file, recorded
from hypothesis import given, settings
from hypothesis import strategies as st

from config import MODEL_NAMES, ModelConfig
from history.catalogue import OF_STATUS
from history.states import SEVERITY
from history.store import RunStore
from history.trainings import MEASURES, MOST_VALUES, SORTS, Question, Trainings

TRAININGS = 120
VALUES: dict[str, list[Any]] = {
    "dropout": [0.0, 0.25, 0.5],
    "kernels": [(4, 8), (16,), (4, 8, 16)],
    "optimizer": ["adam", "sgd"],
    "batch_norm": [True, False],
    "seed": [*range(30)],
    "learning_rate": [0.001, 0.0003],
}
NAMES = [None, "Übung Eins", "übung zwei", "Dropout study", "a", "B"]


def make(folder: Path) -> list[dict[str, Any]]:
    """Write a history with gaps and ties; return its trainings as rows of plain values."""
    RunStore(folder).close()
    chance = random.Random(5)
    rows = []
    with history_file(folder) as history:
        for number in range(TRAININGS // 2):
            day = chance.randrange(1, 6)
            run, started = f"2026010{day}-000000-{number:04}", f"2026-01-0{day}T00:00:{number % 3:02}+00:00"
            name, device = chance.choice(NAMES), chance.choice(["CPU one", "GPU two", None])
            parent = chance.choice([None, rows[0]["run"] if rows else None])
            columns = "id, started, environment, name, parent"
            about = (run, started, json.dumps({"device": device}), name, parent)
            history.execute(f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?)", about)
            for model in MODEL_NAMES:
                chosen = {key: chance.choice(values) for key, values in VALUES.items()}
                chosen["kernel_sizes"] = (3,) * len(chosen["kernels"])
                config = ModelConfig(**chosen).model_dump(mode="json")
                figures = {
                    each: chance.choice([None, chance.randrange(4) / 4])
                    for each in OF_STATUS
                    if each not in ("state", "best_val_accuracy")
                }
                status = {"state": chance.choice(SEVERITY), "step": 9} | figures
                status["elapsed_seconds"] = status.pop("seconds")
                note = chance.choice([None, "best so far", "Look at\nthis"])
                history.execute(
                    "INSERT INTO models VALUES (?, ?, ?, ?, ?)",
                    (run, model, json.dumps(config), json.dumps(status), note),
                )
                best = chance.choice([None, chance.randrange(4) / 4])
                if best is not None:
                    row = (run, model, 9, 1.0, 1.0, 0.5, best, None, None)
                    history.execute("INSERT INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
                row = {"run": run, "model": model, "started": started, "name": name, "device": device}
                row |= {"parent": parent, "note": note, "best_val_accuracy": best, "state": status["state"]} | figures
                rows.append(row | {f"config.{key}": value for key, value in config.items()})
    return rows


@pytest.fixture(scope="module")
def rows_and_list(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[dict[str, Any]], Trainings]]:
    folder = tmp_path_factory.mktemp("trainings")
    rows = make(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("history.store.mark_interrupted", lambda connection: None)
        store = RunStore(folder)
    yield rows, store.trainings
    store.close()


def words_of(row: dict[str, Any]) -> str:
    """Return all that is searched in a training, as people write it."""
    values = [value for name, value in row.items() if name.startswith("config.")]
    said = [
        str(value).lower() if isinstance(value, bool)
        else ",".join(map(str, value)) if isinstance(value, list)
        else f"{value:.12g}" if isinstance(value, float)
        else str(value)
        for value in values
    ]  # fmt: skip
    known = [row[name] or "" for name in ("name", "note", "device")]
    return "\n".join([f"{row['run']}/{row['model']}", *known, *said]).casefold()


def expected(rows: list[dict[str, Any]], query: Question) -> list[dict[str, Any]]:
    """Return what a query finds, by plain Python."""
    found = [
        row
        for row in rows
        if all(word.casefold() in words_of(row) for word in query.words)
        and (not query.states or row["state"] in query.states)
        and (query.after is None or row["started"][:10] >= query.after.isoformat())
        and (query.before is None or row["started"][:10] <= query.before.isoformat())
        and all(row[f"config.{key}"] == value for key, value in query.settings.items())
        and (not query.trainings or (row["run"], row["model"]) in query.trainings)
    ]
    found.sort(key=lambda row: row["model"])
    found.sort(key=lambda row: (row["started"], row["run"]), reverse=True)
    known = [row for row in found if row[query.sort] is not None]
    known.sort(key=lambda row: key_of(row[query.sort]), reverse=not query.is_ascending)
    return known + [row for row in found if row[query.sort] is None]


def key_of(value: Any) -> Any:
    if isinstance(value, list):
        return json.dumps(value, separators=(",", ":"))
    return value.casefold() if isinstance(value, str) else value


one_setting = st.sampled_from(sorted(VALUES)).flatmap(
    lambda key: (
        st.tuples(st.just(key), st.sampled_from([*VALUES[key]]).map(lambda v: list(v) if v is tuple(v) else v))
        if key == "kernels"
        else st.tuples(st.just(key), st.sampled_from(VALUES[key]))
    )
)
days = st.none() | st.integers(1, 6).map(lambda day: date(2026, 1, day))
queries = st.builds(
    Question,
    sort=st.sampled_from(SORTS),
    is_ascending=st.booleans(),
    words=st.lists(st.sampled_from(["ÜBUNG", "model1", "4,8", "0.25", "adam", "LOOK", "true", "%", "x'"]), max_size=2),
    states=st.lists(st.sampled_from(SEVERITY), max_size=3),
    after=days,
    before=days | st.just(date.max),
    settings=st.lists(one_setting, max_size=2).map(dict),
)  # fmt: skip


def found_by(trainings: Trainings, query: Question) -> list[tuple[str, str]]:
    return [(row["run"], row["model"]) for row in trainings.find(query).rows]


@given(queries, st.integers(0, 30), st.integers(1, 50))
@settings(max_examples=200)
def test_sql_finds_what_plain_python_finds(
    rows_and_list: tuple[list[dict[str, Any]], Trainings], query: Question, offset: int, limit: int
) -> None:
    rows, trainings = rows_and_list
    wanted = expected(rows, query)
    page = trainings.find(replace(query, offset=offset, limit=limit))
    assert [(row["run"], row["model"]) for row in page.rows] == [
        (row["run"], row["model"]) for row in wanted[offset : offset + limit]
    ]
    differing = [key for key in ModelConfig.model_fields if len({str(row[f"config.{key}"]) for row in wanted}) > 1]
    assert (page.total, page.differing) == (len(wanted), differing)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("is_ascending", [True, False])
def test_every_sort_puts_what_is_not_known_last(
    rows_and_list: tuple[list[dict[str, Any]], Trainings], sort: str, is_ascending: bool
) -> None:
    rows, trainings = rows_and_list
    query = Question(sort=sort, is_ascending=is_ascending)
    assert found_by(trainings, query) == [(row["run"], row["model"]) for row in expected(rows, query)]


def test_values_of_the_settings_that_differ_are_listed_in_order(
    rows_and_list: tuple[list[dict[str, Any]], Trainings],
) -> None:
    rows, trainings = rows_and_list
    values = trainings.values()
    assert values.keys() == {*VALUES, "kernel_sizes"}
    assert values["dropout"] == [0.0, 0.25, 0.5]
    assert values["batch_norm"] == [False, True]
    assert values["kernels"] == [[4, 8], [4, 8, 16], [16]]
    assert values["seed"] == sorted({row["config.seed"] for row in rows})[:MOST_VALUES]


@given(queries)
@settings(max_examples=100)
def test_groups_are_those_of_plain_python(
    rows_and_list: tuple[list[dict[str, Any]], Trainings], query: Question
) -> None:
    rows, trainings = rows_and_list
    wanted: dict[str, list[dict[str, Any]]] = {}
    for row in expected(rows, replace(query, sort="started", is_ascending=False)):
        wanted.setdefault(setting_in(row), []).append(row)
    found = trainings.groups(query)
    assert found.total == len(wanted) == len(found.rows)
    order = []
    for group in found.rows:
        shared = {f"config.{key}": value for key, value in group["setting"].items()}
        members = wanted[setting_in(shared)]
        counted = count_of(members)
        assert {(each["run"], each["model"]) for each in group["members"]} == {(m["run"], m["model"]) for m in members}
        assert {(each["run"], each["model"]) for each in group["members"] if each["counts"]} == counted
        if query.sort in MEASURES:
            known = [m[query.sort] for m in members if (m["run"], m["model"]) in counted and m[query.sort] is not None]
            order.append(fmean(known) if known else None)
    known = [each for each in order if each is not None]
    assert known == sorted(known, reverse=not query.is_ascending)
    assert order == known + [None] * (len(order) - len(known))


def setting_in(row: dict[str, Any]) -> str:
    return str(sorted((key, str(value)) for key, value in row.items() if key[:7] == "config." and key != "config.seed"))


def count_of(members: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return which of a group's trainings, the newest first, count: of a seed the latest, finished ones before all."""
    ended = [each for each in members if each["state"] == "finished"] or members
    latest: dict[int, tuple[str, str]] = {}
    for each in ended:
        latest.setdefault(each["config.seed"], (each["run"], each["model"]))
    return set(latest.values())


def test_nothing_is_found_in_an_empty_history(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    try:
        assert store.trainings.find(Question()) == ([], 0, [], {})
        assert store.trainings.groups(Question()) == ([], 0, [], {})
        assert (store.trainings.all(), store.trainings.values()) == (0, {})
    finally:
        store.close()


@pytest.mark.parametrize("column", ["config", "status"])
def test_damaged_row_is_shown_to_nobody_and_named(tmp_path: Path, column: str) -> None:
    store = RunStore(tmp_path)
    for run in ("r1", "r2"):
        recorded(store, run)
    store.close()
    store = RunStore(tmp_path)
    store.wait_until_checked()
    try:
        with history_file(tmp_path) as history:
            history.execute(f"UPDATE models SET {column} = '[1' WHERE run = 'r1'")
        assert {row["run"] for row in store.trainings.find(Question()).rows} == {"r2"}
        assert "run r1" in str(store.warning)
    finally:
        store.close()


def test_catalogue_with_an_impossible_figure_is_not_believed(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    recorded(store, "r1")
    store.wait_until_checked()
    try:
        store.save()
        with history_file(tmp_path) as history:
            history.execute("UPDATE catalogue SET best_val_accuracy = 'x'")
        assert [row["best_val_accuracy"] for row in store.trainings.find(Question()).rows] == [None, None]
        assert "never written" in str(store.warning)
    finally:
        store.close()
