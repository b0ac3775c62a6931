"""What is left of a history after a truncation or a flipped byte."""

import contextlib
import itertools
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from histories import CONFIGS, history_file, history_path, points, recorded, running

from config import MODEL_NAMES
from history import migrations, salvage
from history.records import Evaluation, Event, Point
from history.store import RunStore, StoreError, UnknownRun

ROOT = Path(__file__).resolve().parents[2]
RUNS = [f"2026010{day}-000000-aaaa" for day in range(1, 6)]
STEPS = 6000  # more than a chunk
MEASURED = set(points(1, STEPS))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a history of five runs."""
    folder = tmp_path_factory.mktemp("sound")
    store = RunStore(folder)
    for run in RUNS:
        log = recorded(store, run)
        for model in MODEL_NAMES:
            evaluations = [Evaluation(step, step / 7, 1.0, 0.5, 0.5, 0.5) for step in range(100, STEPS + 1, 100)]
            log.publish(
                model, running(model, total_steps=STEPS), points(1, STEPS), evaluations, [Event("running", 0, 0.0, 0.0)]
            )
        store.save()
    store.close()
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "runs"))


def shown(folder: Path) -> tuple[str | None, dict[str, list[int]]]:
    """Open a history as the server does; return its warning, and the steps of every run and model."""
    store = RunStore(folder)
    try:
        all_steps(store)  # at once, before the whole has been checked
        store.wait_until_checked()
        return store.warning, all_steps(store)
    finally:
        store.close()


def all_steps(store: RunStore) -> dict[str, list[int]]:
    """Return the steps of every run and model, each of which is as it was measured."""
    steps = {}
    for run in store.runs():
        models = store.statuses(run["id"])
        assert set(models) <= set(MODEL_NAMES)
        for model in models:
            found = [point for portion in store.read(Point, run["id"], model, 2 * STEPS) for point in portion]
            steps[f"{run['id']} {model}"] = [point.step for point in found]
            assert set(found) <= MEASURED
    return steps


def version(folder: Path) -> int:
    with history_file(folder) as database:
        return migrations.version_of(database)


def aside(folder: Path) -> list[Path]:
    return sorted(folder.glob("history-damaged-*.sqlite"))


def test_sound_history_is_opened_without_a_word(folder: Path) -> None:
    warning, steps = shown(folder)
    assert warning is None
    assert set(map(len, steps.values())) == {STEPS}
    assert len(steps) == 2 * len(RUNS)
    assert aside(folder) == []


def test_damaged_history_of_version_2_is_salvaged_into_the_newest(tmp_path: Path) -> None:
    config = CONFIGS["model1"].model_dump_json()
    with sqlite3.connect(history_path(tmp_path)) as old:
        scripts = " ".join(migrations.MIGRATIONS[:2])
        old.executescript(f"PRAGMA journal_mode = WAL; BEGIN; {scripts} PRAGMA user_version = 2; COMMIT;")
        old.execute("INSERT INTO runs VALUES (?, '2026-01-01', '{}', 'mine', 0)", (RUNS[0],))
        for model in MODEL_NAMES:
            old.execute(
                "INSERT INTO models VALUES (?, ?, ?, ?)", (RUNS[0], model, config, '{"state": "stopped", "step": 3}')
            )
            old.execute("INSERT INTO events VALUES (?, ?, 0, 'running', 0, 0.0, 0.0)", (RUNS[0], model))
            for step, loss in ((1, 0.5), (2, "no number"), (3, 0.4)):
                old.execute("INSERT INTO points VALUES (?, ?, ?, 0.5, 0.25, ?, 0.125)", (RUNS[0], model, step, loss))
    old.close()
    store = RunStore(tmp_path)
    try:
        assert store.warning is not None and "1 of 3 steps" in store.warning
        assert version(tmp_path) == migrations.SCHEMA_VERSION
        view = store.run(RUNS[0]).view()[1]["model1"]
        assert (view["points"]["step"], view["events"]["kind"]) == ([1, 3], ["running"])
        assert (store.runs()[0]["name"], store.predictions(RUNS[0])["model1"]) == ("mine", {})
    finally:
        store.close()


def test_which_images_were_right_is_kept_through_damage_too(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    log = recorded(store, RUNS[0])
    evaluation = Evaluation(3, 1.0, 1.0, 0.5, 0.5, None, bytes([7, 255]))
    log.publish("model1", running("model1", step=3), points(1, 3), [evaluation], [Event("running", 0, 0.0, 0.0)])
    store.close()
    with sqlite3.connect(history_path(tmp_path)) as database:
        database.execute("UPDATE events SET kind = x'00'")
    database.close()
    store = RunStore(tmp_path)
    try:
        store.wait_until_checked()
        assert store.warning is not None
        assert store.run(RUNS[0]).evaluations("model1") == [evaluation]
        assert "right_images" not in store.run(RUNS[0]).view()[1]["model1"]["evaluations"]
    finally:
        store.close()


def test_file_that_is_no_database_is_set_aside_and_a_new_history_begun(tmp_path: Path) -> None:
    tmp_path.mkdir(exist_ok=True)
    content = b"this is no database, and long enough to be looked at as one" * 100
    history_path(tmp_path).write_bytes(content)
    warning, steps = shown(tmp_path)
    (kept,) = aside(tmp_path)
    assert kept.read_bytes() == content
    assert steps == {}
    assert warning is not None
    assert "file is not a database" in warning
    assert f"set aside as {kept.name}" in warning
    assert "Not readable: the whole file" in warning
    assert shown(tmp_path) == (None, {})  # the next start


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999])
def test_truncated_history_shows_what_can_be_read(folder: Path, tmp_path: Path, share: float) -> None:
    RunStore(tmp_path / "empty").close()
    empty, whole = (history_path(each).stat().st_size for each in (tmp_path / "empty", folder))
    size = int(empty + (whole - empty) * share)  # the share is of what was measured; tables and indexes come first
    with history_path(folder).open("r+b") as file:
        file.truncate(size)
    before = history_path(folder).read_bytes()
    warning, steps = shown(folder)
    assert warning is not None
    assert "Not readable: " in warning
    (kept,) = aside(folder)
    assert kept.read_bytes() == before  # set aside as it was found
    for model in steps.values():
        assert set(model) <= set(range(1, STEPS + 1))
    rows = sum(map(len, steps.values()))
    assert rows >= 0.5 * share * 2 * len(RUNS) * STEPS or share <= 0.3, rows
    assert shown(folder) == (None, steps)  # sound from now on


@pytest.mark.parametrize("seed", range(40))
def test_flipped_byte_never_keeps_the_store_from_opening(folder: Path, seed: int) -> None:
    """What no check can tell, one digit of a number, say, is shown; all else is set aside and named."""
    chance = random.Random(seed)
    content = bytearray(history_path(folder).read_bytes())
    place = chance.randrange(len(content)) if seed % 4 else chance.randrange(3 * 4096)  # often where it hurts
    content[place] ^= 1 << chance.randrange(8)
    history_path(folder).write_bytes(content)
    try:
        warning, steps = shown(folder)
    except StoreError as refusal:
        assert "newer version" in str(refusal)  # the flipped byte was the version's
        return
    damaged = aside(folder)
    assert bool(warning) == bool(damaged)
    if warning:
        assert damaged[0].read_bytes() == bytes(content)
    assert sum(map(len, steps.values())) >= 2 * len(RUNS) * STEPS * 0.5 or (warning and "Not readable" in warning)
    database_ = sqlite3.connect(history_path(folder))
    assert database_.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database_.close()


@pytest.mark.parametrize("read_first", [False, True], ids=["checked first", "read at once"])
@pytest.mark.parametrize(
    ("statement", "lost"),
    [
        ("UPDATE models SET status = '{' WHERE run = ? AND model = 'model1'", 1),
        ("UPDATE models SET config = 'null' WHERE run = ? AND model = 'model1'", 1),
        ("UPDATE models SET status = CAST(x'7bff7d' AS TEXT) WHERE run = ? AND model = 'model1'", 1),
        ("UPDATE chunks SET data = x'00' WHERE run = ?", 0),
        ("UPDATE chunks SET last = last + 1 WHERE run = ?", 0),
        ("UPDATE evaluations SET epoch = 'x' WHERE run = ? AND step = 100", 0),
        ("UPDATE events SET kind = x'01' WHERE run = ?", 0),
        ("UPDATE runs SET environment = 'x' WHERE id = ?", 2),
        ("UPDATE models SET run = '../x' WHERE run = ?", 2),
    ],
)
def test_row_that_was_never_written_so_is_left_out(folder: Path, statement: str, lost: int, read_first: bool) -> None:
    with sqlite3.connect(history_path(folder)) as old:
        old.execute(statement, (RUNS[2],))
    old.close()
    store = RunStore(folder)
    try:
        if read_first:
            with contextlib.suppress(UnknownRun):  # it may be set aside in this moment
                all_steps(store)
        store.wait_until_checked()
        assert store.warning is not None
        runs = store.runs()
        models = [model for run in runs for model in run["models"]]
        assert len(models) == 2 * len(RUNS) - lost
        for run in runs:
            store.run(run["id"])
    finally:
        store.close()
    assert len(aside(folder)) >= 1


def test_write_ahead_log_is_set_aside_with_the_damaged_file(folder: Path) -> None:
    """A log left beside the new file would be played into it."""
    live = sqlite3.connect(history_path(folder))
    live.execute("PRAGMA wal_autocheckpoint = 0")
    live.execute("PRAGMA journal_mode = WAL")
    live.execute("UPDATE runs SET name = 'x'")
    live.commit()
    for name in ("history.sqlite", "history.sqlite-wal"):
        shutil.copy(folder / name, folder / f"copy-{name}")
    live.close()
    for name in ("history.sqlite", "history.sqlite-wal"):
        (folder / f"copy-{name}").replace(folder / name)
    content = bytearray(history_path(folder).read_bytes())
    content[4096 + 5] ^= 0xFF
    content[2 * 4096 + 5] ^= 0xFF
    history_path(folder).write_bytes(content)
    wal = (folder / "history.sqlite-wal").read_bytes()
    warning, _ = shown(folder)
    if warning is None:
        pytest.fail("damage was not noticed")
    assert any(
        path.name.endswith(".sqlite-wal") and path.read_bytes().startswith(wal) for path in folder.glob("*-damaged-*")
    )
    check = sqlite3.connect(history_path(folder))
    assert check.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check.close()


@pytest.mark.parametrize("stop_at", range(4))
def test_salvage_that_was_cut_off_is_finished_at_the_next_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    with history_path(folder).open("r+b") as file:
        file.truncate(int(history_path(folder).stat().st_size * 0.6))
    content = history_path(folder).read_bytes()
    (folder / "history.sqlite-wal").touch()
    moves = 0
    move = salvage.os.replace

    def die(source: Any, target: Any) -> None:
        nonlocal moves
        if moves == stop_at:
            raise KeyboardInterrupt
        moves += 1
        move(source, target)

    monkeypatch.setattr(salvage.os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        salvage.open_history(history_path(folder))
    monkeypatch.undo()
    _, steps = shown(folder)
    assert sum(map(len, steps.values())) > STEPS
    assert [path for path in aside(folder) if path.read_bytes() == content] != []


def test_each_renaming_is_on_the_disk_before_the_next_relies_on_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut keeps what was flushed, and of the rest any part."""
    with history_path(folder).open("r+b") as file:
        file.truncate(int(history_path(folder).stat().st_size * 0.6))
    done: list[str] = []
    move = salvage.os.replace

    def note(source: Path, target: Path) -> None:
        done.append("aside" if "-damaged-" in target.name else target.suffix)
        move(source, target)

    monkeypatch.setattr(salvage.os, "replace", note)
    monkeypatch.setattr(salvage, "flush_folder", lambda path: done.append("flushed"))
    salvage.open_history(history_path(folder))[0].close()
    groups = [name for name, _ in itertools.groupby(done)]  # the file is set aside with its log
    assert groups == [".salvaged", "flushed", "aside", "flushed", ".sqlite", "flushed"]


def test_empty_history_beside_checkpoints_is_wondered_at(folder: Path) -> None:
    store = RunStore(folder)
    store.save_checkpoint(RUNS[0], "model1", b"weights")
    store.close()
    history_path(folder).unlink()
    warning, steps = shown(folder)
    assert steps == {}
    assert warning is not None
    assert "The history is empty" in warning
    assert len(list((folder / "checkpoints").iterdir())) == 1
