"""The columns as they are said once are those that the migrations make, and those that the records have."""

from pathlib import Path

import pytest
from histories import history_file

from history import catalogue
from history.records import Evaluation, Event, Point
from history.store import RunStore
from history.tables import EVALUATIONS, EVENTS, OLD_POINTS, TABLES, Table


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_table_is_as_it_is_said_to_be(tmp_path: Path, table: Table) -> None:
    RunStore(tmp_path).close()
    with history_file(tmp_path) as database:
        columns = database.execute(f"PRAGMA table_info({table.name})").fetchall()
    assert [name for _, name, *_ in columns] == table.names
    said = {name: kind.lower() + "?" * (not required) for _, name, kind, required, *_ in columns}
    assert {name: said[name] for name in table.columns} == table.columns


def test_every_table_is_said(tmp_path: Path) -> None:
    RunStore(tmp_path).close()
    with history_file(tmp_path) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {table.name for table in TABLES} | {catalogue.NAME}


@pytest.mark.parametrize(("table", "record"), [(OLD_POINTS, Point), (EVALUATIONS, Evaluation), (EVENTS, Event)])
def test_row_is_a_record_field_by_field(table: Table, record: type[Point | Evaluation | Event]) -> None:
    assert [name for name in table.columns if name != "number"] == list(record._fields)
