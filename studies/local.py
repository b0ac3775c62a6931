"""Repeats: one comparison run again and again with new seeds, so that it tells of the settings and not of luck.

Both models of a pair have the same seed. Pairs run one after another in the same two slots.
"""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)
POLL = 0.2  # seconds between two looks at the running pair


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
