"""The catalogue: one flat row for each training that the history lists, with a column for all that it is found by.

It is derived, and so it is never copied, salvaged or migrated: SQLite's own triggers keep it up in the transaction that
changes a training, so that no kill can leave the two apart, and where it is not as this version wants it, because there
is a new setting, say, it is made anew. Sorting, filtering and paging read nothing else: the tables hold JSON and blobs.
"""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from config import DEFAULTS, SCHEMA

NAME = "catalogue"
PREFIX = "config_"  # of the columns that hold settings
KINDS = {"array": "text", "number": "real", "integer": "integer", "boolean": "integer", "string": "text"}
SETTINGS: dict[str, str] = {key: SCHEMA["properties"][key]["type"] for key in SCHEMA["properties"]}  # with JSON's types


def _from_json(column: str, path: str) -> str:
    return f"CASE WHEN json_valid({column}) THEN json_extract({column}, '$.{path}') END"


def _setting(key: str) -> str:
    """Return the value of a setting; of one that was not known yet, what it came to."""
    if key == "kernel_sizes":  # its default follows from the kernels; every version has written it
        return _from_json("config", key)
    default = json.dumps(DEFAULTS.model_dump(mode="json")[key]).replace('"', "'").replace(" ", "")
    literal = {"true": "1", "false": "0"}.get(default, f"'{default}'" if SETTINGS[key] == "array" else default)
    return f"coalesce({_from_json('models.config', key)}, {literal})"


def _as_words(key: str) -> str:
    """Return a setting as people write it: lists as 4,8, numbers without needless digits."""
    value = _setting(key)
    forms = {
        "array": f"replace(replace({value}, '[', ''), ']', '')",
        "boolean": f"CASE {value} WHEN 1 THEN 'true' ELSE 'false' END",
        "number": f"printf('%.12g', {value})",
    }
    return forms.get(SETTINGS[key], value)


def _joined(parts: list[str]) -> str:
    return " || char(10) || ".join(f"coalesce({part}, '')" for part in parts)


BEST = (  # by the index alone; what lies beyond the latest step has been undone
    "(SELECT accuracy FROM evaluations WHERE evaluations.run = models.run AND evaluations.model = models.model"  # noqa: S608
    f" AND step <= {_from_json('status', 'step')} ORDER BY accuracy DESC LIMIT 1)"
)
DEVICE = _from_json("environment", "device")
LEFT_ITS_SETTINGS = ("steered", "forked")  # kinds of events from which on a training was not as its settings say
IS_OF_SETTING = (
    "NOT EXISTS (SELECT 1 FROM events WHERE events.run = models.run AND events.model = models.model"  # noqa: S608
    f" AND kind IN {LEFT_ITS_SETTINGS}) AND {_from_json('status', 'held_rate')} IS NULL"
)
OF_STATUS = {  # by name: SQLite's type, and what it is in words of `runs` and `models`
    "state": ("text", _from_json("status", "state")),
    "epoch": ("real", _from_json("status", "epoch")),
    "best_val_accuracy": ("real", BEST),
    "val_accuracy": ("real", _from_json("status", "val_accuracy")),
    "test_accuracy": ("real", _from_json("status", "test_accuracy")),
    "loss": ("real", _from_json("status", "loss")),
    "val_loss": ("real", _from_json("status", "val_loss")),
    "seconds": ("real", _from_json("status", "elapsed_seconds")),
    "images_per_second": ("real", _from_json("status", "images_per_second")),
    "parameters": ("integer", _from_json("status", "parameters")),
}
COLUMNS = {
    "run": ("text", "run"),
    "model": ("text", "model"),
    "started": ("text", "started"),
    **OF_STATUS,
    **{PREFIX + key: (KINDS[kind], _setting(key)) for key, kind in SETTINGS.items()},
    "name": ("text", "name"),
    "device": ("text", DEVICE),
    "parent": ("text", "parent"),
    # the settings without the seed: trainings that have the same text repeat each other
    "setting": ("text", f"json_array({', '.join(_setting(key) for key in SETTINGS if key != 'seed')})"),
    # whether they tell all of how it was trained
    "is_of_setting": ("integer", IS_OF_SETTING),
    "note": ("text", "note"),
    # all that is searched for words
    "words": (
        "text",
        _joined(
            ["run || '/' || model", "name", "note", DEVICE, *map(_as_words, SETTINGS)],
        ),
    ),
}
ROWS = f"{NAME}_rows"  # a view: what the catalogue is to hold
ADD = f"INSERT INTO {NAME} SELECT * FROM {ROWS}"  # noqa: S608 - of our own words alone, as all here
IS_NEW = "run = NEW.run AND model = NEW.model"
LOOK_AGAIN = f"UPDATE {NAME} SET is_of_setting = (SELECT is_of_setting FROM {ROWS} WHERE {IS_NEW}) WHERE {IS_NEW}"  # noqa: S608
OTHER_INDEXES = {"started": "started, run", "setting": f"setting, {PREFIX}seed"}  # the newest; groups of seeds
TRIGGERS = {  # without ON CONFLICT: the statement that fires one would have its own way
    "entered": ("INSERT ON models", f"{ADD} WHERE {IS_NEW}"),
    "described": (
        "UPDATE OF config, note ON models",
        f"DELETE FROM {NAME} WHERE {IS_NEW}; {ADD} WHERE {IS_NEW}",  # noqa: S608
    ),
    "trained": (
        "UPDATE OF status ON models",
        f"UPDATE {NAME} SET ({', '.join(OF_STATUS)}, is_of_setting) ="  # noqa: S608
        f" (SELECT {', '.join(OF_STATUS)}, is_of_setting FROM {ROWS} WHERE {IS_NEW}) WHERE {IS_NEW}",
    ),
    "evaluated": (
        "INSERT ON evaluations",
        f"UPDATE {NAME} SET best_val_accuracy ="  # noqa: S608
        f" (SELECT best_val_accuracy FROM {ROWS} WHERE {IS_NEW}) WHERE {IS_NEW}",
    ),
    "happened": ("INSERT ON events", LOOK_AGAIN),
    "undone": ("UPDATE OF kind ON events", LOOK_AGAIN),
    "left_out": ("DELETE ON models", f"DELETE FROM {NAME} WHERE run = OLD.run AND model = OLD.model"),  # noqa: S608
    "renamed": (
        "UPDATE OF started, environment, name, deleted, parent ON runs",
        f"DELETE FROM {NAME} WHERE run = NEW.id; {ADD} WHERE run = NEW.id",  # noqa: S608
    ),
}


