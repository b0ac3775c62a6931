"""Trainings: the history as a table, by pages that the server sorts, filters and groups; notes, and the baseline."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from typing import Any
from unicodedata import category

from flask import Blueprint, Response, request

from analysis.entrant import IMAGES
from analysis.seeds import Values, difference_of, mean_of
from analysis.significance import wilson_interval
from config import InvalidSettings, parse_config, parse_text, say
from exports import runs as export
from exports import trainings as table
from history.catalogue import SETTINGS
from history.records import Training, rounded
from history.states import SEVERITY
from history.store import RunStore
from history.trainings import MEASURES, SORTS, Question
from web.exports import as_file
from web.monitor import Monitor
from web.requests import BadRequest, query_number, read_object
from web.slots import MOST_TRAININGS, read_address

PAGE, MOST_A_PAGE = 50, 100
MOST_NAMED = 1000  # trainings of one query
LONGEST_NOTE, LONGEST_SEARCH = 500, 200  # characters
COMPARED = ("best_val_accuracy", "test_accuracy", "val_loss", "loss", "seconds")  # with the baseline
PLAIN = {"sort", "order", "search", "state", "after", "before", "limit", "offset", "group", "training"}
PREFIX = "config."
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def blueprint(monitor: Monitor) -> Blueprint:
    routes = Blueprint("trainings", __name__)
    store = monitor.store

    @routes.get("/api/trainings")
    def trainings() -> dict[str, Any]:
        asked = asked_for()
        found = (grouped if request.args.get("group") else listed)(store, asked)
        baseline = store.trainings.baseline
        return found | {"all": store.trainings.all(), "baseline": baseline and baseline.address}

    @routes.get("/api/trainings.csv")
    def trainings_as_csv() -> Response:
        found = store.trainings.every(asked_for(is_paged=False))
        return as_file(table.as_csv(map(row_of, found)), "fashionmnist-trainings.csv")

    @routes.post("/api/trainings/<run>/<model>/note")
    def write_note(run: str, model: str) -> dict[str, Any]:
        note = read_object(("note",)).get("note", "")
        if note is not None and not is_note(note):
            expected = f"note must be 1 to {LONGEST_NOTE} characters, or null for none, got {say(note)}"
            raise BadRequest("A note that cannot be used", {"note": expected})
        training = Training(run, model)
        store.trainings.write_note(training, note)
        return {"training": training.address, "note": note}

    @routes.post("/api/trainings/baseline")
    def set_baseline() -> dict[str, Any]:
        given = read_object(("training",)).get("training", "")
        training = read_address([given]) if isinstance(given, str) else None
        if given is not None and training is None:
            expected = f"training must be the address of one, <run>/<model>, or null for none, got {say(given)}"
            raise BadRequest("No training", {"training": expected})
        store.trainings.set_baseline(training)
        return {"baseline": training and training.address}

    return routes


def is_note(note: object) -> bool:
    """Return whether a text can stand as a note: something to see, also on several lines, that UTF-8 can hold."""
    if not isinstance(note, str) or not 1 <= len(note) <= LONGEST_NOTE or note.isspace():
        return False
    return all(one == "\n" or category(one)[0] != "C" for one in note)


# What is asked for


def asked_for(*, is_paged: bool = True) -> Question:
    """Return what the query asks for. Raises BadRequest that names every part that cannot be used."""
    faults: dict[str, str] = {}
    known = PLAIN | {PREFIX + key for key in SETTINGS}
    for name in request.args:
        if name not in known:
            faults[name[:80]] = f"unknown parameter; expected {', '.join(sorted(PLAIN))} or {PREFIX}<setting>"
    sort, order = one_of("sort", SORTS, faults), one_of("order", ("asc", "desc"), faults)
    one_of("group", ("seed",), faults)
    search = request.args.get("search", "")
    if len(search) > LONGEST_SEARCH:
        faults["search"] = f"search must be at most {LONGEST_SEARCH} characters, got {len(search)}"
    states = [state for state in request.args.get("state", "").split(",") if state]
    if set(states) - set(SEVERITY):
        faults["state"] = f"state must be of {', '.join(SEVERITY)}, got {say(request.args['state'])}"
    settings = {}
    for name, text in request.args.items():
        if name.startswith(PREFIX) and name in known:
            settings[name.removeprefix(PREFIX)] = setting_from(name, text, faults)
    trainings = named_trainings(faults)
    days = day("after", faults), day("before", faults)
    if faults:
        raise BadRequest("Nothing that can be looked for", faults)
    limit = query_number("limit", MOST_A_PAGE, least=1) or PAGE
    offset = query_number("offset", MOST_TRAININGS) or 0
    return Question(
        words=search.split(),
        states=states,
        after=days[0],
        before=days[1],
        settings=settings,
        trainings=trainings,
        sort=sort or "started",
        is_ascending=order == "asc",
        limit=limit if is_paged else -1,
        offset=offset if is_paged else 0,
    )


def one_of(name: str, options: tuple[str, ...], faults: dict[str, str]) -> str:
    text = request.args.get(name, "")
    if text and text not in options:
        faults[name] = f"{name} must be one of {', '.join(options)}, got {say(text)}"
    return text


def day(name: str, faults: dict[str, str]) -> date | None:
    text = request.args.get(name, "")
    try:
        if not text or DAY.fullmatch(text):
            return date.fromisoformat(text) if text else None
    except ValueError:
        pass  # such as 2026-02-30
    faults[name] = f"{name} must be a day as YYYY-MM-DD, got {say(text)}"
    return None


def named_trainings(faults: dict[str, str]) -> list[Training]:
    texts = request.args.getlist("training")
    found = [read_address([text]) for text in texts]
    if len(texts) > MOST_NAMED:
        faults["training"] = f"training must be given at most {MOST_NAMED} times, got {len(texts)}"
    elif None in found:
        faults["training"] = f"training must be the address of one, <run>/<model>, got {say(texts[found.index(None)])}"
    return [training for training in found if training is not None]


def setting_from(name: str, text: str, faults: dict[str, str]) -> Any:
    """Return the value of a setting as a link has it: true, 0.01, adam, or 16,32 for a list."""
    key = name.removeprefix(PREFIX)
    value = parse_text(key, text)
    beside = {"kernels": [1] * len(value)} if key == "kernel_sizes" and isinstance(value, list) else {}  # as many
    try:
        return parse_config({key: value} | beside, PREFIX[:-1]).model_dump(mode="json")[key]
    except InvalidSettings as error:
        faults[name] = next(iter(error.fields.values()))
        return None


# What is answered


def listed(store: RunStore, asked: Question) -> dict[str, Any]:
    """Return a page of trainings, each with how it differs from the baseline, where one is chosen."""
    found = store.trainings.find(asked)
    rows = [row_of(row) for row in found.rows]
    baseline = store.trainings.baseline
    if baseline is not None:
        for against in store.trainings.find(Question(trainings=[baseline])).rows:
            other = singly(row_of(against))
            for row in rows:
                row["difference"] = differences(singly(row), other)
    parents = parents_of(store, rows)
    for row in rows:
        if row["parent"]:
            row["parent"] = row["parent"] | parents.get(row["parent"]["run"], {"name": None, "changes": None})
    return {"trainings": rows, "total": found.total, "differing": found.differing, "values": found.values}


def parents_of(store: RunStore, rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return of the runs that rows go on from, as far as they are there, what they are called by."""
    named = {row["parent"]["run"] for row in rows if row["parent"]}
    return {run["id"]: {"name": run["name"], "changes": changes_in(run)} for run in store.runs(named=named, limit=0)}


