"""The reader: past runs, and the one that is on, as they are on the disk with what still waits for it laid over.

A reading method writes nothing, and waits neither for a checkpoint's file nor for what is being saved; a checkpoint
that it finds damaged is left to the writer to set aside.
"""

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from config import ModelConfig, differing_settings
from history.checkpoints import NOTHING, WHOLE, CheckpointFiles, DamagedCheckpoint, Told, told_by
from history.database import Database
from history.errors import UnknownRun
from history.log import MetricsLog
from history.points import BETWEEN, points_of
from history.records import SPLITS, Evaluation, Event, Insight, Point, Predictions, Status, rounded
from history.rows import Row, insight_of, insight_row, measured_of, predictions_of, status_of
from history.soundness import check_rows, read_json
from history.tables import EVALUATIONS, EVENTS, INSIGHTS, MODELS, PREDICTIONS, Table
from history.waiting import Place, Waiting

log = logging.getLogger(__name__)
ROWS_AT_ONCE = 10_000  # read in one go: some 10 ms in which nobody else can read
CHUNKS_AT_ONCE = 2
LISTED = (  # a row for each model of the runs that are deleted or not, the newest, so many, and those named
    "SELECT chosen.id, name, chosen.started, parent, branch, chosen.series, plan, model, config, status FROM ("
    "SELECT * FROM runs WHERE deleted = ? AND id IN (SELECT value FROM json_each(?) UNION ALL"
    " SELECT id FROM (SELECT id FROM runs WHERE deleted = ? ORDER BY id DESC LIMIT ?))"
    ") AS chosen JOIN models ON run = chosen.id LEFT JOIN series ON series.id = chosen.series"
    " ORDER BY chosen.id DESC, model"
)


