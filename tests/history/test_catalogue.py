"""The catalogue: it says of every training that is listed what the tables say, whatever has happened to them."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import quick
from histories import CONFIGS, history_file, history_path, points, recorded, running
from test_migrations import RUN as OLD_RUN
from test_migrations import write_old_history

from config import DEFAULTS, MODEL_NAMES
from history import catalogue, migrations
from history.branches import Origin
from history.catalogue import COLUMNS, NAME, PREFIX, SETTINGS, setting_of, value_of, whole
from history.records import Evaluation
from history.store import RunStore

RUN, OTHER = "20260102-030405-abcd", "20260103-030405-abcd"
FIGURES = ("state", "epoch", "val_accuracy", "test_accuracy", "loss", "val_loss", "images_per_second", "parameters")

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def store(folder: Path) -> Iterator[RunStore]:
    store = RunStore(folder)
    yield store
    store.close()


def held(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the catalogue's rows by training."""
    with history_file(folder) as history:
        history.row_factory = sqlite3.Row
        rows = [dict(row) for row in history.execute(f"SELECT * FROM {NAME}")]
    return {(row["run"], row["model"]): row for row in rows}


def told(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what plain Python reads from the tables in the catalogue's place."""
    with history_file(folder) as history:
        history.row_factory = sqlite3.Row
        rows = history.execute("SELECT * FROM runs JOIN models ON run = id WHERE NOT deleted").fetchall()
        happened = history.execute("SELECT run, model, kind FROM events").fetchall()
        looked = history.execute("SELECT run, model, step, accuracy FROM evaluations").fetchall()
    found = {}
    for row in rows:
        status, config = json.loads(row["status"]), whole(json.loads(row["config"]))
        place = (row["run"], row["model"])
        seen = [each[3] for each in looked if tuple(each[:2]) == place and each[2] <= status.get("step", -1)]
        known = {name: status.get(name) for name in FIGURES} | {"seconds": status.get("elapsed_seconds")}
        known |= {name: row[name] for name in ("run", "model", "started", "name", "parent", "note")}
        known |= {PREFIX + key: value_of(key, config[key]) for key in SETTINGS}
        known["best_val_accuracy"] = max((each for each in seen if each is not None), default=None)
        own = any(each[2] in ("steered", "forked") for each in happened if tuple(each[:2]) == place)
        known["is_of_setting"] = int(not own and status.get("held_rate") is None)
        known["device"] = json.loads(row["environment"]).get("device")
        found[place] = known
    return found


def assert_in_step(folder: Path) -> list[tuple[str, str]]:
    """Compare all that both tell; return which trainings there are."""
    rows, expected = held(folder), told(folder)
    assert rows.keys() == expected.keys()
    for place, row in rows.items():
        assert {name: row[name] for name in expected[place]} == expected[place], place
        assert set(expected[place]) | {"setting", "words"} == set(COLUMNS)
        assert [row["words"].count(str(row[name])) >= 1 for name in ("run", "model", "name") if row[name]]
    return sorted(rows)


def evaluation(step: int, accuracy: float) -> Evaluation:
    return Evaluation(step, step / 7, step / 11, 0.5, accuracy)


def test_catalogue_follows_whatever_happens_to_a_training(folder: Path, store: RunStore) -> None:
    log = recorded(store)
    assert assert_in_step(folder) == [(RUN, name) for name in MODEL_NAMES]
    log.publish("model1", running("model1", epoch=0.5, loss=2.0), points(1, 5), [evaluation(5, 0.5)])
    log.publish("model1", running("model1", epoch=1.0, val_accuracy=0.25), points(6, 9), [evaluation(9, 0.25)])
    store.save()
    assert_in_step(folder)
    assert held(folder)[RUN, "model1"]["best_val_accuracy"] == 0.5
    store.rename(RUN, "Ärger 1")
    assert_in_step(folder)
    assert "Ärger 1" in held(folder)[RUN, "model2"]["words"]
    store.delete(RUN)
    assert assert_in_step(folder) == []
    store.restore(RUN)
    assert len(assert_in_step(folder)) == 2


def test_best_accuracy_of_a_training_that_went_back_is_of_what_it_has_trained_since(
    folder: Path, store: RunStore
) -> None:
    log = recorded(store)
    log.publish("model1", running("model1"), points(1, 9), [evaluation(3, 0.4), evaluation(9, 0.8)])
    store.save()
    again = store.reopen(RUN, {"model1": 4})
    store.record(RUN, again, CONFIGS, {"torch": "2"})
    again.publish("model1", running("model1", step=4))
    store.save()
    assert held(folder)[RUN, "model1"]["best_val_accuracy"] == 0.4
    again.publish("model1", running("model1", step=9), points(5, 9), [evaluation(9, 0.6)])  # in the other's place
    store.save()
    assert held(folder)[RUN, "model1"]["best_val_accuracy"] == 0.6
    assert_in_step(folder)


def test_settings_with_which_a_run_goes_on_take_the_place_of_the_old_ones(folder: Path, store: RunStore) -> None:
    log = recorded(store)
    store.record(RUN, log, CONFIGS | {"model1": quick(epochs=7)}, {"torch": "2"})
    assert held(folder)[RUN, "model1"]["config_epochs"] == 7
    assert_in_step(folder)


def test_fork_is_in_the_catalogue_with_what_it_has_taken_over(folder: Path, store: RunStore) -> None:
    log = recorded(store)
    log.publish("model1", running("model1"), points(1, 9), [evaluation(3, 0.4), evaluation(9, 0.8)])
    store.save()
    store.branch(RUN, "forked", OTHER, {"model2": Origin("model1", 5, b"weights", quick(dropout=0.25), None)}, {})
    assert assert_in_step(folder) == [*((RUN, name) for name in MODEL_NAMES), (OTHER, "model2")]
    row = held(folder)[OTHER, "model2"]
    assert (row["parent"], row["best_val_accuracy"], row["config_dropout"]) == (RUN, 0.4, 0.25)


def test_purge_and_salvage_leave_the_catalogue_in_step(folder: Path) -> None:
    store = RunStore(folder)
    for run in (RUN, OTHER):
        recorded(store, run).publish("model1", running("model1"), points(1, 9), [evaluation(9, 0.8)])
        store.save()
    store.delete(RUN)
    store.close()
    store = RunStore(folder)
    store.wait_until_checked()
    store.close()
    assert assert_in_step(folder) == [(OTHER, name) for name in MODEL_NAMES]
    with history_file(folder) as history:
        history.execute("UPDATE models SET note = 'mine' WHERE model = 'model1'")
        history.execute("INSERT INTO choices VALUES ('baseline', ?)", (f"{OTHER}/model1",))
        history.execute("UPDATE insights SET step = 'x'")
        history.execute("UPDATE chunks SET data = zeroblob(9) WHERE model = 'model2' OR first = 1")
    store = RunStore(folder)
    store.wait_until_checked()
    assert store.warning is not None
    store.close()
    assert assert_in_step(folder) == [(OTHER, name) for name in MODEL_NAMES]
    assert held(folder)[OTHER, "model1"]["note"] == "mine"
    with history_file(folder) as history:
        assert history.execute("SELECT * FROM choices").fetchall() == [("baseline", f"{OTHER}/model1")]


@pytest.mark.parametrize("version", range(1, migrations.SCHEMA_VERSION))
def test_old_history_is_in_the_catalogue(folder: Path, version: int) -> None:
    write_old_history(folder, version)
    with history_file(folder) as history:
        row = (OLD_RUN, "model1", 400, 1.0, 1.0, 0.5, 0.75, None)
        columns = "run, model, step, epoch, seconds, loss, accuracy, train_accuracy"
        history.execute(f"INSERT INTO evaluations ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    store = RunStore(folder)
    store.wait_until_checked()
    store.close()
    assert store.warning is None
    assert assert_in_step(folder) == [(OLD_RUN, name) for name in MODEL_NAMES]
    assert held(folder)[OLD_RUN, "model1"]["best_val_accuracy"] == 0.75


@pytest.mark.parametrize(
    "other_version",
    [
        "ALTER TABLE catalogue ADD COLUMN config_colour TEXT",
        "DROP TRIGGER catalogue_renamed",
        "DROP TABLE catalogue; DROP TRIGGER catalogue_trained",
    ],
)
def test_catalogue_that_is_not_as_this_version_wants_it_is_made_anew(folder: Path, other_version: str) -> None:
    store = RunStore(folder)
    recorded(store)
    store.close()
    with history_file(folder) as history:
        for statement in other_version.split("; "):
            history.execute(statement)
    RunStore(folder).close()
    assert len(assert_in_step(folder)) == 2


def test_start_makes_no_catalogue_that_is_as_it_should_be(folder: Path) -> None:
    store = RunStore(folder)
    recorded(store)
    store.close()
    with history_file(folder) as history:
        assert catalogue.script(history) == ""
        before = history.execute("PRAGMA schema_version").fetchone()
    RunStore(folder).close()
    with history_file(folder) as history:
        assert history.execute("PRAGMA schema_version").fetchone() == before


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE catalogue SET best_val_accuracy = 0.999, note = 'nobody wrote this' WHERE model = 'model1'",
        "UPDATE catalogue SET words = x'00ff', device = x'ff'",
        "DELETE FROM catalogue WHERE model = 'model2'",
        "INSERT INTO catalogue (run, model) VALUES ('20200101-000000-abcd', 'model1')",
    ],
)
def test_catalogue_that_does_not_say_what_the_tables_do_is_filled_anew(folder: Path, damage: str) -> None:
    store = RunStore(folder)
    recorded(store)
    store.close()
    with history_file(folder) as history:
        history.execute(damage)
    store = RunStore(folder)
    store.wait_until_checked()
    assert assert_in_step(folder) == [(RUN, name) for name in MODEL_NAMES]
    assert store.warning is None
    store.close()


