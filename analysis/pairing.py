"""Pairing: what two trainings share beside their settings, and under which other conditions they were trained.

Of both models of one run that is known by construction. Trainings of different runs may come from other machines,
devices and versions of the program, and their seconds also count what else the machine did: said here, in words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from history.events import read_seeds
from history.records import Event

CONDITIONS = {  # what is on record of how a training came about, and what that is called
    "device": "device",
    "platform": "machine or system",
    "cores": "number of cores",
    "threads": "number of threads",
    "precision": "number format",
    "revision": "program version",
    "torch": "PyTorch version",
    "python": "Python version",
}
LOAD = "Seconds and speeds also count what else the machine did: they are shown and not compared."


@dataclass(frozen=True)
class Origin:
    """How a training came about: its run, settings (as JSON holds them), events, and its conditions by name."""

    run: str
    config: Mapping[str, Any]
    events: Sequence[Event] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """The seeds that it has had, in their order."""
        return read_seeds(self.events, self.config["seed"])

    def is_copy_of(self, other: "Origin") -> bool:
        """Return whether it was forked from the model that trains beside it in its run."""
        return self.run == other.run and any(
            event.kind == "forked" and event not in other.events for event in self.events
        )


def other_conditions(one: Origin, two: Origin) -> list[dict[str, Any]]:
    """Return the conditions on record that are not the same for two trainings of different runs.

    A number format that was set otherwise is a setting that differs, and told as such.
    """
    if one.run == two.run:
        return []
    are_set = {"precision"} if one.config.get("precision") != two.config.get("precision") else set()
    values = {name: [each.conditions.get(name) for each in (one, two)] for name in CONDITIONS if name not in are_set}
    return [
        {"what": CONDITIONS[name], "model1": value1, "model2": value2}
        for name, (value1, value2) in values.items()
        if value1 != value2
    ]


def pairing(one: Origin, two: Origin, shared: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what two trainings have in common, as `/api/metrics` tells it in `paired`.

    shared: what training.cost.describe_pairing tells of them; None before PyTorch has loaded, when nobody knows which
    initial weights they share.
    """
    known = dict(shared) if shared else without_weights(one, two)
    conditions = other_conditions(one, two)
    same_run = one.run == two.run
    text = known["text"] if same_run else f"{known['text']} {say_conditions(conditions)} {LOAD}"
    return known | {"same_run": same_run, "conditions": conditions, "text": text}


def without_weights(one: Origin, two: Origin) -> dict[str, Any]:
    """Return what two trainings have in common as far as it is known without PyTorch."""
    same_order = one.seeds == two.seeds and len(one.seeds) == 1 and one.config["batch_size"] == two.config["batch_size"]
    order = "the same batch order" if same_order else "a different batch order"
    text = (
        f"Both models have the same images in the same split, and {order}. Which initial weights they share is told "
        "once PyTorch has loaded."
    )
    return {"split": True, "batch_order": same_order, "initial_weights": None, "text": text}


def say_conditions(conditions: Sequence[Mapping[str, Any]]) -> str:
    """Return in a sentence under which other conditions two trainings of different runs came about."""
    if not conditions:
        return "They are of different runs; no other device, machine or version is on record."
    other = [_say(each) for each in conditions if are_known(each)]
    unknown = [each["what"] for each in conditions if not are_known(each)]
    said = f"They are of different runs{f', with another {join(other)}' if other else ''}."
    return f"{said} Of one alone is on record: {join(unknown)}." if unknown else said


def are_known(condition: Mapping[str, Any]) -> bool:
    """Return whether a condition is on record of both trainings, so that it is known to be another."""
    return condition["model1"] is not None and condition["model2"] is not None


def _say(condition: Mapping[str, Any]) -> str:
    values = [str(condition[name]) for name in ("model1", "model2")]
    if condition["what"] == CONDITIONS["revision"]:
        values = [value[:8] for value in values]  # of a commit
    return f"{condition['what']} ({' and '.join(values)})"


def join(words: Sequence[str]) -> str:
    """Return words as a list in a sentence."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