class RunReader:
    """What is known of all runs. Safe to call from any thread."""

    def __init__(self, database: Database, waiting: Waiting, checkpoints: CheckpointFiles) -> None:
        self._database = database
        self._waiting = waiting
        self._checkpoints = checkpoints

    @property
    def warning(self) -> str | None:
        """What of the history was found damaged, and what became of it; None where nothing was."""
        return self._database.warning

    # Runs

    def runs(
        self, *, deleted: bool = False, limit: int | None = None, named: Iterable[str] = ()
    ) -> list[dict[str, Any]]:
        """Return all runs, or those that are deleted and can be restored, newest first.

        limit: how many of the newest, all unless given; named: the ids of others that are wanted, where they are there.
        Each has its id, name, start and parent, of which series it is which pair, which settings differ, and each
        model's last status.
        """
        waiting = self._waiting.statuses()
        return self._database.read(
            LISTED,
            (deleted, json.dumps(sorted(set(named))), deleted, -1 if limit is None else limit),
            lambda rows: _listed(rows, waiting),
        )

    def about(self, run: str) -> dict[str, Any]:
        """Return a run's name, start, environment, the run that it goes on from, and notes. Raises UnknownRun."""
        found = self._database.read(
            "SELECT name, started, environment, parent, branch FROM runs WHERE id = ? AND NOT deleted",
            (run,),
            lambda rows: [(name, started, read_json(text), *parent) for name, started, text, *parent in rows],
        )
        if not found:
            raise UnknownRun(run)
        [(name, started, environment, *parent)] = found
        about = {"name": name, "started": started, "environment": environment, "parent": _parent(*parent)}
        notes = self._database.select(
            MODELS.select("WHERE run = ? AND note IS NOT NULL", names=("model", "note")), (run,)
        )
        return about | {"notes": dict(notes)}

    def run(self, run: str, windows: Sequence[int] = (), models: Collection[str] | None = None) -> MetricsLog:
        """Return one run as the log that its trainers left behind, with averages over `windows`.

        models: which of them, all unless given. Raises UnknownRun.
        """
        statuses = {model: one for model, one in self.statuses(run).items() if models is None or model in models}
        metrics = MetricsLog(statuses, windows=windows)
        self.fill(metrics, run, statuses)
        return metrics

    def fill(self, metrics: MetricsLog, run: str, statuses: Mapping[str, Status]) -> None:
        """Put into an empty log what each model has measured up to its status' step, and all that happened."""
        for model, status in statuses.items():
            for points in self.read(Point, run, model, status.step):
                metrics.publish(model, status, points)
            evaluations = list(self._rows(Evaluation, run, model, status.step))
            metrics.publish(model, status, [], evaluations, self.events(run, model), flush=True)

    # The models of a run

    def configs(self, run: str) -> dict[str, ModelConfig]:
        """Return the settings of a run's models. Raises UnknownRun, or pydantic's error where they are not ours."""
        return {model: ModelConfig.model_validate_json(config) for model, config in self._of_models(run, "config")}

    def statuses(self, run: str) -> dict[str, Status]:
        """Return the last status of each model. Raises UnknownRun."""
        news = self._waiting.news(run)
        return {
            model: news[model].status if model in news else status_of(saved)
            for model, saved in self._of_models(run, "status")
        }

    def states(self, run: str) -> dict[str, str]:
        """Return the last state of a run's models. Raises UnknownRun."""
        return {model: status.state for model, status in self.statuses(run).items()}

    def run_status(self, run: str, model: str) -> Status:
        """Return the last status of a model. Raises UnknownRun."""
        statuses = self.statuses(run)
        if model not in statuses:
            raise UnknownRun(run)
        return statuses[model]

    def _of_models(self, run: str, column: str) -> list[tuple[str, str]]:
        """Return each model's name and what stands in one of its columns. Raises UnknownRun."""
        rest = "JOIN runs ON run = id WHERE run = ? AND NOT deleted ORDER BY model"
        rows = self._database.read(MODELS.select(rest, names=("model", column)), (run,), _checked_json)
        if not rows:
            raise UnknownRun(run)
        return rows

    # What they have measured

    def read(self, kind: type[Row], run: str, model: str, last_step: int) -> Iterator[list[Row]]:
        """Yield every Point or Evaluation of a model up to a step, in portions of at most ROWS_AT_ONCE."""
        rows = self._rows(kind, run, model, last_step)
        while portion := list(islice(rows, ROWS_AT_ONCE)):
            yield portion

    def _rows(self, kind: type[Row], run: str, model: str, last_step: int) -> Iterator[Row]:
        news = self._waiting.news(run).get(model)
        all_new: Sequence[Any] = () if news is None else news.points if kind is Point else news.evaluations
        by_step = {row.step: row for row in all_new}  # of a run that goes on, the same steps may wait twice
        new = [by_step[step] for step in sorted(by_step) if step <= last_step]
        last_saved = new[0].step - 1 if new else last_step  # what waits comes after what is saved, or in its place
        saved = self._points if kind is Point else self._evaluations
        yield from saved(run, model, last_saved)  # type: ignore[misc]
        yield from new

    def _points(self, run: str, model: str, last_step: int) -> Iterator[Point]:
        """Yield a model's points on the disk up to a step, a few chunks at a time; they may be folded meanwhile."""
        after = -1
        while points := self._database.read(BETWEEN, (run, model, after, last_step, CHUNKS_AT_ONCE), points_of):
            yield from (point for point in points if after < point.step <= last_step)
            after = points[-1].step

    def _evaluations(self, run: str, model: str, last_step: int) -> Iterator[Evaluation]:
        """Yield a model's evaluations on the disk up to a step."""
        query = EVALUATIONS.select("WHERE run = ? AND model = ? AND step <= ? ORDER BY step")
        rows = self._rows_of(EVALUATIONS, query, (run, model, last_step))
        return (measured_of(Evaluation, row) for row in rows)

    def _rows_of(self, table: Table, query: str, values: Sequence[Any]) -> list[Any]:
        """Return the rows of a query for all columns of a table but the key, once they have been checked."""
        return self._database.read(query, values, lambda rows: check_rows(table, rows))

    def point_at(self, run: str, model: str, step: int) -> Point | None:
        """Return what a step has measured; None where that is not there."""
        waiting = self._waiting.news(run).get(model)
        saved = self._database.read(BETWEEN, (run, model, step - 1, step, 1), points_of)
        found = [point for point in (*saved, *(waiting.points if waiting else ())) if point.step == step]
        return found[-1] if found else None

    def evaluations(self, run: str) -> dict[str, dict[str, list[float]]]:
        """Return the epochs and accuracies of each model's evaluations. Raises UnknownRun."""
        found = {}
        for model, status in self.statuses(run).items():
            rows = list(self._rows(Evaluation, run, model, status.step))
            found[model] = {"epoch": [row.epoch for row in rows], "accuracy": [row.accuracy for row in rows]}
        return found

    def events(self, run: str, model: str) -> list[Event]:
        """Return all that happened to a model, in order."""
        news = self._waiting.news(run).get(model)
        rows = self._rows_of(EVENTS, EVENTS.select("WHERE run = ? AND model = ?"), (run, model))
        found = {number: Event(*event) for number, *event in rows} | dict(news.events if news else ())
        return [found[number] for number in sorted(found)]

    def insights(self, run: str) -> dict[str, list[Insight]]:
        """Return what each model of a run showed of itself at its evaluations. Raises UnknownRun."""
        return {model: self._insights_of(run, model, status.step) for model, status in self.statuses(run).items()}

    def _insights_of(self, run: str, model: str, last_step: int) -> list[Insight]:
        waiting = [insight_row(each) for each in self._waiting.insights(run, model)]  # read as they will be saved
        saved = self._rows_of(INSIGHTS, INSIGHTS.select("WHERE run = ? AND model = ?"), (run, model))
        rows = {row[0]: row for row in (*saved, *waiting)}
        return [insight_of(*row) for step, row in sorted(rows.items()) if step <= last_step]

    def predictions(self, run: str) -> dict[str, dict[str, Predictions]]:
        """Return each model's latest answers to each split, as far as it has given any. Raises UnknownRun.

        Those to the test images only where they are of the model as it is: one that has gone on has not been tested.
        """
        answers = {model: self._answers_of(run, model) for model in self.statuses(run)}
        steps = {model: status.step for model, status in self.statuses(run).items()}  # they may have gone on since
        return {
            model: {
                each.split: each
                for each in answers[model]
                if each.step == step or (each.step < step and each.split == "validation")
            }
            for model, step in steps.items()
        }

    def _answers_of(self, run: str, model: str) -> list[Predictions]:
        waiting = self._waiting.predictions(run, model)
        query = PREDICTIONS.select("WHERE run = ? AND model = ?")
        saved = self._database.read(query, (run, model), lambda rows: [predictions_of(*row) for row in rows])
        found = {each.split: each for each in (*saved, *waiting)}
        return [found[split] for split in SPLITS if split in found]

    def checkpoints_at(self, run: str) -> dict[str, dict[str, Any] | None]:
        """Return the step and epoch of each model's latest checkpoint, as its header tells; None where there was none.

        Both are None where it tells nothing before it is read whole, as those of earlier versions. `whole` says whether
        the model can go on from it, `weights` whether it can still be asked. Raises UnknownRun.
        """
        found: dict[str, dict[str, Any] | None] = {}
        for model in self.statuses(run):
            told = self.told(run, model)
            point = None if told is None or told.step is None else self.point_at(run, model, told.step)
            found[model] = told and {
                "step": told.step,
                "epoch": None if point is None else rounded(point.epoch),
                "whole": told.kept == WHOLE,
                "weights": told.kept != NOTHING,
            }
        return found

    def told(self, run: str, model: str) -> Told | None:
        """Return what a known model's latest checkpoint tells before it is read whole; None where there was none."""
        waiting = self._waiting.checkpoint(run, model)
        return self._checkpoints.told(run, model) if waiting is None else told_by(waiting)

    def checkpoint(self, run: str, model: str) -> bytes | None:
        """Return the latest checkpoint of a model, maybe reduced to its weights; None where there is no sound one."""
        waiting = self._waiting.checkpoint(run, model)
        known = self._database.select(MODELS.select("WHERE run = ? AND model = ?", names=MODELS.key), (run, model))
        if waiting is not None or not known:
            return waiting
        [place] = known  # the file is named after what the database holds
        try:
            return self._checkpoints.read(*place)
        except DamagedCheckpoint:
            self._waiting.add_damaged(*place)  # the writer sets it aside
            aside = self._checkpoints.path(*place).with_suffix(".damaged").name
            warning = f"The checkpoint of {model} of run {run} was damaged; it was set aside as {aside}."
            self._database.warning = warning
            log.error("run %s: %s", run, warning)
            return None


