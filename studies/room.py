"""Room: checkpoints of trainings that have ended are reduced to their weights, or dropped, when the user says so.

The user may also set a rule: that those of so many runs, the newest, are kept whole, and all others are reduced to
their weights, when the rule is set and after each run's end. What a kill has left undone is done then.

What trains, or may be gone on with by itself, is left alone. A checkpoint is read and reduced while everything else
goes on; it is changed only in a moment in which nobody can start anything from it.
"""

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from history.checkpoints import NOTHING, WEIGHTS, WHOLE
from history.records import Training
from history.states import UNENDED_STATES
from history.store import RunStore, UnknownRun
from studies.control import Control
from studies.refusals import Conflict
from studies.workshop import Loading, Workshop

if TYPE_CHECKING:
    from train import Comparison

log = logging.getLogger(__name__)
KEEP = (WEIGHTS, NOTHING)  # what can be left of a checkpoint
CHANGED = "another checkpoint has come: try again"


class Given(NamedTuple):
    """What has been given up: how many bytes, of how many trainings, and by address why others were left alone."""

    freed: int
    trainings: int
    refused: dict[str, str]


class Room:
    """Makes room on the disk, one request at a time. Safe to call from any thread."""

    def __init__(self, store: RunStore, control: Control, loading: Loading) -> None:
        self._store = store
        self._control = control
        self._loading = loading
        self._lock = threading.Lock()  # one request at a time; taken before the control's
        self._closing = threading.Event()
        self._after_runs = ThreadPoolExecutor(1, "room")  # neither trainers nor requests wait for what the rule asks
        control.on_start = self._wait_for_end

    def reduce(self, trainings: Iterable[Training], keep: str) -> Given:
        """Leave of trainings' checkpoints no more than their weights, or nothing. Raises NotReady for weights."""
        workshop = self._loading.require() if keep == WEIGHTS else None
        with self._lock:
            self._store.save()  # what has just ended may have a checkpoint that waits
            return self._reduce_all(trainings, workshop)

    def keep_whole(self, runs: int | None) -> int:
        """Set the rule, or with None have none; return how many bytes that has freed at once.

        Raises NotReady for a rule, or NotSaved.
        """
        workshop = None if runs is None else self._loading.require()
        with self._lock:
            self._store.room.set_keep_whole(runs)
            return 0 if workshop is None else self._apply_rule(workshop)

    def close(self) -> None:
        """Reduce no more, and wait until what is under way has come to its end. No run may be on."""
        self._closing.set()
        self._after_runs.shutdown()
        with self._lock:
            pass

    def _wait_for_end(self, comparison: "Comparison") -> None:
        self._after_runs.submit(self._after, comparison)

    def _after(self, comparison: "Comparison") -> None:
        """Wait until a run has ended, and do what the rule asks for then."""
        comparison.join()
        try:
            with self._lock:
                if (workshop := self._loading.workshop) is not None:
                    self._apply_rule(workshop)
        except Exception as error:  # the next run's end is soon enough
            log.error("checkpoints could not be reduced: %s", error, exc_info=error)

    def _apply_rule(self, workshop: Workshop) -> int:
        """Reduce what the rule does not keep whole, but for runs of which anything is on; return the bytes freed."""
        runs = self._store.room.keep_whole
        if runs is None or self._closing.is_set():
            return 0
        self._store.save()
        beyond = self._store.room.whole_beyond(runs)
        given = self._reduce_all((each for each in beyond if not self._control.models_on(each.run)), workshop)
        for address, why in given.refused.items():
            log.info("the checkpoint of %s stays whole: %s", address, why)
        return given.freed

    def _reduce_all(self, trainings: Iterable[Training], workshop: Workshop | None) -> Given:
        freed, done, refused = 0, 0, {}
        for training in trainings:
            if self._closing.is_set():
                refused[training.address] = "the server is ending"
                continue
            try:
                freed += self._give_up(training, workshop)
                done += 1
            except Conflict as refusal:
                refused[training.address] = str(refusal)
            except OSError as error:
                refused[training.address] = f"its file could not be changed: {error.strerror or error}"
        return Given(freed, done, refused)

    def _give_up(self, training: Training, workshop: Workshop | None) -> int:
        """Reduce a checkpoint to its weights, or without a workshop drop it; return how many bytes that has freed.

        Raises Conflict where that must not be or has no point, or OSError.
        """
        room = self._store.room
        with self._control.lock:
            self._require_ended(training)
            before = room.size(training)
            if workshop is None:
                if not room.drop(training):
                    raise Conflict(CHANGED)
                return before - room.size(training)
        mark, data = room.mark(training), self._reduced(training, workshop)
        if mark is None or data is None:
            return 0
        with self._control.lock:
            self._require_ended(training)
            if not room.replace(training, mark, data):
                raise Conflict(CHANGED)
            log.info("run %s: checkpoint of %s reduced to its weights", *training)
            return before - room.size(training)

    def _reduced(self, training: Training, workshop: Workshop) -> bytes | None:
        """Return a checkpoint reduced to its weights, None where there is nothing to reduce. Raises Conflict."""
        told = self._store.told(*training)
        if told is None or told.kept != WHOLE:
            return None
        whole = self._store.checkpoint(*training)
        if whole is None:
            raise Conflict("its checkpoint is damaged")
        try:
            return workshop.reduce(whole)
        except ValueError as error:
            raise Conflict(f"its checkpoint cannot be read: {error}") from None

    def _require_ended(self, training: Training) -> None:
        """Raise Conflict where a training's checkpoint may still be needed without anybody asking for it."""
        try:
            state = self._store.run_status(*training).state
        except UnknownRun:
            raise Conflict("it is not in the history") from None
        if state in UNENDED_STATES or training.model in self._control.models_on(training.run):
            raise Conflict("it is still on")
        if state != "finished" and self._control.is_series_on and self._store.series_of(training.run):
            raise Conflict("the repeats that are on may go on with it")
