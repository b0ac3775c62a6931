"""Monitor: what the server shows and steers: the loaded data set, the current comparison, the history.

Answers at once while torch and the data set are still being loaded in the background.
"""

import importlib
import logging
import secrets
import threading
from collections.abc import Collection
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from analysis.entrant import IMAGES
from analysis.repeats import pair_state, pairs_and_result
from analysis.verdict import compare
from config import DEFAULTS, MODEL_NAMES, SCHEMA, ModelConfig
from data import CLASS_NAMES
from history.events import say_fork
from history.log import Latest, MetricsLog, no_run
from history.records import INCOMPLETE, new_run_id
from history.smoothing import SMOOTHING_IMAGES
from history.states import IllegalTransition
from history.store import Origin, RunKeeper, RunStore, UnknownRun
from studies import local as repeats
from studies.branches import FORKABLE, add_epochs, change_one, hold_rate, say_change, say_more
from studies.control import Conflict, NotReady
from studies.plan import check_settings, new_seeds
from studies.presets import PRESETS
from web.inside import Inside
from web.repeats import NO_SERIES, describe

log = logging.getLogger(__name__)


class Monitor:
    """Safe to call from any thread. close() ends the training and saves it."""

    def __init__(self, data_dir: Path, store: RunStore) -> None:
        self.boot = secrets.token_hex(4)
        self.store = store
        self._data_dir = data_dir
        self._lock = threading.Lock()  # one start or command at a time
        self._status = "loading"
        self._problem: str | None = None
        self._device: str | None = None
        self._cores: int | None = None
        self._train: ModuleType
        self._machine: ModuleType
        self._inspection: ModuleType
        self._costs: ModuleType
        self._checkpoints: ModuleType
        self._dataset: Any = None
        self._inspector: Any = None
        self._inside: Inside | None = None
        self._past: dict[str, Any] = {}  # each model's inspector.Source that was last read from a past run
        self._comparison: Any = None
        self._conductor: repeats.Conductor | None = None
        self._closed = False
        self._latest = no_run()

    def load(self) -> None:
        """Import torch and read the data set; from then on training can start. Called in a thread."""
        try:
            images = importlib.import_module("training.images")
            self._costs = importlib.import_module("training.cost")
            self._train = importlib.import_module("train")
            self._checkpoints = importlib.import_module("training.checkpoint")
            self._machine = importlib.import_module("training.machine")
            self._dataset = images.load_fashion_mnist(self._data_dir).to(self._machine.best_device())
            self._device = self._machine.device_name()
            self._cores = self._machine.available_cores()
            self._train.warm_up(self._dataset)
            self._inspection = importlib.import_module("training.predictor")
            self._inspector = self._inspection.Inspector()
            self._inside = Inside(self.store, self._dataset, self._inspector, self._weights)
        except Exception as error:
            log.error("cannot train: %s", error, exc_info=type(error).__module__ != "data")
            self._problem = str(error) or type(error).__name__
            self._status = "failed"
        else:
            self._problem = None
            self._status = "ready"
            log.info("ready to train on %s", self._device)

    @property
    def status(self) -> str:
        return self._status

    @property
    def run(self) -> str | None:
        """The id of the latest run, or None before the first."""
        return self._latest.run

    def config(self) -> dict[str, Any]:
        """Return what the page needs to draw its form, and how far loading has come."""
        return {
            "boot": self.boot,
            "status": self._status,
            "problem": self._problem,
            "warning": self.store.warning,
            "device": self._device,
            "schema": SCHEMA,
            "defaults": DEFAULTS.model_dump(mode="json"),
            "presets": [preset.model_dump(mode="json") for preset in PRESETS],
            "cores": self._cores,
            "images": IMAGES,
            "classes": CLASS_NAMES,
            "forkable": FORKABLE,
        }

    def describe(self, config: ModelConfig) -> dict[str, Any]:
        """Return a model's layers, parameters and FLOPs. Raises NotReady."""
        self._check_ready()
        return self._costs.describe_model(config) | {"steps_per_epoch": self._steps_per_epoch(config)}

    def start(self, configs: dict[str, ModelConfig]) -> str:
        """Start a comparison and return its run id. Raises NotReady, or Conflict while one is running."""
        self._retry_loading()
        self._check_ready()
        with self._lock:
            self._check_free("stop it before you start another")
            return self._begin_new(configs)

    def resume_run(self, run: str, more_epochs: int) -> str:
        """Go on with a stored run where its checkpoints were taken, for more epochs if wanted.

        Return the id under which it goes on: its own, or that of a new run where a model has finished and is to be
        trained further, as that one's result stays. Raises UnknownRun, NotReady, NotSaved, Conflict while one is
        running, where nothing is left to train or for an unfinished pair of a series, and TooManyEpochs.
        """
        self._retry_loading()
        self._check_ready()
        with self._lock:
            return self._resume(run, more_epochs)

    def _resume(self, run: str, more_epochs: int = 0, series: str | None = None) -> str:
        configs = self._configs(run)
        self._check_free("stop it before you resume one")
        finished = {name for name, state in self.store.states(run).items() if state == "finished"}
        if series is None and finished != set(configs) and self.store.series_of(run):
            raise Conflict(f"Run {run} cannot be resumed by itself, it is a pair of repeats: continue the series")
        longer = {name: add_epochs(config, more_epochs) for name, config in configs.items()}
        if finished and more_epochs:
            return self._branch(run, "continued", self._continued(run, configs, longer, finished))
        if finished == set(configs):
            raise Conflict(f"Run {run} is finished: give more_epochs to train it further")
        checkpoints, steps = self._read_checkpoints(run, configs.keys() - finished)
        rates = {name: self._rate(configs[name], checkpoints.get(name)) for name in steps}
        metrics = self.store.resume(run, steps, rates, base=self._latest.metrics.newest + 1)
        if more_epochs:
            for name, config in configs.items():
                jump = self._jump(config, longer[name], steps[name], rates[name])
                metrics.note(name, "continued", say_more(config, longer[name], jump))
        return self._begin(run, longer, metrics, checkpoints, series, finished)

    def _continued(
        self, run: str, configs: dict[str, ModelConfig], longer: dict[str, ModelConfig], finished: set[str]
    ) -> dict[str, Origin]:
        """Return from where both models go on in a new run. Raises Conflict where one has no checkpoint."""
        origins = {}
        for name, config in configs.items():
            checkpoint, with_more = self._checkpoint(run, name), longer[name]
            if name in finished and config.schedule != "constant":  # it has run its course
                with_more = hold_rate(with_more, self._checkpoints.last_learning_rate(checkpoint))
                checkpoint = self._checkpoints.fork_checkpoint(checkpoint, "learning_rate")
            step = self._checkpoints.checkpoint_step(checkpoint)
            jump = self._jump(config, with_more, step, self._rate(config, checkpoint))
            origins[name] = Origin(name, step, checkpoint, with_more, say_more(config, with_more, jump))
        return origins

    def _branch(self, parent: str, kind: str, origins: dict[str, Origin]) -> str:
        """Start a new run that goes on from another, which stays as it is."""
        new, base = new_run_id(), self._latest.metrics.newest + 1
        metrics = self.store.branch(parent, kind, new, origins, self._machine.environment(), base=base)
        configs = {name: origin.config for name, origin in origins.items()}
        return self._begin(new, configs, metrics, {name: origin.checkpoint for name, origin in origins.items()})

    def _checkpoint(self, run: str, model: str) -> bytes:
        checkpoint = self.store.checkpoint(run, model)
        if checkpoint is None:
            raise Conflict(f"{model.replace('model', 'Model ')} of run {run} has no checkpoint to go on from")
        return checkpoint

    def _configs(self, run: str) -> dict[str, ModelConfig]:
        """Return the settings of both models of a stored run. Raises UnknownRun, or Conflict where it has no two."""
        try:
            configs = self.store.configs(run)
        except ValueError:  # written by another version
            raise Conflict(f"Run {run} has settings that this version does not know") from None
        if set(configs) != set(MODEL_NAMES):
            raise Conflict(INCOMPLETE.format(run=run))
        return configs

    def fork(self, settings: dict[str, Any]) -> str:
        """Start a new run whose model 1 goes on as it was, while model 2 is its copy with one setting changed.

        What is on is stopped, and stays in the history. Raises NotReady, Conflict where there is nothing to fork
        or the new run would have nothing to train, InvalidSettings, and BadFork where not exactly one setting
        differs, or one that may not.
        """
        self._check_ready()
        with self._lock:
            self._check_open()
            self._check_no_series()
            run = self._latest.run
            if run is None or self._comparison is None:
                raise Conflict("Nothing to fork: no run has been started")
            source = self._forkable_config()
            changed, config = change_one(source, settings)
            self._check_left(source, config)
            self._comparison.end()
            self._comparison.join()
            self._check_left(source, config)  # it may have finished just then
            checkpoint = self._checkpoint(run, MODEL_NAMES[0])
            step = self._checkpoints.checkpoint_step(checkpoint)
            detail = say_fork(say_change(source, config, changed))
            copy = self._checkpoints.fork_checkpoint(checkpoint, changed)
            origins = (
                Origin(MODEL_NAMES[0], step, checkpoint, source, None),
                Origin(MODEL_NAMES[0], step, copy, config, detail),
            )
            return self._branch(run, "forked", dict(zip(MODEL_NAMES, origins, strict=True)))

    def _check_left(self, source: ModelConfig, config: ModelConfig) -> None:
        """Raise Conflict where a copy of model 1 with other settings would have nothing to train."""
        if self._comparison.trainers[MODEL_NAMES[0]].state == "finished" and config.epochs <= source.epochs:
            raise Conflict("Model 1 has finished, and its copy has nothing left to train: fork it for more epochs")

    def _forkable_config(self) -> ModelConfig:
        """Return model 1's settings as they are now: with the learning rate that it has been steered to."""
        config: ModelConfig = self._comparison.trainers[MODEL_NAMES[0]].config
        rate = self._latest.metrics.status(MODEL_NAMES[0]).learning_rate
        return config if rate is None else config.model_copy(update={"learning_rate": rate})

    def steer(self, model: str, learning_rate: float) -> None:
        """Change a model's learning rate from its next step on.

        Raises Conflict unless it is running or paused, and in a series, whose pairs must be as they were planned.
        """
        with self._lock:
            self._check_no_series()
            if self._comparison is None:
                raise Conflict("Nothing to steer: no run has been started")
            try:
                self._comparison.steer(model, learning_rate)
            except IllegalTransition as refusal:
                raise Conflict(str(refusal)) from None

    # Repeats

    def repeat(self, configs: dict[str, ModelConfig], pairs: int) -> str:
        """Run a comparison so many times with seeds that no series has had; return the series' id.

        Raises NotReady, Conflict, or repeats.NothingToRepeat where the models differ in nothing but the seed.
        """
        check_settings(configs)
        self._retry_loading()
        self._check_ready()
        with self._lock:
            self._check_free("stop it before you start repeats")
            series = new_run_id()
            used = self.store.series_seeds() | {config.seed for config in configs.values()}
            plan = {
                "seeds": new_seeds(configs[MODEL_NAMES[0]], pairs, used),
                "configs": {name: config.model_dump(mode="json") for name, config in configs.items()},
            }
            self.store.start_series(series, plan)
            self._conduct(series, pairs)
            return series

    def continue_repeats(self, series: str) -> None:
        """Go on with a series that was stopped or cut off. Raises UnknownRun, NotReady, or Conflict where it cannot."""
        self._retry_loading()
        self._check_ready()
        with self._lock:
            self._check_free("stop it before you continue repeats")
            known = self.store.series(series)
            if known["state"] == "finished":
                raise Conflict(f"Series {series} is finished")
            self.store.set_series_state(series, "running")
            self._conduct(series, len(known["plan"]["seeds"]))

    def stop_repeats(self) -> None:
        """End the series and its running pair. Raises Conflict where none is running."""
        with self._lock:
            if self._conductor is None or not self._conductor.is_alive():
                raise Conflict("No repeats are running")
            self._conductor.stop()
            if self._comparison is not None:
                self._comparison.end()

    def repeats(self, series: str | None) -> dict[str, Any]:
        """Return a series, the latest unless named, as `/api/repeats` answers it. Raises UnknownRun for a name."""
        try:
            found = self.store.series(series)
        except UnknownRun:
            if series is not None:
                raise
            return NO_SERIES
        return describe(found, self.store.evaluations)

    def _conduct(self, series: str, pairs: int) -> None:
        end = partial(self.store.set_series_state, series)
        self._conductor = repeats.Conductor(pairs, partial(self._begin_pair, series), self._wait_for_pair, end)
        self._conductor.start()

    def _begin_pair(self, series: str, number: int) -> bool:
        """Start or resume pair `number` of a series; return False where it has ended before, or was deleted."""
        with self._lock:
            if self._closed or (self._conductor is not None and self._conductor.stopping):
                return False
            self._check_free("the series waits for it")
            known = self.store.series(series)
            seed = known["plan"]["seeds"][number]
            runs = known["runs"].items()
            run, states = next(
                ((run, models) for run, models in runs if models[MODEL_NAMES[0]].config["seed"] == seed), (None, {})
            )
            if run is None and seed in known["deleted"]:
                return False
            if run is None:
                plain = {name: ModelConfig(**config) for name, config in known["plan"]["configs"].items()}
                configs = {name: config.model_copy(update={"seed": seed}) for name, config in plain.items()}
                self._begin_new(configs, series)
            elif pair_state(status.state for status in states.values()) in ("finished", "failed"):
                return False
            else:
                self._resume(run, series=series)
            return True

    def _wait_for_pair(self, seconds: float) -> str:
        self._comparison.join(seconds)
        return pair_state(trainer.state for trainer in self._comparison.trainers.values())

    def _check_open(self) -> None:
        if self._closed:
            raise NotReady("The server is ending")

    def _check_no_series(self) -> None:
        conductor = self._conductor
        if conductor is not None and conductor.is_alive() and conductor is not threading.current_thread():
            raise Conflict("Repeats are running: stop them first")

    def _begin_new(self, configs: dict[str, ModelConfig], series: str | None = None) -> str:
        metrics = MetricsLog(MODEL_NAMES, keep_unsaved=True, base=self._latest.metrics.newest + 1)
        return self._begin(new_run_id(), configs, metrics, series=series)

    def _begin(
        self,
        run: str,
        configs: dict[str, ModelConfig],
        metrics: MetricsLog,
        checkpoints: dict[str, bytes] | None = None,
        series: str | None = None,
        finished: Collection[str] = (),
    ) -> str:
        """Start the trainers of a new run, of a series if given, or of the rest of one, in which some have finished."""
        comparison = self._train.Comparison(
            configs,
            self._dataset,
            metrics=metrics,
            run_id=run,
            checkpoints=checkpoints,
            keeper=RunKeeper(self.store, run),
            finished=finished,
        )
        self.store.record(run, metrics, configs, self._machine.environment(), series)
        log.info("run %s: %s", run, "started" if checkpoints is None else "goes on from checkpoints")
        comparison.start()
        self._past.clear()  # a resumed run's checkpoints will change
        self._comparison = comparison
        forked = any(event.kind == "forked" for event in metrics.events(MODEL_NAMES[1]))
        self._latest = Latest(run, metrics, self._costs.describe_pairing(*configs.values(), forked=forked))
        return run

    def _check_free(self, advice: str) -> None:
        """Raise Conflict while a comparison or a series is on; wait for the last batch of one that is not."""
        self._check_open()
        self._check_no_series()
        if self._comparison is not None:
            if self._comparison.active:
                raise Conflict(f"Run {self._latest.run} is still on: {advice}")
            self._comparison.join()

    def _read_checkpoints(self, run: str, models: Collection[str]) -> tuple[dict[str, bytes], dict[str, int]]:
        """Return each model's checkpoint, where there is one, and the step at which it was taken, else 0."""
        found = {name: self.store.checkpoint(run, name) for name in models}
        checkpoints = {name: data for name, data in found.items() if data is not None}
        return checkpoints, dict.fromkeys(models, 0) | {
            name: self._checkpoints.checkpoint_step(data) for name, data in checkpoints.items()
        }

    def _rate(self, config: ModelConfig, checkpoint: bytes | None) -> float:
        """Return the learning rate, before the schedule, with which a model goes on from a checkpoint or its start."""
        rate = None if checkpoint is None else self._checkpoints.checkpoint_rate(checkpoint)
        return config.learning_rate if rate is None else float(rate)

    def _jump(self, config: ModelConfig, longer: ModelConfig, step: int, peak: float) -> tuple[float, float]:
        """Return the learning rate of a model's next step before and after its schedule was stretched."""
        before = self._checkpoints.next_learning_rate(config, step, self._steps_per_epoch(config), peak)
        return before, self._checkpoints.next_learning_rate(longer, step, self._steps_per_epoch(longer), peak)

    def _steps_per_epoch(self, config: ModelConfig) -> int:
        return config.batches(len(self._dataset.train)).steps

    def one_run(self, run: str, smoothing: int = SMOOTHING_IMAGES) -> dict[str, Any]:
        """Return a stored run in the form of `metrics`, and its name, start and environment. Raises UnknownRun."""
        about = self.store.about(run)
        newest, models = self.store.run(run, windows=(smoothing,) if smoothing else ()).view(smoothing=smoothing)
        return {"boot": self.boot, "run": run, "next": newest, "reset": True} | about | {"models": models}

    def delete_run(self, run: str) -> None:
        """Take a run out of the history, and off the display. Raises UnknownRun, or Conflict where it is still on."""
        with self._lock:
            if run != self._latest.run:
                self.store.delete(run)
                return
            self._check_free("stop it before you delete it")
            self.store.delete(run)
            self._comparison, self._latest = None, no_run(self._latest.metrics.newest + 1)

    def command(self, command: str, model: str | None = None) -> None:
        """Pause, resume or stop one model or both. Raises Conflict where the state forbids it."""
        with self._lock:
            if self._comparison is None:
                raise Conflict(f"Nothing to {command}: no run has been started")
            try:
                getattr(self._comparison, command)(model)
            except IllegalTransition as refusal:
                raise Conflict(str(refusal)) from None

    def metrics(
        self, boot: str | None, run: str | None, since: int | None, smoothing: int = SMOOTHING_IMAGES
    ) -> dict[str, Any]:
        """Return what is new since a cursor, or everything where the cursor is not of this boot and run.

        smoothing: over how many images the curves are smoothed, one of smoothing.WINDOWS, or 0 for not at all.
        """
        current, metrics, paired = self._latest
        ours = boot == self.boot and (run or None) == current
        cursor = since if ours and since is not None and metrics.base <= since <= metrics.newest else None
        newest, models = metrics.view(cursor or 0, smoothing)
        news: dict[str, Any] = {"boot": self.boot, "run": current, "next": newest, "reset": cursor is None}
        if self.store.problem:
            news["problem"] = self.store.problem
        if cursor is None and self.store.warning:
            news["warning"] = self.store.warning
        if cursor is None:
            news["paired"] = paired
        if models and self._conductor is not None and self._conductor.is_alive():
            news["repeat"] = {"pair": self._conductor.number + 1, "of": self._conductor.pairs}
        return news | {"models": models}

    def comparison(self, axis: str, run: str | None = None) -> dict[str, Any]:
        """Return who leads at an equal place on an axis and every figure of both models, of this run or a stored one.

        Raises UnknownRun. Figures that need PyTorch are None until it has loaded.
        """
        live, metrics, _ = self._latest
        stored = run is not None and run != live
        if stored:
            metrics = self.store.run(str(run))
            if set(metrics.models) != set(MODEL_NAMES):
                raise Conflict(INCOMPLETE.format(run=run))
        models = {name: metrics.summary(name) for name in metrics.models}
        ready = self._status == "ready"
        shown = run if stored else live
        return compare(
            shown,
            models,
            axis,
            {name: metrics.recent(name) for name in models},
            {name: self._cost(model) if ready else None for name, model in models.items()},
            images={split: len(getattr(self._dataset, split)) for split in IMAGES} if ready else IMAGES,
            gpu_use=self._machine.gpu_use() if ready and not stored else None,
            significance=self._significance(shown, models),
            right_images={name: [each.right_images for each in metrics.evaluations(name)] for name in models},
            events={name: metrics.events(name) for name in models},
            repeats=self._repeats_of(shown),
            is_loaded=ready,
        )

    def _repeats_of(self, run: str | None) -> Any:
        """Return the result of the series that a run belongs to or whose settings it has, None where there is none."""
        series = self.store.series_like(run) if run else None
        return pairs_and_result(self.store.series(series))[1] if series else None

    def _significance(self, run: str | None, models: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
        """Return whether the difference on the test images is real; None until both models have answered them."""
        finished = all(model["state"] == "finished" for model in models.values())
        return self._inside.significance(run) if run and finished and self._inside else None

    @property
    def inside(self) -> Inside:
        """What can be seen in the models. Raises NotReady."""
        self._check_ready()
        assert self._inside is not None
        return self._inside

    def _weights(self, run: str, model: str) -> Any:
        """Return an inspector.Source of a model's latest weights, or None where there are none yet.

        Those of its latest evaluation where it has trained here, else those of its checkpoint. Raises UnknownRun.
        """
        config = self._configs(run)[model]
        is_past, known = run != self._latest.run, self._past.get(model)
        if is_past and known is not None and known.run == run:  # asked many times while someone draws
            return known
        status = self.store.run_status(run, model)
        snapshot = None if is_past or self._comparison is None else self._comparison.trainers[model].snapshot
        if snapshot is None:
            checkpoint = self.store.checkpoint(run, model)
            if checkpoint is None:
                return None
            step, weights = self._checkpoints.read_weights(checkpoint)
            epoch = config.batches(len(self._dataset.train)).epoch(step)
        else:
            step, epoch, weights = snapshot
        source = self._inspection.Source(run, model, step, epoch, config, status.precision or "float32", weights)
        if is_past:
            self._past[model] = source
        return source

    def _cost(self, model: dict[str, Any]) -> dict[str, Any]:
        """Return a model's description, its memory counted in the precision that the run has found."""
        config = ModelConfig(**model["config"])
        if model["precision"]:
            config = config.model_copy(update={"precision": model["precision"]})
        return self._costs.describe_model(config)

    def close(self) -> None:
        """Stop what is training, wait for the batch that it is at, save it."""
        if self._conductor is not None:
            self._conductor.stop()
        with self._lock:
            self._closed = True
            if self._comparison is not None:
                if self._comparison.active:
                    log.info("ending after the batch that is on; a second Ctrl-C ends at once, without saving")
                self._comparison.end()
                self._comparison.join()
        if self._conductor is not None:
            self._conductor.join()
        if self._inspector is not None:
            self._inspector.close()
        self.store.close()

    def _retry_loading(self) -> None:
        """Where loading has failed, say why, and load again in the background: what was missing may be there by now."""
        with self._lock:
            if self._status == "failed":
                self._status = "loading"
                threading.Thread(target=self.load, name="loader", daemon=True).start()
                raise NotReady(str(self._problem))

    def _check_ready(self) -> None:
        if self._status == "loading":
            raise NotReady("Still loading PyTorch and the data set; this takes some seconds")
        if self._status == "failed":
            raise NotReady(str(self._problem))