def _listed(rows: Iterable[Sequence[Any]], waiting: Mapping[Place, Status]) -> list[dict[str, Any]]:
    """Return rows of runs and their models as `runs` does. Raises Damaged."""
    runs: dict[str, dict[str, Any]] = {}
    for run, name, started, parent, branch, series, plan, model, config, saved in rows:
        settings, status = read_json(config), read_json(saved)
        if (run, model) in waiting:
            status = waiting[run, model].as_json()
        about = {"id": run, "name": name, "started": started, "parent": _parent(parent, branch)}
        entry = runs.setdefault(run, about | {"pair": _pair(series, plan, settings), "models": {}})
        entry["models"][model] = status | {"config": settings}
    for entry in runs.values():
        first, *_, last = [model["config"] for model in entry["models"].values()] * 2
        entry["differing"] = differing_settings(first, last)
    return list(runs.values())


def _checked_json(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return rows of a name and a JSON object as they are. Raises Damaged."""
    for _, text in rows:
        read_json(text)
    return rows


def _pair(series: str | None, plan: str | None, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return which pair, from 1, of how many of a series a run of these settings is; None where it is of none."""
    seeds: list[int] = read_json(plan).get("seeds", []) if plan else []
    seed = config.get("seed")
    return {"series": series, "number": seeds.index(seed) + 1, "of": len(seeds)} if seed in seeds else None


def _parent(run: str | None, kind: str | None) -> dict[str, str | None] | None:
    """Return from which run a branch goes on, and whether it is "forked" or "continued"; None for any other run."""
    return {"run": run, "kind": kind} if run else None
