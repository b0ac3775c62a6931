"""Records: what is measured and kept, as plain data."""

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

INCOMPLETE = "One of the models of run {run} could not be read from the damaged history"
SPLITS = ("validation", "test")
MOST_FILTERS = 64  # of the first layer are kept: more do not fit a screen

Array = NDArray[Any]
Model = Mapping[str, Any]  # one model in the form of /api/metrics
Columns = Mapping[str, Sequence[Any]]  # its evaluations: one list a field


def new_run_id() -> str:
    """Return a name for a run that sorts by the time of its start: to the second, its microseconds, and at random."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond:05x}{secrets.token_hex(2)[1:]}"


class Training(NamedTuple):
    """One model of one run."""

    run: str
    model: str

    @property
    def address(self) -> str:
        return f"{self.run}/{self.model}"


class Layer(NamedTuple):
    """One layer at one evaluation.

    gradient_norm: Euclidean norm of the loss's gradient for the layer's weights, of the latest whole batch (an epoch's
    last one is smaller as a rule); weight_norm: that of the weights; dead_share: share of its units (kernels of a
    convolution) that stay 0 after ReLU for every one of some validation images, None for the output, which has no ReLU.
    """

    gradient_norm: float
    weight_norm: float
    dead_share: float | None


class Filters(NamedTuple):
    """A layer's kernels, at most MOST_FILTERS of all `kernels`: int8 (shown, side, side), 127 being `scale`."""

    kernels: int
    side: int
    scale: float
    weights: bytes

    @property
    def shown(self) -> int:
        return len(self.weights) // self.side**2


class Insight(NamedTuple):
    """What one model looked like inside after so many steps."""

    step: int
    epoch: float
    layers: dict[str, Layer]
    filters: Filters


def take_filters(weights: NDArray[Any]) -> Filters:
    """Return the first filters of weights (kernels, side, side)."""
    scale = float(np.abs(weights).max()) or 1.0
    shown = np.rint(weights[:MOST_FILTERS] / scale * 127).astype(np.int8)
    return Filters(len(weights), weights.shape[1], scale, shown.tobytes())


def label(model: str) -> str:
    """Return what people call a model: "Model 1" for "model1"."""
    return f"Model {model.removeprefix('model')}"


def known(value: Any) -> bool:
    """Whether a value is a number, and a finite one: null and NaN are not."""
    return isinstance(value, int | float) and math.isfinite(value)


class Point(NamedTuple):
    """One training step: loss of its batch, running accuracy (fraction), training seconds so far."""

    step: int
    epoch: float
    seconds: float
    loss: float
    accuracy: float


class Evaluation(NamedTuple):
    """Mean loss and accuracy (fraction) over the validation images after `step` steps.

    train_accuracy is the same over a sample of the training images, also in eval mode, at an epoch's end; else None.
    right_images: which validation images came out right, a bit each in their order, from the highest bit of the first
    byte on; None in histories of versions that did not keep it. It is never part of the JSON.
    """

    step: int
    epoch: float
    seconds: float
    loss: float
    accuracy: float
    train_accuracy: float | None = None
    right_images: bytes | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them: None for NaN and Inf."""
        return finite({name: getattr(self, name) for name in shown_fields(Evaluation)})


class Event(NamedTuple):
    """What happened to a trainer: a new state, or "steered", "forked" or "continued", with the change as `detail`.

    A state with a detail is the one in which a model was left, such as "interrupted"; it stands where the model went
    on, and tells what was lost, if anything. "undone" is what happened in what was lost.
    """

    kind: str
    step: int
    epoch: float
    seconds: float
    detail: str | None = None


class Recent(NamedTuple):
    """The losses of the latest steps up to `step`, every single one, over at most one epoch.

    epoch_means: mean loss of each of the last two whole epochs, weighted by images; NaN where steps are missing.
    """

    step: int
    losses: list[float]
    epoch_means: tuple[float, ...] = ()


class News(NamedTuple):
    """What the store has not been given yet of one model; events with their number in the run."""

    status: "Status"
    points: list[Point]
    evaluations: list[Evaluation]
    events: list[tuple[int, Event]]


@dataclass(frozen=True)
class Status:
    """A trainer's state at one moment; None where a value is not known yet. Seconds exclude pauses."""

    state: str
    error: str | None = None
    config: dict[str, Any] | None = None
    parameters: int | None = None
    precision: str | None = None
    threads: int | None = None
    steps_per_epoch: int | None = None
    total_steps: int | None = None
    plain_loss_from: int | None = None  # losses after this step are plain; None: of an earlier version
    learning_rate: float | None = None  # as set, before the schedule; a run can be steered
    held_rate: float | None = None  # at which a model has left its schedule; None of one that keeps it
    epoch: float = 0.0
    step: int = 0
    elapsed_seconds: float = 0.0
    eta_seconds: float | None = None
    loss: float | None = None
    accuracy: float | None = None
    val_loss: float | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None
    testing: bool = False  # it is to train no further batch, and looks at the test images
    next_evaluation_step: int | None = None  # after which the validation images are looked at next
    batches_per_second: float | None = None
    images_per_second: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them: None for NaN and Inf."""
        return finite(vars(self))


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with None in place of NaN and Inf, which JSON does not know."""
    return {name: finite_or_none(value) for name, value in values.items()}


def loss_of(point: Point) -> float:
    return point.loss


def shown_fields(kind: type[NamedTuple]) -> list[str]:
    """Return the fields of a point, an evaluation or an event that are numbers or words, and can be shown."""
    return [name for name in kind._fields if name != "right_images"]


def rounded(value: Any) -> Any:
    """Return a number with six significant digits, anything else as it is."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def finite_or_none(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Predictions(NamedTuple):
    """One model's probabilities (N, 10), float32, for all images of a split, after so many steps.

    truth: the images' classes (N,), by which the history knows what it may round (history/answers.py); it keeps none,
    so that answers that it has read have None.
    """

    split: str
    step: int
    epoch: float
    probabilities: Array
    truth: Array | None = None

    @property
    def answers(self) -> Array:
        """The most probable class of each image (N,)."""
        return self.probabilities.argmax(axis=1)