def test_settings_of_an_earlier_version_count_as_what_they_came_to(folder: Path, store: RunStore) -> None:
    recorded(store)
    with history_file(folder) as history:
        history.execute("UPDATE models SET config = json_remove(config, '$.pool_every', '$.augment', '$.batch_norm')")
    row = held(folder)[RUN, "model1"]
    assert [setting_of(key, row[PREFIX + key]) for key in ("pool_every", "augment", "batch_norm")] == [1, "none", False]
    assert setting_of("kernels", row["config_kernels"]) == [4, 8]
    assert_in_step(folder)


def test_row_that_holds_no_json_has_no_figures_and_stops_nobody(folder: Path, store: RunStore) -> None:
    recorded(store)
    with history_file(folder) as history:
        history.execute("UPDATE models SET status = '{', config = 'x' WHERE model = 'model1'")
    row = held(folder)[RUN, "model1"]
    assert (row["state"], row["config_kernels"], row["config_epochs"]) == (None, "[32,64,128,256]", DEFAULTS.epochs)


def test_trainings_of_one_setting_have_one_text_whatever_their_seed(folder: Path, store: RunStore) -> None:
    for number, seed in enumerate((1, 2)):
        log = recorded(store, f"2026010{number}-030405-abcd")
        configs = {"model1": quick(seed=seed), "model2": quick(seed=seed, weight_decay=0.5)}
        store.record(f"2026010{number}-030405-abcd", log, configs, {})
    texts = {place: row["setting"] for place, row in held(folder).items()}
    first, second = (tuple(texts[f"2026010{number}-030405-abcd", model] for model in MODEL_NAMES) for number in (0, 1))
    assert first == second
    assert first[0] != first[1]


def test_copy_of_the_file_at_any_moment_is_in_step(folder: Path, store: RunStore, tmp_path: Path) -> None:
    """As a process that is killed leaves it."""
    log = recorded(store)
    for turn in range(1, 4):
        log.publish("model1", running("model1", epoch=turn / 2), points(turn, turn), [evaluation(turn, turn / 9)])
        store.save()
        copy = Path(shutil.copytree(folder, tmp_path / str(turn)))
        assert len(assert_in_step(copy)) == 2
        RunStore(copy).close()
        assert_in_step(copy)
        assert held(copy)[RUN, "model1"]["state"] == "interrupted"
    assert history_path(folder).exists()
