"""The queue: comparisons in line, which are run one after another while nothing else is on.

What it promises: one starts only when nothing is on, be it a run that somebody has started or a series of repeats,
which may come in between; a comparison leaves the line when its run has been entered in the history, and not before; a
model that fails stops nothing. After a stop, and in a new process, the line waits until somebody says `go_on`.
"""

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from config import ModelConfig
from history.queue import Item
from history.records import new_run_id
from history.store import NotSaved, RunStore
from studies.control import Control
from studies.refusals import Conflict, NotReady

if TYPE_CHECKING:
    from train import Comparison

log = logging.getLogger(__name__)
MOST_IN_LINE = 20
POLL = 0.2  # seconds between two looks at what is on


class Queue:
    """The line and who runs it. Safe to call from any thread."""

    def __init__(self, store: RunStore, control: Control) -> None:
        self._line = store.queue
        self._control = control
        self._lock = threading.RLock()  # taken after the control's, never before
        self._runner: threading.Thread | None = None
        self._going = False
        self._ended: Comparison | None = None  # the latest whose end has been heeded
        self._closing = threading.Event()
        self.problem: str | None = None  # why it waits, where it is not for a stop
        self.revision = int(bool(self._line.items()))  # grows with every change; 0 while there was never anything

    @property
    def items(self) -> list[Item]:
        """Those in line, the next one first."""
        return self._line.items()

    @property
    def state(self) -> str:
        """Return "running" where the next one starts by itself, "waiting" where it waits for `go_on`, else "idle"."""
        return ("running" if self._going else "waiting") if self.items else "idle"

    def add(self, configs: Mapping[str, ModelConfig]) -> str:
        """Put a comparison at the end of the line, return its id, and unless others wait see to it that it starts.

        Raises NotReady, NotSaved, or Conflict where the line is full.
        """
        self._control.ready_for_a_start()
        with self._lock:
            before = len(self.items)
            if before >= MOST_IN_LINE:
                raise Conflict(f"The line is full: {MOST_IN_LINE} comparisons wait")
            item = self._line.add({name: config.model_dump(mode="json") for name, config in configs.items()})
            if not before:
                self._go()
            self.revision += 1
            return item

    def move(self, item: str, to: int) -> None:
        """Put one at another place, 0 being the next. Raises UnknownItem or NotSaved."""
        with self._lock:
            self._line.move(item, to)
            self.revision += 1

    def remove(self, item: str) -> None:
        """Take one out. Raises UnknownItem or NotSaved."""
        with self._lock:
            self._line.remove(item)
            self.revision += 1

    def go_on(self) -> None:
        """Run those that wait, once nothing else is on. Raises NotReady, or Conflict where there are none."""
        self._control.ready_for_a_start()
        with self._lock:
            if not self.items:
                raise Conflict("Nothing is in line")
            self._go()
            self.revision += 1

    def begin_no_more(self) -> None:
        """Begin nothing from now on; `join` waits until a beginning that is under way has come to its end."""
        self._closing.set()

    def join(self) -> None:
        runner = self._runner
        if runner is not None:
            runner.join()

    def _go(self) -> None:
        """Have a thread run the line; what has ended by now is no reason to wait. `_lock` must be held."""
        self.problem = None
        if self._going or self._closing.is_set():
            return
        comparison = self._control.comparison
        self._ended = None if comparison is None or comparison.active else comparison
        self._going = True
        self._runner = threading.Thread(target=self._run, name="queue")
        self._runner.start()

    def _run(self) -> None:
        try:
            while self._take_turn():
                self._closing.wait(POLL)
        except (NotReady, NotSaved) as refusal:
            self._wait_for_go_on(str(refusal))
        except Exception as error:  # the line stays as it is
            log.error("the line waits: %s", error, exc_info=error)
            self._wait_for_go_on(f"The next comparison could not be started: {error}")

    def _take_turn(self) -> bool:
        """Start the next one if it can be, and return whether there is more to do."""
        with self._control.lock, self._lock:
            if self._closing.is_set():
                return False
            self._line.take_out_entered()
            comparison = self._control.comparison
            if comparison is not None and comparison.active:
                return True
            if comparison is not None and comparison is not self._ended and was_stopped(comparison):
                self._wait_for_go_on()
                return False
            self._ended = comparison
            if not self.items:
                self._going = False
                return False
            try:
                self._control.check_free("the line waits for it")
            except Conflict:  # a series, between two of its pairs
                return True
            self._begin(self.items[0])
            return True

    def _begin(self, item: Item) -> None:
        """Start one. Raises NotReady, NotSaved, and ValueError for settings that this version does not know."""
        configs = {name: ModelConfig(**config) for name, config in item.configs.items()}
        run = new_run_id()
        self._line.claim(item.id, run)
        try:
            self._control.start(configs, run=run)
        except Exception:
            self._line.release(item.id)
            raise
        self.revision += 1
        self._line.take_out_entered()

    def _wait_for_go_on(self, problem: str | None = None) -> None:
        with self._lock:
            self._going, self.problem = False, problem
            self.revision += 1


def was_stopped(comparison: "Comparison") -> bool:
    """Return whether somebody has stopped a comparison: a model was, and none came to its end by itself."""
    states = {trainer.state for trainer in comparison.trainers.values()}
    return "stopped" in states and "finished" not in states
