"""The pair: what both models of a run last answered to the same images."""

from typing import Any

from analysis.mistakes import count_agreement, newest_common
from analysis.significance import significance as test_difference
from config import MODEL_NAMES
from history.records import Predictions
from history.store import RunStore
from studies.workshop import Workshop

Pair = tuple[Predictions, Predictions]


def significance(store: RunStore, workshop: Workshop, run: str) -> dict[str, Any] | None:
    """Return McNemar's test on the test images; None until both models, as they are, have answered them.

    Raises UnknownRun.
    """
    pair = answers_of(store, run)
    if pair is None or pair[0].split != "test":
        return None
    return test_difference(count_agreement(workshop.labels["test"], *pair)) | when_answered(pair)


def answers_of(store: RunStore, run: str | None) -> Pair | None:
    """Return what both models of a run last answered to the same images; None where there is no such thing yet."""
    found = store.predictions(run) if run else {}
    return newest_common(*(found.get(name, {}) for name in MODEL_NAMES))


def when_answered(pair: Pair | None) -> dict[str, Any]:
    """Return which images were answered, and when."""
    if pair is None:
        return {"split": None, "at": dict.fromkeys(MODEL_NAMES)}
    return {
        "split": pair[0].split,
        "at": {name: {"step": each.step, "epoch": each.epoch} for name, each in zip(MODEL_NAMES, pair, strict=True)},
    }
