"""Control: what is on now: start, pause, resume, stop, steer, fork, and continue a past run."""

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from config import MODEL_NAMES, ModelConfig
from history.log import Latest, MetricsLog, no_run
from history.records import new_run_id
from history.states import IllegalTransition
from history.store import NotSaved, Origin, RunKeeper, RunStore
from studies.branches import change_one
from studies.origins import continued_origins, forked_checkpoint, forked_origins, rest_of, stored_configs
from studies.refusals import Conflict, NotReady
from studies.workshop import Loading, Workshop

if TYPE_CHECKING:
    from train import Comparison

log = logging.getLogger(__name__)
COMMANDS = ("pause", "resume", "stop")
TEST_PATIENCE = 2.0  # seconds that whoever starts another run leaves to the test images of one that was stopped


class Control:
    """Holds the one comparison that is on, or was last. Safe to call from any thread."""

    def __init__(self, store: RunStore, loading: Loading) -> None:
        self.lock = threading.RLock()  # one start or command at a time
        self.latest = no_run()
        self.comparison: Comparison | None = None  # of the latest run, once one has been started here
        self._store = store
        self._loading = loading
        self.on_start: Callable[[Comparison], None] = lambda comparison: None  # called with each that has been started
        self._series: threading.Thread | None = None
        self._closed = False

    def start(self, configs: Mapping[str, ModelConfig], series: str | None = None, *, run: str | None = None) -> str:
        """Start a run, of a series and under an id if given, and return its id.

        Raises NotReady, or Conflict while one is on.
        """
        workshop = self.ready_for_a_start()
        with self.lock:
            self.check_free("stop it before you start another")
            metrics = MetricsLog(MODEL_NAMES, keep_unsaved=True, base=self._next_base())
            return self._begin(workshop, run or new_run_id(), configs, metrics, series=series)

    def continue_run(self, run: str, more_epochs: int = 0, series: str | None = None) -> str:
        """Go on with a stored run where its checkpoints were taken, for more epochs if wanted.

        Return the id under which it goes on: its own, or that of a new run where a model has finished and is to be
        trained further, as that one's result stays. Raises UnknownRun, NotReady, NotSaved, Conflict while one is
        on, where nothing is left to train, or where an unfinished pair of a series is not continued by its series,
        and TooManyEpochs.
        """
        workshop = self.ready_for_a_start()
        with self.lock:
            configs = stored_configs(self._store, run)
            self.check_free("stop it before you resume one")
            left = self._store.left_by(run)
            finished = {name for name, state in left.states.items() if state == "finished"}
            if series is None and finished != set(configs) and left.series:
                raise Conflict(f"Run {run} cannot be resumed by itself, it is a pair of repeats: continue the series")
            if finished and more_epochs:
                origins = continued_origins(left, workshop, run, configs, more_epochs)
                return self._branch(workshop, run, "continued", origins)
            if finished == set(configs):
                raise Conflict(f"Run {run} is finished: give more_epochs to train it further")
            rest = rest_of(left, workshop, run, configs, configs.keys() - finished, more_epochs)
            if more_epochs:
                self._check_saved()  # settings for more epochs would outlive the checkpoint that they begin at
            for name, checkpoint in rest.checkpoints.items():
                if checkpoint is not left.checkpoints[name]:  # an old one, which now tells the schedule of its rate
                    self._store.save_checkpoint(run, name, checkpoint)
            metrics = self._store.reopen(run, rest.steps, rest.rates, base=self._next_base())
            for name, detail in rest.details.items():
                metrics.note(name, "continued", detail, held_rate=rest.held_rates[name])
            return self._begin(workshop, run, rest.configs, metrics, rest.checkpoints, series, finished)

    def fork(self, settings: dict[str, Any]) -> str:
        """Start a new run whose model 1 goes on as it was, while model 2 is its copy with one setting changed.

        What is on is stopped, and stays in the history. Raises NotReady, NotSaved, Conflict where there is nothing to
        fork, model 1 has no checkpoint, or its copy would have nothing to train, InvalidSettings, and BadFork where not
        exactly one setting differs, or one that may not.
        """
        workshop = self._loading.require()
        with self.lock:
            self._check_open()
            self._check_no_series()
            run, comparison = self.latest.run, self.comparison
            if run is None or comparison is None:
                raise Conflict("Nothing to fork: no run has been started")
            trainer = comparison.trainers[MODEL_NAMES[0]]
            rate = trainer.life.learning_rate  # None of one that an earlier version has finished
            source = trainer.config if rate is None else trainer.config.model_copy(update={"learning_rate": rate})
            changed, config = change_one(source, settings)
            self._check_steps_remain(workshop, config)
            if not trainer.life.is_active:
                forked_checkpoint(self._store, run)
            self._check_saved()  # refused, as all above, while nothing has been stopped
            comparison.end()
            comparison.join()
            self._check_steps_remain(workshop, config)  # the last step may have been taken just then
            origins = forked_origins(
                self._store,
                workshop,
                run,
                trainer.config,
                source,
                config,
                changed,
                held_rate=self.latest.metrics.status(MODEL_NAMES[0]).held_rate,
            )
            return self._branch(workshop, run, "forked", origins)

    def steer(self, model: str, learning_rate: float) -> None:
        """Change a model's learning rate from its next step on.

        Raises Conflict unless it is running or paused with a batch left to take, and in a series, whose pairs must be
        as they were planned.
        """
        with self.lock:
            self._check_no_series()
            if self.comparison is None:
                raise Conflict("Nothing to steer: no run has been started")
            try:
                self.comparison.steer(model, learning_rate)
            except IllegalTransition as refusal:
                raise Conflict(str(refusal)) from None

    def command(self, command: str, model: str | None = None) -> None:
        """Give one of COMMANDS to one model or both. Raises Conflict where the state forbids it."""
        with self.lock:
            if self.comparison is None:
                raise Conflict(f"Nothing to {command}: no run has been started")
            give = {"pause": self.comparison.pause, "resume": self.comparison.resume, "stop": self.comparison.stop}
            try:
                give[command](model)
            except IllegalTransition as refusal:
                raise Conflict(str(refusal)) from None

    def delete_run(self, run: str) -> None:
        """Take a run out of the history, and off the display. Raises UnknownRun, or Conflict where it is still on."""
        with self.lock:
            if run != self.latest.run:
                self._store.delete(run)
                return
            self.check_free("stop it before you delete it")
            self._store.delete(run)
            self.comparison, self.latest = None, no_run(self._next_base())

    def close(self) -> None:
        """Stop what is training and wait for the batch that it is at; nothing can be started from then on."""
        with self.lock:
            self._closed = True
            if self.comparison is not None:
                if self.comparison.active:
                    log.info("ending after the batch that is on; a second Ctrl-C ends at once, without saving")
                self.comparison.end()
                self.comparison.join()

    # What others need as well; but for the first, `lock` must be held

    def ready_for_a_start(self) -> Workshop:
        """Return the workshop. Raises NotReady where it is not open; where opening it has failed, tries again."""
        self._loading.retry()
        return self._loading.require()

    def models_on(self, run: str) -> set[str]:
        """Return the models of a run whose threads have not ended: these may still hand over a checkpoint."""
        comparison = self.comparison
        if comparison is None or comparison.run_id != run:
            return set()
        return {name for name, trainer in comparison.trainers.items() if trainer.is_alive()}

    @property
    def is_series_on(self) -> bool:
        """Whether only a series may start runs now."""
        return self._series is not None and self._series.is_alive()

    def check_free(self, advice: str) -> None:
        """Raise Conflict while a comparison or a series is on; wait for the last batch of one that is not.

        One that was stopped has TEST_PATIENCE left to look at the test images.
        """
        self._check_open()
        self._check_no_series()
        if self.comparison is not None:
            if self.comparison.active and not self.comparison.stopping:
                raise Conflict(f"Run {self.latest.run} is still on: {advice}")
            if not self.comparison.join(TEST_PATIENCE):
                self.comparison.end()
                self.comparison.join()

    def reserve_for(self, series: threading.Thread) -> None:
        """Let only this thread start runs until it is released, or for as long as it lives."""
        self._series = series

    def release(self) -> None:
        """Let whoever asks start runs again."""
        self._series = None

    def _check_open(self) -> None:
        if self._closed:
            raise NotReady("The server is ending")

    def _check_no_series(self) -> None:
        if self.is_series_on and self._series is not threading.current_thread():
            raise Conflict("Repeats are running: stop them first")

    def _check_saved(self) -> None:
        """Save what waits. Raises NotSaved where it cannot be."""
        self._store.save()
        if self._store.problem:
            raise NotSaved(self._store.problem)

    def _check_steps_remain(self, workshop: Workshop, config: ModelConfig) -> None:
        """Raise Conflict where a copy of model 1 with these settings would have nothing to train."""
        status = self.latest.metrics.status(MODEL_NAMES[0])
        if status.step >= workshop.total_steps(config):
            trained = f"Model 1 has been trained for {status.epoch:.2f} epochs"
            raise Conflict(f"{trained}, and its copy for {config.epochs} has nothing left to train: fork it for more")

    def _next_base(self) -> int:
        """Return where the cursors of the next log begin, so that no older one is taken for one of its own."""
        return self.latest.metrics.newest + 1

    def _branch(self, workshop: Workshop, parent: str, kind: str, origins: Mapping[str, Origin]) -> str:
        """Start a new run that goes on from another, which stays as it is."""
        new = new_run_id()
        metrics = self._store.branch(parent, kind, new, origins, workshop.environment(), base=self._next_base())
        configs = {name: origin.config for name, origin in origins.items()}
        checkpoints = {name: origin.checkpoint for name, origin in origins.items()}
        return self._begin(workshop, new, configs, metrics, checkpoints)

    def _begin(
        self,
        workshop: Workshop,
        run: str,
        configs: Mapping[str, ModelConfig],
        metrics: MetricsLog,
        checkpoints: Mapping[str, bytes] | None = None,
        series: str | None = None,
        finished: Collection[str] = (),
    ) -> str:
        """Start the trainers of a new run, of a series if given, or of the rest of one, in which some have finished."""
        keeper = RunKeeper(self._store, run)
        comparison = workshop.prepare(run, configs, metrics, keeper, checkpoints, finished)
        self._store.record(run, metrics, configs, workshop.environment(), series)
        log.info("run %s: %s", run, "started" if checkpoints is None else "goes on from checkpoints")
        comparison.start()
        copy = MODEL_NAMES[1] if any(event.kind == "forked" for event in metrics.events(MODEL_NAMES[1])) else None
        self.comparison = comparison
        self.latest = Latest(run, metrics, workshop.describe_pairing(configs, copy=copy))
        self.on_start(comparison)
        return run
