"""Monitor: what the server shows and steers: the loaded data set, the current comparison, the history.

Answers at once while torch and the data set are still being loaded in the background.
"""

import importlib
import logging
import secrets
import threading
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from config import DEFAULTS, MODEL_NAMES, PRESETS, SCHEMA, ModelConfig
from metrics import MetricsLog, Status
from store import RunStore
from verdict import IMAGES, compare

log = logging.getLogger(__name__)

MAX_EPOCHS: int = SCHEMA["properties"]["epochs"]["maximum"]
INCOMPLETE = "One of the models of run {run} could not be read from the damaged history"
COMMANDS = ("pause", "resume", "stop")


class NotReady(Exception):
    """Training cannot start yet, or not at all; the message says why."""


class Conflict(Exception):
    """The state of the comparison forbids what was asked."""


class TooManyEpochs(Exception):
    """No run may have as many epochs as were asked for; the message says how many."""


def add_epochs(config: ModelConfig, more: int) -> ModelConfig:
    """Return a config with more epochs. Raises TooManyEpochs."""
    if config.epochs + more > MAX_EPOCHS:
        raise TooManyEpochs(
            f"more_epochs must be at most {MAX_EPOCHS - config.epochs}, so that the run has {MAX_EPOCHS}, got {more}"
        )
    return config.model_copy(update={"epochs": config.epochs + more})


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
        self._model: ModuleType
        self._dataset: Any = None
        self._comparison: Any = None
        self._run: str | None = None
        self._paired: dict[str, Any] | None = None  # what the two models have in common by construction
        self._metrics = MetricsLog(MODEL_NAMES)
        for name in MODEL_NAMES:
            self._metrics.publish(name, Status("idle", config=DEFAULTS.model_dump(mode="json")))

    def load(self) -> None:
        """Import torch and read the data set; from then on training can start. Called in a thread."""
        try:
            data = importlib.import_module("data")
            self._model = importlib.import_module("model")
            self._train = importlib.import_module("train")
            self._dataset = data.load_fashion_mnist(self._data_dir).to(self._train.best_device())
            self._device = self._train.device_name()
            self._cores = self._train.available_cores()
            self._train.warm_up(self._dataset)
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
        return self._run

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
        }

    def describe(self, config: ModelConfig) -> dict[str, Any]:
        """Return a model's layers, parameters and FLOPs. Raises NotReady."""
        self._check_ready()
        return self._model.describe_model(config) | {"steps_per_epoch": self._steps_per_epoch(config)}

    def start(self, configs: dict[str, ModelConfig]) -> str:
        """Start a comparison and return its run id. Raises NotReady, or Conflict while one is running."""
        self._retry_loading()
        self._check_ready()
        with self._lock:
            self._check_free("stop it before you start another")
            metrics = MetricsLog(MODEL_NAMES, keep_unsaved=True, base=self._metrics.newest + 1)
            return self._begin(self._train.new_run_id(), configs, metrics)

    def resume_run(self, run: str, more_epochs: int) -> str:
        """Go on with a stored run where its checkpoints were taken, for more epochs if wanted; return its id.

        Raises UnknownRun, NotReady, Conflict while one is running or where nothing is left to train,
        and TooManyEpochs.
        """
        self._retry_loading()
        self._check_ready()
        with self._lock:
            try:
                configs = self.store.configs(run)
            except ValueError:  # written by another version
                raise Conflict(f"Run {run} has settings that this version does not know") from None
            if set(configs) != set(MODEL_NAMES):
                raise Conflict(INCOMPLETE.format(run=run))
            self._check_free("stop it before you resume one")
            configs = {name: add_epochs(config, more_epochs) for name, config in configs.items()}
            checkpoints, steps = self._read_checkpoints(run, configs)
            states = self.store.states(run)
            left = {
                name: self._steps_per_epoch(config) * config.epochs - steps[name] for name, config in configs.items()
            }
            if all(left[name] <= 0 and states[name] == "finished" for name in configs):
                raise Conflict(f"Run {run} is finished: give more_epochs to train it further")
            metrics = self.store.resume(run, steps, base=self._metrics.newest + 1)
            return self._begin(run, configs, metrics, checkpoints)

    def _begin(
        self,
        run: str,
        configs: dict[str, ModelConfig],
        metrics: MetricsLog,
        checkpoints: dict[str, bytes] | None = None,
    ) -> str:
        """Start the trainers of a new run, or of the rest of one."""
        comparison = self._train.Comparison(
            configs,
            self._dataset,
            metrics=metrics,
            run_id=run,
            checkpoints=checkpoints,
            save_checkpoint=partial(self.store.save_checkpoint, run),
        )
        self.store.record(run, metrics, configs, self._train.environment())
        log.info("run %s: %s", run, "started" if checkpoints is None else "resumed")
        comparison.start()
        self._comparison, self._run, self._metrics = comparison, run, metrics
        self._paired = self._model.describe_pairing(*configs.values())
        return run

    def _check_free(self, advice: str) -> None:
        """Raise Conflict while a comparison is on; wait for the last batch of one that is not."""
        if self._comparison is not None:
            if self._comparison.active:
                raise Conflict(f"Run {self._run} is still on: {advice}")
            self._comparison.join()

    def _read_checkpoints(self, run: str, configs: dict[str, ModelConfig]) -> tuple[dict[str, bytes], dict[str, int]]:
        """Return each model's checkpoint, where there is one, and the step at which it was taken, else 0."""
        found = {name: self.store.checkpoint(run, name) for name in configs}
        checkpoints = {name: data for name, data in found.items() if data is not None}
        return checkpoints, dict.fromkeys(configs, 0) | {
            name: self._train.checkpoint_step(data) for name, data in checkpoints.items()
        }

    def _steps_per_epoch(self, config: ModelConfig) -> int:
        return -(-len(self._dataset.train) // config.batch_size)

    def one_run(self, run: str) -> dict[str, Any]:
        """Return a stored run in the form of `metrics`, and its name, start and environment. Raises UnknownRun."""
        about = self.store.about(run)
        newest, models = self.store.run(run).view()
        return {"boot": self.boot, "run": run, "next": newest, "reset": True} | about | {"models": models}

    def delete_run(self, run: str) -> None:
        """Take a run out of the history. Raises UnknownRun, or Conflict where it is still on."""
        with self._lock:
            if run == self._run and self._comparison is not None and self._comparison.active:
                raise Conflict(f"Run {run} is still on: stop it before you delete it")
            self.store.delete(run)

    def command(self, command: str, model: str | None = None) -> None:
        """Pause, resume or stop one model or both. Raises Conflict where the state forbids it."""
        with self._lock:
            if self._comparison is None:
                raise Conflict(f"Nothing to {command}: no run has been started")
            try:
                getattr(self._comparison, command)(model)
            except self._train.IllegalTransition as refusal:
                raise Conflict(str(refusal)) from None

    def metrics(self, boot: str | None, run: str | None, since: int | None) -> dict[str, Any]:
        """Return what is new since a cursor, or everything where the cursor is not of this boot and run."""
        current, metrics = self._run, self._metrics
        ours = boot == self.boot and (run or None) == current
        cursor = since if ours and since is not None and metrics.base <= since <= metrics.newest else None
        newest, models = metrics.view(cursor or 0)
        news: dict[str, Any] = {"boot": self.boot, "run": current, "next": newest, "reset": cursor is None}
        if self.store.problem:
            news["problem"] = self.store.problem
        if cursor is None and self.store.warning:
            news["warning"] = self.store.warning
        if cursor is None:
            news["paired"] = self._paired
        return news | {"models": models}

    def comparison(self, axis: str, run: str | None = None) -> dict[str, Any]:
        """Return who leads at an equal place on an axis and every figure of both models, of this run or a stored one.

        Raises UnknownRun. Figures that need PyTorch are None until it has loaded.
        """
        live, metrics = self._run, self._metrics
        stored = run is not None and run != live
        if stored:
            metrics = self.store.run(str(run))
            if set(metrics.models) != set(MODEL_NAMES):
                raise Conflict(INCOMPLETE.format(run=run))
        models = {name: metrics.summary(name) for name in metrics.models}
        ready = self._status == "ready"
        return compare(
            run if stored else live,
            models,
            axis,
            {name: metrics.recent(name) for name in models},
            {name: self._cost(model) if ready else None for name, model in models.items()},
            images={split: len(getattr(self._dataset, split)) for split in IMAGES} if ready else IMAGES,
            gpu_use=self._train.gpu_use() if ready and not stored else None,
        )

    def _cost(self, model: dict[str, Any]) -> dict[str, Any]:
        """Return a model's description, its memory counted in the precision that the run has found."""
        config = ModelConfig(**model["config"])
        if model["precision"]:
            config = config.model_copy(update={"precision": model["precision"]})
        return self._model.describe_model(config)

    def close(self) -> None:
        """Stop what is training, wait for it, save it."""
        with self._lock:
            if self._comparison is not None:
                if self._comparison.active:
                    self._comparison.stop()
                self._comparison.join(timeout=4)
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
