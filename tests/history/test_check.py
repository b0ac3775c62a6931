"""The check of the whole history, which comes after the start: before it nothing damaged is shown or written to."""

import random
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import wait_for
from histories import CONFIGS, history_file, history_path, points, points_in, recorded, running

from config import MODEL_NAMES
from history import database, soundness
from history.points import LARGE, MOST_SMALL, put
from history.records import Point
from history.states import UNENDED_STATES
from history.store import RunStore

RUN, OLD, NEW = "20260102-030405-abcd", "20260101-000000-aaaa", "20260103-000000-aaaa"
STEPS = 5000


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The check of the whole waits until this is set."""
    go, check_all = threading.Event(), database.check_all

    def wait_and_check(connection: sqlite3.Connection) -> None:
        assert go.wait(60)
        check_all(connection)

    monkeypatch.setattr(database, "check_all", wait_and_check)
    yield go
    go.set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A history of two runs."""
    store = RunStore(tmp_path / "runs")
    for run in (OLD, RUN):
        log = recorded(store, run)
        for model in MODEL_NAMES:
            log.publish(model, running(model), points(1, STEPS))
        store.save()
    store.close()
    return tmp_path / "runs"


def damage(folder: Path, run: str) -> None:
    """Flip a bit in the midst of the chunks of a model."""
    content = bytearray(history_path(folder).read_bytes())
    with history_file(folder) as history:
        query = "SELECT data FROM chunks WHERE run = ? AND model = 'model1' ORDER BY first LIMIT 1"
        [(data,)] = history.execute(query, (run,)).fetchall()
    place = content.index(data[-5000:-4900])  # in a page that holds nothing else
    content[place + 50] ^= 4
    history_path(folder).write_bytes(content)


def every_point(store: RunStore, run: str, model: str = "model1") -> list[Point]:
    return [point for portion in store.read(Point, run, model, 2 * STEPS) for point in portion]


def test_nothing_is_written_to_the_file_before_it_has_been_checked(folder: Path, held: threading.Event) -> None:
    before = history_path(folder).read_bytes()
    store = RunStore(folder)
    try:
        log = recorded(store, NEW)
        log.publish("model1", running("model1"), points(1, STEPS))
        store.save_checkpoint(NEW, "model1", b"weights")
        store.save()
        store.rename(OLD, "old")
        assert store.problem is None
        assert every_point(store, NEW) == points(1, STEPS)
        assert history_path(folder).read_bytes() == before
        held.set()
        store.wait_until_checked()
        store.save_checkpoint(NEW, "model1", b"later weights")
        store.save()
        assert history_path(folder).read_bytes() != before
    finally:
        held.set()
        store.close()


def test_store_that_is_closed_before_the_check_has_lost_nothing_and_left_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, on = history_path(folder).read_bytes(), threading.Event()

    def check_for_ever(connection: sqlite3.Connection) -> None:
        on.set()
        connection.execute("WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")

    with monkeypatch.context() as patched:
        patched.setattr(database, "check_all", check_for_ever)
        store = RunStore(folder)
        recorded(store, NEW).publish("model1", running("model1"), points(1, 10))
        assert on.wait(60)
        store.close()
    assert history_path(folder).read_bytes() == before
    store = RunStore(folder)
    try:
        assert every_point(store, NEW) == points(1, 10)
        store.wait_until_checked()
        assert store.warning is None
    finally:
        store.close()


def test_what_is_damaged_is_set_aside_before_it_is_shown_also_where_the_check_has_not_come_so_far(
    folder: Path, held: threading.Event
) -> None:
    damage(folder, OLD)
    found = history_path(folder).read_bytes()
    store = RunStore(folder)
    try:
        log = recorded(store, NEW)  # a training is on meanwhile
        log.publish("model1", running("model1"), points(1, 10))
        store.save()
        assert store.warning is None
        assert every_point(store, OLD) == points(LARGE + 1, STEPS)
        assert f"points of run {OLD}, model1: {LARGE} of {STEPS} steps" in str(store.warning)
        [aside] = folder.glob("history-damaged-*.sqlite")
        assert aside.read_bytes() == found
        assert every_point(store, OLD, "model2") == every_point(store, RUN) == points(1, STEPS)
        log.publish("model1", running("model1"), points(11, 20))
        store.save()
        assert store.problem is None
        assert every_point(store, NEW) == points(1, 20)
        store.rename(OLD, "what is left")
    finally:
        held.set()
        store.close()
    store = RunStore(folder)
    try:
        store.wait_until_checked()
        assert store.warning is None
        assert every_point(store, NEW) == points(1, 20)
        assert {run["name"] for run in store.runs()} == {None, "what is left"}
    finally:
        store.close()


def test_what_nobody_reads_is_found_by_the_check_and_training_goes_on(folder: Path, held: threading.Event) -> None:
    damage(folder, OLD)
    store = RunStore(folder)
    try:
        log = recorded(store, NEW)
        log.publish("model1", running("model1"), points(1, 10))
        store.save()
        held.set()
        wait_for(lambda: store.warning is not None, "finding")
        log.publish("model1", running("model1"), points(11, 20))
        store.save()
        assert store.problem is None
        assert every_point(store, NEW) == points(1, 20)
    finally:
        store.close()


