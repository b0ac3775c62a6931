"""Repeats: one comparison run again and again with new seeds, so that it tells of the settings and not of luck.

Both models of a pair have the same seed. Pairs run one after another in the same two slots.
"""

import functools
import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from config import MODEL_NAMES, ModelConfig
from measures import label

log = logging.getLogger(__name__)

FEWEST, MOST = 3, 20  # pairs
ENOUGH = 5  # pairs that a sentence about the settings needs (Bouthillier 2021)
RESAMPLES = 9999
CONFIDENCE = 0.95
Curve = Mapping[str, Sequence[float]]  # "epoch" and "accuracy" of one model's evaluations
POLL = 0.2  # seconds between two looks at the running pair


def new_seeds(config: ModelConfig, count: int) -> list[int]:
    """Return seeds for so many pairs, none of them the config's own: that run has been looked at already."""
    return [(config.seed + number) % 2**32 for number in range(1, count + 1)]


@functools.lru_cache(maxsize=8)  # asked for at every poll
def bootstrap_interval(deltas: tuple[float, ...]) -> tuple[float, float] | None:
    """Return the 95 % BCa bootstrap interval of the mean (Efron 1987; scipy); None of fewer than two values.

    Resampling is seeded, so that the same pairs always give the same interval.
    """
    if len(deltas) < 2:
        return None
    if len(set(deltas)) == 1:  # nothing to resample
        return deltas[0], deltas[0]
    from scipy import stats  # 0.5 s to import, and rarely wanted

    found = stats.bootstrap(
        (deltas,), np.mean, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, rng=0, vectorized=True
    ).confidence_interval
    low, high = float(found.low), float(found.high)
    return None if math.isnan(low) or math.isnan(high) else (low, high)


def result(deltas: tuple[float, ...]) -> dict[str, Any] | None:
    """Return what finished pairs tell of the settings; deltas: model 1's test accuracy minus model 2's, in pairs."""
    if not deltas:
        return None
    low, high = bootstrap_interval(deltas) or (None, None)
    wins1, wins2 = sum(delta > 0 for delta in deltas), sum(delta < 0 for delta in deltas)
    return {
        "pairs": len(deltas),
        "mean": fmean(deltas),
        "low": low,
        "high": high,
        "wins1": wins1,
        "wins2": wins2,
        "ties": len(deltas) - wins1 - wins2,
        "text": sentence(deltas, low, high),
    }


def sentence(deltas: Sequence[float], low: float | None, high: float | None) -> str:
    """Return in words whether one setting is better than the other, as far as so many pairs can tell."""
    count, mean = len(deltas), fmean(deltas)
    if count < ENOUGH or low is None or high is None:
        return f"{count} pair{'s' * (count > 1)} so far: at least {ENOUGH} are needed to speak of the settings."
    span = f"95 % interval {100 * low:+.2f} to {100 * high:+.2f}".replace("-", "−")
    if low <= 0 <= high:
        return (
            f"Too close to call: over {count} pairs of seeds the settings differ by {100 * abs(mean):.2f} points of "
            f"test accuracy on average, and that could be chance ({span}, model 1 minus model 2)."
        )
    better = label("model1" if mean > 0 else "model2")
    return (
        f"{better}'s settings are better: by {100 * abs(mean):.2f} points of test accuracy on average over "
        f"{count} pairs of seeds ({span}, model 1 minus model 2)."
    )


def mean_curves(curves: Sequence[Curve]) -> dict[str, list[float]]:
    """Return mean, lowest and highest accuracy of several runs' evaluations, at the epochs that all of them have."""
    accuracies: dict[float, list[float]] = {}
    for curve in curves:
        for epoch, accuracy in zip(curve["epoch"], curve["accuracy"], strict=True):
            accuracies.setdefault(epoch, []).append(accuracy)
    common = [epoch for epoch, values in sorted(accuracies.items()) if len(values) == len(curves)]
    return {
        "epoch": common,
        "mean": [fmean(accuracies[epoch]) for epoch in common],
        "low": [min(accuracies[epoch]) for epoch in common],
        "high": [max(accuracies[epoch]) for epoch in common],
    }


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


def pair_state(states: Iterable[str]) -> str:
    """Return the state of a pair: "running" while a model is on, else the first of these that one of them is in."""
    found = set(states)
    if found & {"running", "paused", "idle"}:
        return "running"
    return next(state for state in ("stopped", "interrupted", "failed", "finished") if state in found)


def describe(series: Mapping[str, Any], evaluations: Callable[[str], Mapping[str, Curve]]) -> dict[str, Any]:
    """Return a series as `/api/repeats` answers it; series: as the store has it; evaluations(run): of its models."""
    by_seed = {statuses[MODEL_NAMES[0]].config["seed"]: (run, statuses) for run, statuses in series["runs"].items()}
    pairs, done = [], []
    for seed in series["plan"]["seeds"]:
        run, statuses = by_seed.get(seed, (None, None))
        one, two = (statuses[model].test_accuracy if statuses else None for model in MODEL_NAMES)
        state = pair_state(status.state for status in statuses.values()) if statuses else "waiting"
        delta = one - two if state == "finished" and one is not None and two is not None else None
        if delta is not None:
            done.append(run)
        pairs.append({"run": run, "seed": seed, "state": state, "model1": one, "model2": two, "delta": delta})
    curves = [evaluations(run) for run in done]
    return {
        "series": series["id"],
        "state": series["state"],
        "started": series["started"],
        "wanted": len(pairs),
        "configs": series["plan"]["configs"],
        "pairs": pairs,
        "curves": {model: mean_curves([curve[model] for curve in curves]) for model in MODEL_NAMES},
        "result": result(tuple(pair["delta"] for pair in pairs if pair["delta"] is not None)),
    }


NO_SERIES: dict[str, Any] = {
    "series": None, "state": None, "started": None, "wanted": 0, "configs": None, "pairs": [], "result": None,
    "curves": {model: {"epoch": [], "mean": [], "low": [], "high": []} for model in MODEL_NAMES},
}  # fmt: skip
