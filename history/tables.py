"""Tables: the columns of the history's SQLite file, said once, as the newest version has them."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, get_args, get_type_hints

from history.records import Evaluation, Event, Point


class Table(NamedTuple):
    """A table's columns: `key` says to what a row belongs, `columns` what it tells, each with its type.

    Types are SQLite's; one that ends in "?" may also be NULL.
    """

    name: str
    key: tuple[str, ...]
    columns: dict[str, str]

    @property
    def names(self) -> list[str]:
        """All columns in order, those of the key first."""
        return [*self.key, *self.columns]

    @property
    def types(self) -> dict[str, str]:
        """All columns' types, those of the key, which are texts, too."""
        return dict.fromkeys(self.key, "text") | self.columns

    def insert(self, names: Sequence[str] = (), *, otherwise: str = "REPLACE") -> str:
        """Return the statement that enters a row of all columns, or of those named.

        otherwise: what is done where such a row is there, "REPLACE", "IGNORE" or "ABORT".
        """
        names = names or self.names
        places = ", ".join("?" * len(names))
        return f"INSERT OR {otherwise} INTO {self.name} ({', '.join(names)}) VALUES ({places})"  # noqa: S608 - no outside text

    def select(self, rest: str = "", names: Iterable[str] = ()) -> str:
        """Return the statement that reads the columns without the key, or those named; `rest` says of which rows."""
        return f"SELECT {', '.join(names or self.columns)} FROM {self.name} {rest}"  # noqa: S608 - no outside text

    def copy(self, rest: str) -> str:
        """Return the statement that enters rows, `rest` says which, once more under another key, given first."""
        key = ", ".join("?" * len(self.key))
        return f"INSERT INTO {self.name} ({', '.join(self.names)}) SELECT {key}, {', '.join(self.columns)} FROM {self.name} {rest}"  # noqa: S608, E501


def columns_of(kind: type[NamedTuple], null_for_nan: Collection[str] = ()) -> dict[str, str]:
    """Return the columns that hold a record's fields; SQLite keeps NaN as NULL."""
    types = {int: "integer", float: "real", str: "text", bytes: "blob"}
    columns = {}
    for name, hint in get_type_hints(kind).items():
        plain, *none = get_args(hint) or (hint,)
        columns[name] = types[plain] + "?" * bool(none or name in null_for_nan)
    return columns


RUNS = Table(
    "runs",
    ("id",),
    {
        "started": "text",
        "environment": "text",
        "name": "text?",
        "deleted": "integer",
        "series": "text?",
        "parent": "text?",
        "branch": "text?",
    },
)
OF_MODEL = ("run", "model")
MODELS = Table("models", OF_MODEL, {"config": "text", "status": "text", "note": "text?"})
MODEL_ENTERED = (*OF_MODEL, "config", "status")  # what is known of one from the beginning
SERIES = Table("series", ("id",), {"started": "text", "state": "text", "plan": "text"})
CHOICES = Table("choices", ("id",), {"value": "text"})  # for the history as a whole
MEASURED = ("loss", "accuracy")  # of a step or an evaluation, which may be NaN
QUEUE = Table("queue", ("id",), {"place": "integer", "added": "text", "configs": "text", "run": "text?"})
CHUNKS = Table("chunks", OF_MODEL, {"first": "integer", "last": "integer", "data": "blob"})  # of points
EVALUATIONS = Table("evaluations", OF_MODEL, columns_of(Evaluation, MEASURED))
EVENTS = Table("events", OF_MODEL, {"number": "integer"} | columns_of(Event))
INSIGHTS = Table(
    "insights",
    OF_MODEL,
    {"step": "integer", "epoch": "real", "layers": "text", "filters": "text", "weights": "blob"},
)
PREDICTIONS = Table(
    "predictions", OF_MODEL, {"number": "integer", "step": "integer", "epoch": "real", "answers": "blob"}
)
MEASUREMENTS = (CHUNKS, EVALUATIONS, EVENTS, INSIGHTS, PREDICTIONS)
OLD_POINTS = Table("points", OF_MODEL, columns_of(Point, MEASURED))  # up to version 6, a row each
OLD_PREDICTIONS = Table(
    "predictions", OF_MODEL, {"number": "integer", "step": "integer", "epoch": "real", "probabilities": "blob"}
)
TABLES = (RUNS, MODELS, SERIES, QUEUE, CHOICES, *MEASUREMENTS)