def _statements() -> dict[str, str]:
    """Return what makes the catalogue, by the name that each part has in the file."""
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in COLUMNS.items())
    what = ", ".join(f"{what} AS {name}" for name, (_, what) in COLUMNS.items())
    indexes = {f"{PREFIX}{key}": f"{PREFIX}{key}" for key in SETTINGS} | OTHER_INDEXES
    return (
        {
            NAME: f"CREATE TABLE {NAME} ({columns}, UNIQUE (run, model))",
            ROWS: f"CREATE VIEW {ROWS} AS SELECT {what} FROM runs JOIN models ON run = id WHERE NOT deleted",  # noqa: S608
        }
        | {f"{NAME}_{name}": f"CREATE INDEX {NAME}_{name} ON {NAME} ({of})" for name, of in indexes.items()}
        | {
            f"{NAME}_{name}": f"CREATE TRIGGER {NAME}_{name} AFTER {when} BEGIN {what}; END"
            for name, (when, what) in TRIGGERS.items()
        }
    )


STATEMENTS = _statements()


def script(database: sqlite3.Connection) -> str:
    """Return the statements that make the catalogue as this version wants it, and fill it; none where it is so."""
    query = f"SELECT name, sql, type FROM sqlite_master WHERE name LIKE '{NAME}%' AND sql IS NOT NULL"  # noqa: S608
    found = database.execute(query).fetchall()
    if {name: sql for name, sql, _ in found} == STATEMENTS:
        return ""
    drop = [f"DROP {kind} {name}" for name, _, kind in found if kind != "index"]  # indexes go with their table
    last_the_table = sorted(drop, reverse=True)
    return "".join(f"{statement}; " for statement in (*last_the_table, *STATEMENTS.values(), ADD))


def is_in_step(database: sqlite3.Connection) -> bool:
    """Return whether every row says what the tables do, as of one moment: a flipped bit here shows nowhere else."""
    beyond = "EXISTS (SELECT * FROM {} EXCEPT SELECT * FROM {})"
    query = f"SELECT {beyond.format(ROWS, NAME)} OR {beyond.format(NAME, ROWS)}"
    [(is_apart,)] = database.execute(query).fetchall()
    return not is_apart


def fill_anew(database: sqlite3.Connection) -> None:
    """Take out every row, and enter what the tables say."""
    database.execute(f"DELETE FROM {NAME}")  # noqa: S608
    database.execute(ADD)


def value_of(key: str, value: Any) -> Any:
    """Return a setting, as JSON has it, as its column holds it."""
    return json.dumps(value, separators=(",", ":")) if SETTINGS[key] == "array" else value


def setting_of(key: str, held: Any) -> Any:
    """Return a setting as JSON has it, from what its column holds."""
    if SETTINGS[key] == "array":
        return json.loads(held)
    return bool(held) if SETTINGS[key] == "boolean" else held


def whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in their order, with what came to be where one was not known yet, as the catalogue counts."""
    return {key: value for key, value in DEFAULTS.model_dump(mode="json").items() if key != "kernel_sizes"} | dict(
        config
    )
