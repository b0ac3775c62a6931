"""Lineage: which run went on from which, as a tree.

A run is entered after the one that it goes on from, and never given another: so there is no circle in what we write.
One that is deleted leaves nothing but its id, and that with those that went on from it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from config import differing_settings
from history.database import Database
from history.errors import UnknownRun
from history.soundness import read_json
from history.waiting import Place, Waiting

MOST_SHOWN = 200  # runs of a tree
PARENTS = "SELECT id, parent FROM runs WHERE parent IS NOT NULL AND NOT deleted"
TOLD = (
    "SELECT id, name, started, parent, branch, model, config, status FROM runs JOIN models ON run = id"
    " WHERE NOT deleted AND id IN (SELECT value FROM json_each(?)) ORDER BY id, model"
)
OUTCOME = ("state", "epoch", "val_accuracy", "test_accuracy")


class Tree(NamedTuple):
    """The runs that went on from one another: at most MOST_SHOWN of all, parents before children, these by age."""

    runs: list[dict[str, Any]]
    total: int


class Lineage:
    """The lineage of all runs. Safe to call from any thread."""

    def __init__(self, database: Database, waiting: Waiting) -> None:
        self._database = database
        self._waiting = waiting

    def of(self, run: str) -> Tree:
        """Return the tree that a run is in, down from its oldest ancestor. Raises UnknownRun.

        Each has its id, name, start, how it went on from which parent, what its two models differ in, and how each
        ended. Of a larger tree the ancestors come first, then what went on from the run, then the others.
        """
        if not self._database.select("SELECT 1 FROM runs WHERE id = ? AND NOT deleted", (run,)):
            raise UnknownRun(run)
        parents = dict(self._database.select(PARENTS))
        ancestors = line_to(run, parents)
        ids = family_of(ancestors[0], parents)
        shown = chosen(ids, ancestors, family_of(run, parents))
        known = self._told(shown)
        return Tree([known.get(each, {"run": each, "deleted": True}) for each in shown], len(ids))

    def _told(self, runs: list[str]) -> dict[str, dict[str, Any]]:
        """Return what is told of each run that is there."""
        waiting = self._waiting.statuses()
        return self._database.read(TOLD, (json.dumps(runs),), lambda rows: told_by(rows, waiting))


def line_to(run: str, parents: Mapping[str, str]) -> list[str]:
    """Return a run's ancestors from the oldest on, and the run itself; parents: of each run that has one."""
    line = [run]
    while (parent := parents.get(line[-1])) is not None and parent not in line:
        line.append(parent)
    return line[::-1]


def family_of(run: str, parents: Mapping[str, str]) -> list[str]:
    """Return a run and all that went on from it, each before those that went on from it, these by age."""
    children = defaultdict(list)
    for child, parent in sorted(parents.items(), reverse=True):
        children[parent].append(child)
    found: dict[str, None] = {}
    waiting = [run]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found[each] = None
            waiting += children[each]
    return list(found)


def chosen(ids: list[str], ancestors: list[str], family: list[str]) -> list[str]:
    """Return those that are shown of a tree, in its order: those nearest to the last of the ancestors where not all."""
    nearest = dict.fromkeys([*ancestors[-MOST_SHOWN:], *family, *ids])
    wanted = set(list(nearest)[:MOST_SHOWN])
    return [each for each in ids if each in wanted]


def told_by(rows: Iterable[tuple[Any, ...]], waiting: Mapping[Place, Any]) -> dict[str, dict[str, Any]]:
    """Return rows of runs and their models as a tree has them, by run. Raises Damaged."""
    found: dict[str, dict[str, Any]] = {}
    configs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run, name, started, parent, kind, model, config, saved in rows:
        about = {"run": run, "name": name, "started": started, "kind": kind, "parent": parent}
        entry = found.setdefault(run, about | {"changes": {}, "outcome": {}, "deleted": False})
        status = read_json(saved)
        if (run, model) in waiting:
            status = waiting[run, model].as_json()
        entry["outcome"][model] = {name: status.get(name) for name in OUTCOME}
        configs[run].append(read_json(config))
    for run, (first, *others) in configs.items():
        second = others[-1] if others else first
        names = differing_settings(first, second)
        found[run]["changes"] = {name: [first.get(name), second.get(name)] for name in names}
    return found