def test_damage_that_the_writer_meets_is_set_aside_and_what_it_had_to_write_is_written_then(
    folder: Path, held: threading.Event
) -> None:
    with history_file(folder) as history:
        history.execute("UPDATE chunks SET data = substr(data, 1, 100) WHERE run = ? AND last = ?", (RUN, STEPS))
    store = RunStore(folder)
    try:
        log = recorded(store, RUN)  # it goes on, and takes the last steps again
        log.publish("model1", running("model1"), points(STEPS - 5, STEPS + 5))
        store.save()
        store.save()
        assert store.problem is None
        assert every_point(store, RUN)[LARGE:] == points(STEPS - 5, STEPS + 5)
        assert "is not as it was written" in str(store.warning)
    finally:
        held.set()
        store.close()


def test_start_looks_for_nothing_by_reading_all(folder: Path) -> None:
    assert soundness.IS_UNENDED.count("'idle'") == 1
    with history_file(folder) as history:
        for query, index in (
            (f"UPDATE models SET status = '' WHERE {soundness.IS_UNENDED}", "models_unended"),
            ("UPDATE runs SET deleted = 3 WHERE deleted", "runs_deleted"),
            ("SELECT run, model FROM models JOIN runs ON run = id WHERE deleted", "runs_deleted"),
        ):
            plan = " ".join(row[-1] for row in history.execute(f"EXPLAIN QUERY PLAN {query}"))
            assert index in plan, plan
        [(sql,)] = history.execute("SELECT sql FROM sqlite_master WHERE name = 'models_unended'")
    assert all(f"'{state}'" in sql for state in UNENDED_STATES)


# Chunks


def test_points_that_come_bit_by_bit_and_again_are_those_that_came_last(tmp_path: Path) -> None:
    RunStore(tmp_path).close()
    chance, expected, at = random.Random(7), dict[int, Point](), 0
    with history_file(tmp_path) as history:
        history.execute("INSERT INTO runs (id, started, environment) VALUES (?, '', '{}')", (RUN,))
        for turn in range(300):
            if chance.random() < 0.05:
                at = chance.randrange(at + 1)  # the run goes on from an earlier checkpoint
            count = chance.choice([1, 7, 60, 300])
            new = [Point(step, step / 7, float(turn), 0.5, 0.5) for step in range(at + 1, at + count + 1)]
            put(history, RUN, "model1", new, is_end=chance.random() < 0.05)
            at += count
            expected |= {point.step: point for point in new}
            if turn % 20 == 0:
                assert points_in(history, "model1") == [tuple(expected[step]) for step in sorted(expected)]
        sizes = history.execute("SELECT last - first + 1 FROM chunks ORDER BY first").fetchall()
        put(history, RUN, "model1", [], is_end=True)
        assert points_in(history, "model1") == [tuple(expected[step]) for step in sorted(expected)]
    assert len(sizes) < len(expected) / LARGE * 3 + MOST_SMALL + 5


def test_list_can_be_read_page_by_page(folder: Path) -> None:
    store = RunStore(folder)
    try:
        recorded(store, NEW)
        store.save()
        assert [run["id"] for run in store.runs(limit=2)] == [NEW, RUN]
        assert [run["id"] for run in store.runs(limit=1)] == [NEW]
        assert [run["id"] for run in store.runs(limit=0, named=[OLD, "none"])] == [OLD]
        assert set(store.runs(limit=1)[0]["models"]) == set(CONFIGS)
    finally:
        store.close()


def test_weights_of_what_was_deleted_stay_until_the_whole_has_been_checked(folder: Path, held: threading.Event) -> None:
    held.set()
    store = RunStore(folder)
    store.save_checkpoint(OLD, "model1", b"weights")
    store.save()
    store.delete(OLD)
    store.close()
    [file] = (folder / "checkpoints").glob(f"{OLD}.model1.*")
    held.clear()
    store = RunStore(folder)
    assert OLD not in [run["id"] for run in store.runs()]
    assert file.exists()
    held.set()
    store.wait_until_checked()
    store.close()
    assert not file.exists()


def test_broken_plan_and_line_are_set_aside_and_named(folder: Path) -> None:
    store = RunStore(folder)
    store.start_series("s1", {"seeds": [1], "configs": {}})
    store.queue.add({})
    store.close()
    with history_file(folder) as connection:
        connection.execute("UPDATE series SET plan = '{'")
        connection.execute("UPDATE queue SET configs = '{'")
    store = RunStore(folder)
    try:
        assert store.series_seeds() == set()
        assert store.queue.items() == []
        assert {run["id"] for run in store.runs()} == {RUN, OLD}
        assert "series s1" in str(store.warning)
        assert "a comparison in line" in str(store.warning)
    finally:
        store.close()


def test_change_that_a_kill_has_left_half_written_is_taken_back_at_the_start(folder: Path, tmp_path: Path) -> None:
    """As when a process dies as it sets a new file up: who only reads may not play the journal back."""
    RunStore(folder).close()
    connection = sqlite3.connect(history_path(folder))
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA cache_size = 1")  # so that pages go to the file before the end
    connection.execute("UPDATE chunks SET data = zeroblob(length(data))")
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    connection.rollback()
    connection.close()
    assert (copy / "history.sqlite-journal").stat().st_size > 0
    store = RunStore(copy)
    try:
        store.wait_until_checked()
        assert store.warning is None
        assert {run["id"] for run in store.runs()} == {RUN, OLD}
    finally:
        store.close()
