"""Slots: which two trainings a request is about: both models of a run, or any two that the query names by `a` and `b`.

They are shown as model 1 and model 2, whatever each is called in its own run.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from flask import request

from config import MODEL_NAMES, say
from history.log import Latest
from history.records import Training
from history.store import RunStore
from web.requests import BadRequest, query_number, run_asked_for

PARAMETERS = dict(zip(("a", "b"), MODEL_NAMES, strict=True))  # of the query, each with the model that it is shown as
ADDRESS = re.compile(r"([\w-]+)/(\w+)", re.ASCII)
MOST_TRAININGS = 100_000  # that a pair may have been chosen among
Known = TypeVar("Known")


@dataclass(frozen=True)
class Slots:
    """Two trainings, by the model that each is shown as; none before the first run."""

    trainings: Mapping[str, Training]
    are_chosen: bool = False  # by a and b

    @property
    def runs(self) -> list[str]:
        """The runs that they are of, each once."""
        return list(dict.fromkeys(training.run for training in self.trainings.values()))

    @property
    def run(self) -> str | None:
        """The run that both are of; None of trainings of two runs, and before the first."""
        return self.runs[0] if len(self.runs) == 1 else None

    @property
    def are_a_run(self) -> bool:
        """Whether they are both models of one run, each in its place, so that what is known of that pair holds."""
        return self.run is not None and all(slot == training.model for slot, training in self.trainings.items())

    def as_json(self) -> dict[str, str | None]:
        """Return which trainings an answer is about."""
        if not self.are_chosen:
            return {"run": self.run}
        return {"run": self.run} | {name: self.trainings[slot].address for name, slot in PARAMETERS.items()}

    def find(self, read: Callable[[str], Mapping[str, Known]]) -> dict[str, Known]:
        """Return what is known of each training, where anything is; `read` gives what is known of a run's models.

        Raises UnknownRun.
        """
        of_run = {run: read(run) for run in self.runs}
        return {
            slot: of_run[training.run][training.model]
            for slot, training in self.trainings.items()
            if training.model in of_run[training.run]
        }


def slots_of(run: str | None) -> Slots:
    """Return both models of a run; None is that before the first."""
    return Slots({name: Training(run, name) for name in MODEL_NAMES} if run else {})


def slots_asked_for(latest: Latest, store: RunStore) -> Slots:
    """Return the two trainings that the query names by a and b, else both models of its run, else of the latest.

    Raises BadRequest, or UnknownRun for a or b.
    """
    given = {name: request.args.getlist(name) for name in PARAMETERS}
    if not any(given.values()):
        return slots_of(run_asked_for(latest.run))
    faults: dict[str, str] = {}
    if "run" in request.args:
        faults["run"] = f"give either run, or a and b, got run {say(request.args['run'])} beside them"
    trainings: dict[str, Training] = {}
    for name, texts in given.items():
        training = read_address(texts)
        if training is None:
            got = say(texts[0]) if len(texts) == 1 else f"it {len(texts)} times" if texts else "nothing"
            faults[name] = f"{name} must be the address of a training, <run>/<model>, got {got}"
        else:
            trainings[name] = training
    if not faults:
        faults = unknown_models(trainings, latest, store)
    if not faults and trainings["a"] == trainings["b"]:
        faults["b"] = f"b must be another training than a, got {say(trainings['b'].address)} for both"
    if faults:
        raise BadRequest("No two trainings to compare", faults)
    return Slots({slot: trainings[name] for name, slot in PARAMETERS.items()}, are_chosen=True)


def read_address(texts: list[str]) -> Training | None:
    """Return the training that was named, once; None where none can be."""
    found = ADDRESS.fullmatch(texts[0]) if len(texts) == 1 else None
    return Training(*found.groups()) if found else None


def unknown_models(trainings: Mapping[str, Training], latest: Latest, store: RunStore) -> dict[str, str]:
    """Return what is wrong with the addresses whose run has no such model. Raises UnknownRun."""
    faults: dict[str, str] = {}
    for name, (run, model) in trainings.items():
        models = latest.metrics.models if run == latest.run else list(store.statuses(run))
        if model not in models:
            faults[name] = f"{name} must be a model of run {run}, that is {' or '.join(models)}, got {say(model)}"
    return faults


def among_asked_for(slots: Slots) -> int | None:
    """Return of how many trainings the query says that a and b were chosen, else None. Raises BadRequest."""
    among = query_number("among", MOST_TRAININGS, least=2)
    if among is not None and not slots.are_chosen:
        raise BadRequest("Nothing was chosen", {"among": f"among goes with a and b, got {among} without them"})
    return among
