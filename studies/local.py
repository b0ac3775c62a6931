"""Repeats: one comparison run again and again with new seeds, so that it tells of the settings and not of luck.

Both models of a pair have the same seed. Pairs run one after another in the same two slots.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial

from analysis.repeats import pair_state
from config import MODEL_NAMES, ModelConfig
from history.records import Status, new_run_id
from history.store import NotSaved, RunStore
from studies.control import Control
from studies.origins import require_not_reduced
from studies.plan import check_settings, new_seeds
from studies.refusals import Conflict

log = logging.getLogger(__name__)
POLL = 0.2  # seconds between two looks at the running pair
RETRY = 2.0  # seconds until what could not be saved is tried again


class Conductor(threading.Thread):
    """Starts the pairs of a series one after another until all are done, one was stopped, or it is told to end."""

    def __init__(
        self, pairs: int, begin: Callable[[int], bool], wait: Callable[[float], str], end: Callable[[str], None]
    ) -> None:
        """begin(number) starts a pair, or returns False where it needs no start; wait(seconds) returns the pair's
        state after at most so long; end(state) is told how the series ended.
        """
        super().__init__(name="repeats", daemon=False)
        self.pairs, self.number = pairs, 0  # how many there are, and which one is on
        self._begin, self._wait, self._end = begin, wait, end
        self._stopped = threading.Event()

    @property
    def stopping(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        state = "stopped"
        try:
            state = self._conduct()
        except Exception as error:  # the pairs that are done stay; the series can be continued
            log.error("the repeats have ended early: %s", error, exc_info=error)
        self._end(state)

    def _conduct(self) -> str:
        for number in range(self.pairs):
            self.number = number
            if self.stopping:
                return "stopped"
            if not self._begin(number):
                continue
            while (state := self._wait(POLL)) == "running":
                pass
            if state == "stopped":
                return "stopped"
        return "stopped" if self.stopping else "finished"


class Repeats:
    """Runs a series of pairs on this machine. Safe to call from any thread."""

    def __init__(self, store: RunStore, control: Control) -> None:
        self._store = store
        self._control = control
        self._conductor: Conductor | None = None  # of the series that is on
        self._closing = threading.Event()

    @property
    def progress(self) -> dict[str, int] | None:
        """Which pair of how many is on; None where no series is."""
        conductor = self._conductor
        if conductor is None or not conductor.is_alive():
            return None
        return {"pair": conductor.number + 1, "of": conductor.pairs}

    def start(self, configs: Mapping[str, ModelConfig], pairs: int) -> str:
        """Run a comparison so many times with seeds that no series has had; return the series' id.

        Raises NotReady, Conflict, NotSaved, or NothingToRepeat where the models differ in nothing but the seed.
        """
        workshop = self._control.ready_for_a_start()
        check_settings(configs, {name: workshop.precision(config) for name, config in configs.items()})
        with self._control.lock:
            self._control.check_free("stop it before you start repeats")
            series = new_run_id()
            used = self._store.series_seeds() | {config.seed for config in configs.values()}
            plan = {
                "seeds": new_seeds(configs[MODEL_NAMES[0]], pairs, used),
                "configs": {name: config.model_dump(mode="json") for name, config in configs.items()},
            }
            self._store.start_series(series, plan)
            self._conduct(series, pairs)
            return series

    def continue_series(self, series: str) -> None:
        """Go on with a series that was stopped or cut off. Raises UnknownRun, NotReady, or Conflict where it cannot."""
        self._control.ready_for_a_start()
        with self._control.lock:
            self._control.check_free("stop it before you continue repeats")
            known = self._store.series(series)
            if known["state"] == "finished":
                raise Conflict(f"Series {series} is finished")
            for run, models in known["runs"].items():
                self._check_can_go_on(run, models)
            self._store.set_series_state(series, "running")
            self._conduct(series, len(known["plan"]["seeds"]))

    def _check_can_go_on(self, run: str, models: Mapping[str, Status]) -> None:
        """Raise Conflict where a pair that is still to be trained has given up a checkpoint to make room."""
        if not has_ended(models):
            for model in (model for model, status in models.items() if status.state != "finished"):
                require_not_reduced(self._store.told(run, model), run, model)

    def stop(self) -> None:
        """End the series and its running pair. Raises Conflict where none is running."""
        with self._control.lock:
            if self._conductor is None or not self._conductor.is_alive():
                raise Conflict("No repeats are running")
            self._conductor.stop()
            if self._control.comparison is not None:
                self._control.comparison.end()

    def begin_no_more(self) -> None:
        """Begin no further pair."""
        self._closing.set()
        conductor = self._conductor
        if conductor is not None:
            conductor.stop()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the series has ended, if one is on, for at most so many seconds."""
        conductor = self._conductor
        if conductor is not None:
            conductor.join(timeout)

    def _conduct(self, series: str, pairs: int) -> None:
        begin, end = partial(self._begin_pair, series), partial(self._end, series)
        self._conductor = Conductor(pairs, begin, self._wait_for_pair, end)
        self._control.reserve_for(self._conductor)
        self._conductor.start()

    def _end(self, series: str, state: str) -> None:
        """Say how a series has ended, once that can be saved; whoever reads it can start another at once."""
        while True:
            try:
                with self._control.lock:
                    self._store.set_series_state(series, state)
                    self._conductor = None
                    self._control.release()
                    return
            except NotSaved as error:
                log.warning("the end of series %s waits: %s", series, error)
                if self._closing.wait(RETRY):
                    return

    def _begin_pair(self, series: str, number: int) -> bool:
        """Start or continue pair `number` of a series; return False where it has ended before, or was deleted."""
        with self._control.lock:
            if self._conductor is not None and self._conductor.stopping:
                return False
            self._control.check_free("the series waits for it")
            known = self._store.series(series)
            seed = known["plan"]["seeds"][number]
            runs = known["runs"].items()
            run, models = next(
                ((run, models) for run, models in runs if models[MODEL_NAMES[0]].config["seed"] == seed), (None, {})
            )
            if run is None and seed in known["deleted"]:
                return False
            if run is None:
                plain = {name: ModelConfig(**config) for name, config in known["plan"]["configs"].items()}
                configs = {name: config.model_copy(update={"seed": seed}) for name, config in plain.items()}
                self._control.start(configs, series)
            elif has_ended(models):
                return False
            else:
                self._control.continue_run(run, series=series)
            return True

    def _wait_for_pair(self, seconds: float) -> str:
        comparison = self._control.comparison
        assert comparison is not None, "a pair has begun"
        comparison.join(seconds)
        return pair_state(trainer.state for trainer in comparison.trainers.values())


def has_ended(models: Mapping[str, Status]) -> bool:
    """Return whether a pair of a series, by its models, is left as it is when the series goes on."""
    return pair_state(status.state for status in models.values()) in ("finished", "failed")
