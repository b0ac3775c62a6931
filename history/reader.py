"""The reader: past runs, and the one that is on, as they are on the disk with what still waits for it laid over.

A reading method writes nothing, and waits neither for a checkpoint's file nor for what is being saved; a checkpoint
that it finds damaged is left to the writer to set aside.
"""

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from config import ModelConfig, differing_settings
from history.checkpoints import CheckpointFiles, DamagedCheckpoint, step_of
from history.database import Database
from history.errors import UnknownRun
from history.log import MetricsLog
from history.records import SPLITS, Evaluation, Event, Insight, Point, Predictions, Status, rounded
from history.rows import Row, insight_of, insight_row, measured_of, predictions_of, status_of
from history.tables import EVALUATIONS, EVENTS, INSIGHTS, MODELS, POINTS, PREDICTIONS, Table
from history.waiting import Waiting

log = logging.getLogger(__name__)
ROWS_AT_ONCE = 10_000  # read in one go: some 10 ms in which nobody else can read
TABLES: dict[type[Any], Table] = {Point: POINTS, Evaluation: EVALUATIONS}


class RunReader:
    """What is known of all runs. Safe to call from any thread."""

    def __init__(self, database: Database, waiting: Waiting, checkpoints: CheckpointFiles) -> None:
        self.warning = database.warning  # what of the history was found damaged, or None
        self._database = database
        self._waiting = waiting
        self._checkpoints = checkpoints

    # Runs

    def runs(self, *, deleted: bool = False) -> list[dict[str, Any]]:
        """Return all runs, or those that are deleted and can be restored, newest first.

        Each has its id, name, start and parent, of which series it is which pair, which settings differ, and each
        model's last status.
        """
        waiting = self._waiting.statuses()
        rows = self._database.select(
            "SELECT runs.id, name, runs.started, parent, branch, runs.series, plan, model, config, status"
            " FROM runs JOIN models ON run = runs.id LEFT JOIN series ON series.id = runs.series"
            " WHERE deleted = ? ORDER BY runs.id DESC, model",
            (deleted,),
        )
        runs: dict[str, dict[str, Any]] = {}
        for run, name, started, parent, branch, series, plan, model, config, saved in rows:
            about = {"id": run, "name": name, "started": started, "parent": _parent(parent, branch)}
            entry = runs.setdefault(run, about | {"pair": _pair(series, plan, config), "models": {}})
            status = waiting[run, model].as_json() if (run, model) in waiting else json.loads(saved)
            entry["models"][model] = status | {"config": json.loads(config)}
        for entry in runs.values():
            first, *_, last = [model["config"] for model in entry["models"].values()] * 2
            entry["differing"] = differing_settings(first, last)
        return list(runs.values())

    def about(self, run: str) -> dict[str, Any]:
        """Return a run's name, start, environment, and the run that it goes on from. Raises UnknownRun."""
        rows = self._database.select(
            "SELECT name, started, environment, parent, branch FROM runs WHERE id = ? AND NOT deleted", (run,)
        )
        if not rows:
            raise UnknownRun(run)
        [(name, started, environment, *parent)] = rows
        return {
            "name": name,
            "started": started,
            "environment": json.loads(environment),
            "parent": _parent(*parent),
        }

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
        rows = self._database.select(MODELS.select(rest, names=("model", column)), (run,))
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
        query = TABLES[kind].select("WHERE run = ? AND model = ? AND step > ? AND step <= ? ORDER BY step LIMIT ?")
        after = -1
        while rows := self._database.select(query, (run, model, after, last_saved, ROWS_AT_ONCE)):
            after = rows[-1][0]
            yield from (measured_of(kind, row) for row in rows)
        yield from new

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
        rows = self._database.select(EVENTS.select("WHERE run = ? AND model = ?"), (run, model))
        found = {number: Event(*event) for number, *event in rows} | dict(news.events if news else ())
        return [found[number] for number in sorted(found)]

    def insights(self, run: str) -> dict[str, list[Insight]]:
        """Return what each model of a run showed of itself at its evaluations. Raises UnknownRun."""
        return {model: self._insights_of(run, model, status.step) for model, status in self.statuses(run).items()}

    def _insights_of(self, run: str, model: str, last_step: int) -> list[Insight]:
        waiting = [insight_row(each) for each in self._waiting.insights(run, model)]  # read as they will be saved
        saved = self._database.select(INSIGHTS.select("WHERE run = ? AND model = ?"), (run, model))
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
        saved = self._database.select(PREDICTIONS.select("WHERE run = ? AND model = ?"), (run, model))
        found = {each.split: each for each in (*(predictions_of(*row) for row in saved), *waiting)}
        return [found[split] for split in SPLITS if split in found]

    def checkpoints_at(self, run: str) -> dict[str, dict[str, Any] | None]:
        """Return the step and epoch of each model's latest checkpoint, as its header tells; None where there is none.

        Both are None where it tells nothing before it is read whole, as those of earlier versions. Raises UnknownRun.
        """
        found: dict[str, dict[str, Any] | None] = {}
        for model in self.statuses(run):
            head = self._waiting.checkpoint(run, model) or self._checkpoints.head(run, model)
            step = None if head is None else step_of(head)
            found[model] = None if head is None else {"step": step, "epoch": self._epoch_after(step, run, model)}
        return found

    def _epoch_after(self, step: int | None, run: str, model: str) -> float | None:
        news = self._waiting.news(run).get(model)
        waiting = [(point.epoch,) for point in (news.points if news else ()) if point.step == step]
        query = POINTS.select("WHERE run = ? AND model = ? AND step = ?", ("epoch",))
        [(epoch,)] = waiting[-1:] or self._database.select(query, (run, model, step)) or [(None,)]
        return rounded(epoch)  # type: ignore[no-any-return]

    def checkpoint(self, run: str, model: str) -> bytes | None:
        """Return the latest checkpoint of a model, or None where there is no sound one."""
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
            self.warning = f"The checkpoint of {model} of run {run} was damaged; it was set aside as {aside}."
            log.error("run %s: %s", run, self.warning)
            return None


def _pair(series: str | None, plan: str | None, config: str) -> dict[str, Any] | None:
    """Return which pair, from 1, of how many of a series a run of these settings is; None where it is of none."""
    seeds: list[int] = json.loads(plan).get("seeds", []) if plan else []
    seed = json.loads(config).get("seed")
    return {"series": series, "number": seeds.index(seed) + 1, "of": len(seeds)} if seed in seeds else None


def _parent(run: str | None, kind: str | None) -> dict[str, str | None] | None:
    """Return from which run a branch goes on, and whether it is "forked" or "continued"; None for any other run."""
    return {"run": run, "kind": kind} if run else None
