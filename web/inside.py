"""Inside: what can be seen in the models of a run: their mistakes, their filters, a picture's way through them."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

from analysis.mistakes import Filter, class_accuracies, confusion, count_agreement, gallery, newest_common
from analysis.significance import significance as test_difference
from config import MODEL_NAMES
from history.records import Insight, Predictions
from history.store import RunStore
from web.pictures import sprite


class NothingThere(KeyError):
    """What was asked for does not exist; the message says what does."""


class Inside:
    """Answers from the store and, for pictures, from the data set. Safe to call from any thread."""

    def __init__(self, store: RunStore, dataset: Any, inspector: Any, live: Callable[[str, str], Any]) -> None:
        """live(run, model): the latest weights of a model that is in training here, or None."""
        self._store = store
        self._inspector = inspector
        self._live = live
        self._splits = {"validation": dataset.validation, "test": dataset.test}
        self._labels = {name: split.labels.cpu().numpy() for name, split in self._splits.items()}

    def mistakes(self, run: str | None, wanted: Filter) -> dict[str, Any]:
        """Return a page of images that both models have answered, as wanted. Raises UnknownRun."""
        pair = self._answers(run)
        found: dict[str, Any] = {"run": run} | _about(pair)
        if pair is None:
            return found | {"counts": None, "found": 0, "page": 0, "pages": 1, "images": []}
        labels = self._labels[pair[0].split]
        return found | {"counts": count_agreement(labels, *pair)} | gallery(labels, *pair, wanted)

    def classes(self, run: str | None) -> dict[str, Any]:
        """Return both models' confusion matrices and accuracies by class. Raises UnknownRun."""
        pair = self._answers(run)
        found: dict[str, Any] = {"run": run} | _about(pair)
        if pair is None:
            return found | {"counts": None, "confusion": None, "accuracy": None}
        labels = self._labels[pair[0].split]
        matrices = {name: confusion(labels, each.answers) for name, each in zip(MODEL_NAMES, pair, strict=True)}
        return found | {
            "counts": [sum(row) for row in matrices[MODEL_NAMES[0]]],
            "confusion": matrices,
            "accuracy": {name: class_accuracies(matrix) for name, matrix in matrices.items()},
        }

    def significance(self, run: str) -> dict[str, Any] | None:
        """Return McNemar's test on the test images; None until both models, as they are, have answered them."""
        pair = self._answers(run)
        if pair is None or pair[0].split != "test":
            return None
        return test_difference(count_agreement(self._labels["test"], *pair)) | _about(pair)

    def layers(self, run: str | None) -> dict[str, Any]:
        """Return the norms and dead units of each layer over a run's evaluations. Raises UnknownRun."""
        found = self._store.insights(run) if run else {}
        return {"run": run, "models": {name: as_columns(found.get(name, [])) for name in MODEL_NAMES}}

    def filters(self, run: str | None, model: str, step: int) -> dict[str, Any]:
        """Return a model's first-layer filters at an evaluation. Raises UnknownRun or NothingThere."""
        found = self._store.insights(run).get(model, []) if run else []
        known = next((each for each in found if each.step == step), None)
        if known is None:
            steps = ", ".join(str(each.step) for each in found[-5:]) or "none yet"
            raise NothingThere(f"No evaluation of {model} after step {step}; the latest are: {steps}")
        return {"model": model} | as_answer(known)

    def images(self, split: str, numbers: list[int]) -> bytes:
        """Return images of a split as a PNG sprite. Raises NothingThere."""
        return sprite(self._splits[split].images[self._checked(split, numbers)].cpu().numpy())

    def predict(self, run: str | None, pixels: list[int] | tuple[str, int], layers: bool) -> dict[str, Any]:
        """Return what both models make of 784 pixels, or of an image of a split. Raises UnknownRun or NothingThere."""
        if isinstance(pixels, list):
            image, label = self._splits["test"].images.new_tensor(pixels).view(28, 28).cpu(), None
        else:
            split, number = pixels
            self._checked(split, [number])
            image, label = self._splits[split].images[number].cpu(), int(self._labels[split][number])
        sources = {name: self._live(run, name) if run else None for name in MODEL_NAMES}
        return {
            "run": run,
            "label": label,
            "models": {
                name: self._inspector.look(source, image, layers=layers) if source else None
                for name, source in sources.items()
            },
        }

    def _answers(self, run: str | None) -> tuple[Predictions, Predictions] | None:
        found = self._store.predictions(run) if run else {}
        return newest_common(*(found.get(name, {}) for name in MODEL_NAMES))

    def _checked(self, split: str, numbers: list[int]) -> list[int]:
        count = len(self._labels[split])
        if any(number >= count for number in numbers):
            raise NothingThere(f"The {split} images are numbered 0 to {count - 1}, got {max(numbers)}")
        return numbers


def _about(pair: tuple[Predictions, Predictions] | None) -> dict[str, Any]:
    """Return which images were answered, and when."""
    if pair is None:
        return {"split": None, "at": dict.fromkeys(MODEL_NAMES)}
    return {
        "split": pair[0].split,
        "at": {name: {"step": each.step, "epoch": each.epoch} for name, each in zip(MODEL_NAMES, pair, strict=True)},
    }


FIGURES = ("gradient_norm", "weight_norm", "dead_share")


def as_columns(insights: Sequence[Insight]) -> dict[str, Any]:
    """Return all insights of a run as `/api/inside` answers: one list a layer and figure."""
    if not insights:
        return {"layers": [], "step": [], "epoch": []} | {figure: {} for figure in FIGURES} | {"filters": None}
    names, filters = list(insights[-1].layers), insights[-1].filters

    def series(figure: str) -> dict[str, list[float | None]]:
        return {name: [_shorten(getattr(each.layers[name], figure)) for each in insights] for name in names}

    dead = {name: values for name, values in series("dead_share").items() if any(value is not None for value in values)}
    return {
        "layers": names,
        "step": [each.step for each in insights],
        "epoch": [each.epoch for each in insights],
        "gradient_norm": series("gradient_norm"),
        "weight_norm": series("weight_norm"),
        "dead_share": dead,
        "filters": {"count": filters.kernels, "shown": filters.shown, "side": filters.side},
    }


def _shorten(value: float | None) -> float | None:
    """Return a value with as many digits as a chart can show."""
    return None if value is None else float(f"{value:.5g}")


def as_answer(insight: Insight) -> dict[str, Any]:
    """Return an insight's filters as `/api/filters` answers."""
    filters = insight.filters
    return {
        "step": insight.step,
        "epoch": insight.epoch,
        "shown": filters.shown,
        "side": filters.side,
        "scale": filters.scale,
        "weights": base64.b64encode(filters.weights).decode(),
    }