def changes_in(run: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values of the settings that differ between a run's two models."""
    both = [model["config"] for model in run["models"].values()]
    return {key: [config.get(key) for config in both] for key in run["differing"]}


def row_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a training as the table has it."""
    about, status = found["about"], found["status"]
    tested = status["test_accuracy"]
    best = [value for value in (found["best_val_accuracy"], status["val_accuracy"]) if value is not None]
    return {
        "training": f"{found['run']}/{found['model']}",
        "run": found["run"],
        "model": found["model"],
        "name": about["name"],
        "file": export.file_stem(found["run"], about["name"]),
        "started": about["started"],
        "state": status["state"],
        "epoch": rounded(status["epoch"]),
        "config": status["config"],
        "changes": changes_in(about),
        "best_val_accuracy": rounded(max(best, default=None)),
        "val_accuracy": rounded(status["val_accuracy"]),
        "test_accuracy": rounded(tested),
        "test_interval": None if tested is None else list(map(rounded, wilson_interval(tested, IMAGES["test"]))),
        "loss": rounded(status["loss"]),
        "val_loss": rounded(status["val_loss"]),
        "seconds": rounded(status["elapsed_seconds"]),
        "images_per_second": rounded(status["images_per_second"]),
        "parameters": status["parameters"],
        "device": found["device"],
        "parent": about["parent"],
        "pair": about["pair"],
        "note": found["note"],
    }


def grouped(store: RunStore, asked: Question) -> dict[str, Any]:
    """Return a page of groups of seeds, each with how it differs from the baseline's, where one is chosen."""
    found = store.trainings.groups(asked)
    baseline = store.trainings.baseline
    against = None if baseline is None else store.trainings.group_of(baseline)
    rows = [group_row(group) for group in found.rows]
    if against is not None:
        other = by_seed(against)
        for row, group in zip(rows, found.rows, strict=True):
            row["difference"] = differences(by_seed(group), other)
    return {"trainings": rows, "total": found.total, "differing": found.differing, "values": found.values}


def group_row(group: Mapping[str, Any]) -> dict[str, Any]:
    members = group["members"]
    means = {name: mean_of(list(values.values())) for name, values in by_seed(group, MEASURES).items()}
    about = {
        "setting": group["setting"],
        "seeds": sorted({member["seed"] for member in members}),
        "trainings": [f"{member['run']}/{member['model']}" for member in members][:MOST_A_PAGE],
        "count": len(members),
        "started": max(member["started"] for member in members),
        "states": dict(Counter(member["state"] for member in members)),
    }
    return about | {
        name: {"mean": rounded(mean), "interval": ends(interval), "n": n} for name, (mean, interval, n) in means.items()
    }


def by_seed(group: Mapping[str, Any], measures: tuple[str, ...] = COMPARED) -> dict[str, Values]:
    """Return each measure of a group's trainings that count, by seed, where it is known."""
    counted = [member for member in group["members"] if member["counts"]]
    return {name: {each["seed"]: each[name] for each in counted if each[name] is not None} for name in measures}


def singly(row: Mapping[str, Any]) -> dict[str, Values]:
    """Return each measure of one training, as `by_seed` does, of no seed that another could share."""
    return {name: {} if row[name] is None else {0: row[name]} for name in COMPARED}


def differences(values: Mapping[str, Values], others: Mapping[str, Values]) -> dict[str, Any]:
    """Return how far each measure lies above the baseline's."""
    found = {name: difference_of(values[name], others[name]) for name in COMPARED}
    return {
        name: {"value": rounded(value), "interval": ends(interval), "how": how, "n": n}
        for name, (value, interval, how, n) in found.items()
    }


def ends(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [rounded(end) for end in interval]
