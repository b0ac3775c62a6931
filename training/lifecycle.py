"""Lifecycle: which state a trainer is in, what is public of it, and how its thread heeds a pause and a stop."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from history.log import MetricsLog
from history.records import Evaluation, Event, Point
from history.states import ACTIVE_STATES, LEGAL_MOVES, IllegalTransition

log = logging.getLogger(__name__)
STEERABLE = " or ".join(sorted(ACTIVE_STATES))


class Stopped(Exception):
    """A stop has come: the run ends where it is."""


class Lifecycle:
    """A trainer's state and status, which change and are published as one. Any thread may call."""

    def __init__(self, name: str, metrics: MetricsLog, *, run_id: str, state: str = "idle") -> None:
        self.name = name
        self.run_id = run_id  # for the log
        self.lock = threading.RLock()  # hold it where nothing may come between two changes
        self.may_train = threading.Event()
        self._metrics = metrics
        self._wanted_learning_rate: float | None = None
        self._is_at_last_batch = False
        self._is_stopping = False
        self._state = state
        self._status = metrics.status(name)  # what an earlier part of the run has left, if any

    @property
    def state(self) -> str:
        return self._state

    @property
    def is_active(self) -> bool:
        return self._state in ACTIVE_STATES

    @property
    def is_stopping(self) -> bool:
        """Whether a stop has come and the thread has yet to end: it looks at the test images before that."""
        return self._is_stopping and self.is_active

    def start(self) -> None:
        """Let the thread train. Raises IllegalTransition unless idle."""
        self.move_to("running", source="idle")
        self.may_train.set()

    def pause(self) -> None:
        """Hold the thread before its next batch. Raises IllegalTransition unless running."""
        with self.lock:  # state and event change as one: a stop in between would be waited for forever
            self._refuse_while_stopping("paused", "running")
            self.move_to("paused")
            self.may_train.clear()

    def resume(self) -> None:
        """Let the thread go on where pause held it. Raises IllegalTransition unless paused."""
        with self.lock:
            self._refuse_while_stopping("running", "paused")
            self.move_to("running", source="paused")
            self.may_train.set()

    def stop(self) -> None:
        """Have the thread train no further batch, look at the test images, and be stopped.

        A second stop leaves the test images out. Raises IllegalTransition once it is over.
        """
        with self.lock:
            if self._is_stopping or not self.is_active:
                self._stop_now()
            else:
                self._is_stopping = True
                self.announce(testing=True)
                self.may_train.set()

    def end(self) -> None:
        """Be stopped at once, without a look at the test images; what has ended, be it this very moment, stays so."""
        with self.lock:
            if self.is_active:
                self._stop_now()

    def _stop_now(self) -> None:
        self.move_to("stopped", testing=False)
        self.may_train.set()

    def _refuse_while_stopping(self, wanted: str, source: str) -> None:
        if self.is_stopping:
            raise IllegalTransition(self.name, "stopping", wanted, source)

    def steer(self, learning_rate: float) -> None:
        """Want another learning rate. Raises IllegalTransition once no batch is left to take."""
        with self.lock:
            self._refuse_while_stopping("steered", STEERABLE)
            if not self.is_active:
                raise IllegalTransition(self.name, self._state, "steered", STEERABLE)
            if self._is_at_last_batch or self._status.step == self._status.total_steps:
                raise IllegalTransition(self.name, "past its last batch", "steered", "still training")
            self._wanted_learning_rate = learning_rate

    @property
    def learning_rate(self) -> float | None:
        """What the next step takes, before the schedule: the rate that is wanted, else that of the status."""
        return self._status.learning_rate if self._wanted_learning_rate is None else self._wanted_learning_rate

    def take_wanted_learning_rate(self, *, is_last: bool) -> float | None:
        """Return the learning rate that is wanted, once; None where none is. Before each step, and after a stop.

        is_last: there is no step after this one, so none is taken any more.
        """
        if self._wanted_learning_rate is None and not is_last:
            return None
        with self.lock:
            self._is_at_last_batch = is_last
            wanted, self._wanted_learning_rate = self._wanted_learning_rate, None
        return wanted

    def heed_stop(self) -> None:
        """Raise Stopped where a stop has come. Called between batches, of an evaluation too."""
        if self._is_stopping:
            raise Stopped
        self.heed_end()

    def heed_end(self) -> None:
        """Raise Stopped where it is to end at once. Called between the batches of the last look, at the test images."""
        if self._state == "stopped":
            raise Stopped

    def move_to(self, state: str, *, source: str | None = None, **news: Any) -> None:
        """Change the state, the only place that does; with `source`, only from there.

        Raises IllegalTransition where the table or the source forbids it.
        """
        with self.lock:
            if state not in LEGAL_MOVES[self._state] or source not in (None, self._state):
                raise IllegalTransition(self.name, self._state, state, source)
            self._state = state
            status = self._status
            event = Event(state, status.step, status.epoch, news.get("elapsed_seconds", status.elapsed_seconds))
            self.announce(events=[event], **news)
        log.info("run %s: %s %s at step %d", self.run_id, self.name, state, status.step)

    def announce(
        self,
        *,
        points: Sequence[Point] = (),
        evaluations: Sequence[Evaluation] = (),
        events: Sequence[Event] = (),
        flush: bool = False,
        **news: Any,
    ) -> None:
        """Make a change public: new values of the status, and what was measured or happened with it."""
        with self.lock:
            self._status = replace(self._status, state=self._state, **news)
            self._metrics.publish(self.name, self._status, points, evaluations, events, flush=flush)
