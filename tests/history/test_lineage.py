"""Lineage: the whole tree of a run, whatever was deleted, and whatever a file from elsewhere may say."""

import itertools
import json
import time
from collections.abc import Sequence

import pytest
from histories import CONFIGS, history_file, points, recorded, running
from hypothesis import given
from hypothesis import strategies as st

from history.lineage import MOST_SHOWN, chosen, family_of, line_to
from history.store import RunStore, UnknownRun

pytestmark = pytest.mark.usefixtures("quiet")


def enter(store: RunStore, *runs: tuple[str, str | None]) -> None:
    """Enter runs of one finished model, each with the one that it was forked from."""
    status = json.dumps({"state": "finished", "epoch": 1.0, "val_accuracy": 0.8})
    with history_file(store.directory) as database:
        for run, parent in runs:
            row = (run, run, "{}", parent, parent and "forked")
            database.execute("INSERT INTO runs (id, started, environment, parent, branch) VALUES (?, ?, ?, ?, ?)", row)
            config = CONFIGS["model1"].model_dump_json()
            database.execute(
                "INSERT INTO models (run, model, config, status) VALUES (?, 'model1', ?, ?)", (run, config, status)
            )


def ids(store: RunStore, run: str) -> list[str]:
    return [each["run"] for each in store.lineage.of(run).runs]


FAMILY = (("a", None), ("b", "a"), ("c", "a"), ("d", "b"), ("e", "c"), ("x", None), ("y", "x"))


def test_every_run_of_a_tree_sees_the_whole_of_it_and_no_other(store: RunStore) -> None:
    enter(store, *FAMILY)
    for run in "abcde":
        assert ids(store, run) == ["a", "b", "d", "c", "e"]
    assert ids(store, "x") == ["x", "y"]
    assert store.lineage.of("y").total == 2
    assert store.lineage.of("a").runs[1] == {
        "run": "b",
        "name": None,
        "started": "b",
        "kind": "forked",
        "parent": "a",
        "changes": {},
        "outcome": {"model1": {"state": "finished", "epoch": 1.0, "val_accuracy": 0.8, "test_accuracy": None}},
        "deleted": False,
    }


def test_deleted_parent_is_there_by_its_id_alone(store: RunStore) -> None:
    enter(store, *FAMILY)
    store.delete("a")
    store.delete("c")
    for run in "bd":
        assert ids(store, run) == ["a", "b", "d"]
        assert store.lineage.of(run).runs[0] == {"run": "a", "deleted": True}
    assert ids(store, "e") == ["c", "e"]
    for run in ("a", "none"):
        with pytest.raises(UnknownRun):
            store.lineage.of(run)
    store.restore("c")
    assert ids(store, "e") == ["a", "b", "d", "c", "e"]
    store.restore("a")
    assert store.lineage.of("e").runs[0]["deleted"] is False


def test_purged_parent_is_told_like_a_deleted_one(store: RunStore) -> None:
    enter(store, *FAMILY)
    store.delete("a")
    before = store.lineage.of("d")
    store.close()
    again = RunStore(store.directory)
    try:
        again.wait_until_checked()
        assert again.lineage.of("d") == before
    finally:
        again.close()


def test_run_that_is_on_shows_what_has_not_been_saved(store: RunStore) -> None:
    log = recorded(store, "run")
    log.publish("model1", running("model1", epoch=0.5), points(1, 3))
    [entry] = store.lineage.of("run").runs
    assert entry["outcome"]["model1"]["epoch"] == 0.5
    assert entry["changes"] == {
        name: [getattr(CONFIGS["model1"], name), getattr(CONFIGS["model2"], name)]
        for name in ("optimizer", "learning_rate")
    }
    assert (entry["kind"], entry["parent"]) == (None, None)


def test_circle_in_a_file_from_elsewhere_is_walked_once(store: RunStore) -> None:
    enter(store, ("a", "c"), ("b", "a"), ("c", "b"), ("d", "d"))
    assert sorted(ids(store, "a")) == ["a", "b", "c"]
    assert ids(store, "d") == ["d"]


def test_of_a_large_tree_ancestors_and_family_come_first(store: RunStore) -> None:
    names = [f"{number:04}" for number in range(600)]
    enter(store, (names[0], None), *[(name, names[0]) for name in names[1:400]])
    enter(store, *[(name, names[390]) for name in names[400:500]], *[(name, names[450]) for name in names[500:]])
    tree = store.lineage.of(names[390])
    shown = [each["run"] for each in tree.runs]
    assert (len(shown), tree.total) == (MOST_SHOWN, 600)
    assert shown[0] == names[0]
    assert {names[390], names[450]} <= set(shown)
    assert {names[0], names[390], names[450], names[599]} <= set(ids(store, names[599]))
    deep = [(f"z{number:04}", f"z{number - 1:04}" if number else None) for number in range(300)]
    enter(store, *deep)
    assert ids(store, "z0299") == [run for run, _ in deep[100:]]


def test_tree_among_thousands_of_runs_is_found_at_once(store: RunStore) -> None:
    enter(store, *[(f"{number:05}", f"{number - 1:05}" if number % 3 else None) for number in range(6000)])
    best = min(_seconds(store, "03001") for _ in range(5))
    assert ids(store, "03001") == ["03000", "03001", "03002"]
    assert best < 0.5


def _seconds(store: RunStore, run: str) -> float:
    began = time.perf_counter()
    store.lineage.of(run)
    return time.perf_counter() - began


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"), max_size=8), st.sampled_from("abcdefgh")
)
def test_any_parents_give_a_tree_that_holds_the_run_once(parents: dict[str, str], run: str) -> None:
    line = line_to(run, parents)
    assert line[-1] == run
    assert all(parents[child] == parent for parent, child in itertools.pairwise(line))
    family = family_of(line[0], parents)
    assert len(set(family)) == len(family)
    assert set(line) <= set(family)
    assert is_in_order(family, parents)
    assert chosen(family, line, family_of(run, parents)) == family


def is_in_order(family: Sequence[str], parents: dict[str, str]) -> bool:
    """Return whether each run but the first comes after its parent."""
    return all(parents[each] in family[:place] for place, each in enumerate(family) if place)
