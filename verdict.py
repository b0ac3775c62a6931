"""Verdict: what `/api/comparison` answers: who leads, by how much, and every figure of both models.

Puts the figures of measures.py into words and tables; pure functions, and no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import measures
from measures import Model, Note, label
from metrics import Recent

IMAGES = {
    "train": measures.TRAINING_IMAGES,
    "validation": measures.VALIDATION_IMAGES,
    "test": measures.TEST_IMAGES,
}
CONVERGENCE = 0.85  # the accuracy whose time stands in the table
PRECEDENCE = ("running", "paused", "failed", "interrupted", "stopped", "finished", "idle")
BETTER_FROM = {"accuracy": 0.0005, "loss": 0.0005}  # half of the last digit shown


@dataclass(frozen=True)
class Figure:
    """One line of the table: what it is called, how its values are shown, and what it means."""

    key: str
    title: str
    unit: str
    form: str
    lower_is_better: bool | None  # None where neither is
    help: str
    source: str
    # one value is called better only when the two differ by more than both of these
    margin: float = 0.0  # in the figure's unit
    relative_margin: float = 0.0  # of the larger value


FIGURES = (
    Figure(
        "best_accuracy",
        "Best validation accuracy",
        "%",
        "{:.1f}",
        False,
        "Share of right answers on 5,000 images that the model never trains on, at its best evaluation so far.",
        "Ours. Marked better only where the difference is beyond the noise of the images.",
    ),
    Figure(
        "test_accuracy",
        "Test accuracy",
        "%",
        "{:.2f}",
        False,
        "Share of right answers on the 10,000 test images, looked at once, when the run has finished.",
        "Interval: Wilson 1927. Marked better only where the difference is beyond the noise of the images.",
    ),
    Figure(
        "epochs_to_target",
        "Epochs to 85 %",
        "epochs",
        "{:.2f}",
        True,
        "Convergence speed: passes over the training images until the validation accuracy was first 85 %. "
        "It is known only at evaluations, so it is late by up to the interval between two.",
        "Time to accuracy: DAWNBench (arXiv 1806.01427), MLPerf training rules",
    ),
    Figure(
        "seconds_to_target",
        "Time to 85 %",
        "s",
        "{:.1f}",
        True,
        "Convergence speed by the clock: training time, evaluations included and pauses left out, "
        "until the validation accuracy was first 85 %.",
        "Time to accuracy: DAWNBench (arXiv 1806.01427), MLPerf training rules",
    ),
    Figure(
        "loss_reduction_rate",
        "Loss reduction rate",
        "per epoch",
        "{:.3f}",
        False,
        "How steeply the training loss falls now: minus the slope of the logarithm of the smoothed loss over "
        "the last epoch. 0.1 is about 10 % an epoch; below 0 the loss rises.",
        "Least squares on the debiased moving average, as in TensorBoard's data_transformer",
        relative_margin=0.1,
    ),
    Figure(
        "half_life",
        "Loss half-life",
        "epochs",
        "{:.2f}",
        True,
        "After how many epochs the loss would be halved if it went on falling as it does now.",
        "ln 2 / loss reduction rate",
        relative_margin=0.1,
    ),
    Figure(
        "instability",
        "Instability S",
        "",
        "{:.3f}",
        True,
        "Training stability: how much the loss jumps from one group of images to the next, relative to its mean, "
        "over the last epoch. 0 is perfectly steady.",
        "Ours, as there is no accepted standard: std of first differences / mean, over equal numbers of images",
        relative_margin=0.1,
    ),
    Figure(
        "spikes",
        "Loss spikes",
        "per 1,000",
        "{:.1f}",
        True,
        "Groups of images whose loss stands more than four standard deviations above the moving average before them.",
        "Ours, in the manner of a control chart with exponential weights (Roberts 1959)",
        relative_margin=0.1,
    ),
    Figure(
        "drawdown",
        "Drawdown",
        "points",
        "{:.1f}",
        True,
        "How far the validation accuracy is below its best so far.",
        "Ours: best − current",
        margin=1.0,
    ),
    Figure(
        "plateau",
        "Epochs without improvement",
        "epochs",
        "{:.1f}",
        None,
        "For how long the validation accuracy has not risen by more than 0.1 point; from 3 epochs on it is a plateau: "
        "the model has learned what it can with these settings.",
        "Keras EarlyStopping(min_delta=0.001, patience=3), on running medians of three (Tukey 1977)",
    ),
    Figure(
        "overfitting",
        "Overfitting",
        "points",
        "{:.1f}",
        True,
        "How much better the model does on 1,000 images it trains on than on the 5,000 of the validation, "
        "both without dropout. Measured at the end of each epoch.",
        "Training accuracy − validation accuracy, both in eval mode",
        margin=1.0,
    ),
    Figure(
        "batches_per_second",
        "Training speed, batches",
        "batches/s",
        "{:.1f}",
        False,
        "Training steps a second. Models of different batch sizes do not compare by it: look at images/s.",
        "Median of the last 5 s of training, without pauses and evaluations",
        relative_margin=0.05,
    ),
    Figure(
        "images_per_second",
        "Training speed, images",
        "images/s",
        "{:,.0f}",
        False,
        "Training images a second.",
        "Median of the last 5 s of training, without pauses and evaluations",
        relative_margin=0.05,
    ),
    Figure(
        "training_time",
        "Training time",
        "s",
        "{:.1f}",
        True,
        "Time since the start with evaluations and without pauses. Marked better once both have finished.",
        "MLPerf training rules: evaluation counts",
    ),
    Figure(
        "parameters",
        "Parameters",
        "",
        "{:,.0f}",
        True,
        "Numbers that the model learns: its size.",
        "Counted",
    ),
    Figure(
        "flops_per_image",
        "Work per image, forward",
        "MFLOP",
        "{:,.2f}",
        True,
        "Arithmetic to classify an image; a multiply-add is two operations.",
        "torch.utils.flop_counter.FlopCounterMode",
    ),
    Figure(
        "training_flops_per_image",
        "Work per image, training",
        "MFLOP",
        "{:,.2f}",
        True,
        "Arithmetic to learn from an image: forward and backward.",
        "torch.utils.flop_counter.FlopCounterMode",
    ),
    Figure(
        "achieved_flops",
        "Achieved",
        "GFLOP/s",
        "{:,.1f}",
        False,
        "Arithmetic done a second: how well the model uses the hardware. Small models keep it less busy.",
        "Training FLOPs of an image × images/s",
        relative_margin=0.05,
    ),
    Figure(
        "memory",
        "Memory",
        "MB",
        "{:,.1f}",
        True,
        "What a training step holds on to: weights, gradients, optimizer state, and activations at this batch size.",
        "Counted: live counters are for the whole process and cannot be split between two models",
    ),
    Figure(
        "gpu_use",
        "GPU use, shared by both",
        "%",
        "{:.0f}",
        None,
        "Share of the time in which the GPU was busy. It counts both models, and every other program.",
        "NVML utilisation of the device",
    ),
)


@dataclass(frozen=True)
class Entrant:
    """A model with all that its figures are computed from."""

    name: str
    model: Model
    recent: Recent
    description: Mapping[str, Any] | None  # from model.describe_model; None before PyTorch has loaded

    @property
    def evaluations(self) -> measures.Columns:
        return self.model["evaluations"]

    @property
    def config(self) -> Mapping[str, Any]:
        return self.model["config"] or {}

    @property
    def flops_per_image(self) -> float | None:
        return self.description["training_flops_per_image"] if self.description else None

    def positions(self, axis: str, images_per_epoch: int) -> list[float]:
        return measures.positions(self.evaluations, axis, images_per_epoch, self.flops_per_image)

    def blocks(self, images: int, images_per_epoch: int) -> measures.Blocks:
        """Return the last epoch's losses, averaged over groups of so many images."""
        batch_size = self.config.get("batch_size") or images
        return measures.average_blocks(self.recent.losses, self.recent.step, batch_size, images, images_per_epoch)


def compare(
    run: str | None,
    models: Mapping[str, Model],
    axis: str,
    recent: Mapping[str, Recent],
    descriptions: Mapping[str, Mapping[str, Any] | None],
    images: Mapping[str, int] = IMAGES,
    gpu_use: float | None = None,
    significance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the comparison of two models as `/api/comparison` answers it.

    models: as in `/api/metrics`, of which state, figures and evaluations are used; recent: their last
    losses at full resolution; descriptions: what they cost; images: how many each split has; gpu_use:
    a fraction, None where there is no GPU; significance: what the test images said, once both have finished.
    """
    one, two = (
        Entrant(name, model, recent.get(name, Recent(0, [])), descriptions.get(name)) for name, model in models.items()
    )
    leads = {each: lead(one, two, each, "accuracy", images) for each in ("epochs", "seconds", axis)}
    return {
        "run": run,
        "axis": axis,
        "state": overall_state(one, two),
        "verdict": verdict(one, two, axis, images),
        "test": {each.name: outcome(each, images["test"]) for each in (one, two)},
        "attribution": {
            "differing": measures.differing_settings(one.config, two.config),
            "text": " ".join([measures.attribution(one.config, two.config), *steered(one), *steered(two)]),
        },
        "targets": [
            {"accuracy": target} | {each.name: reached(each, target, images["train"]) for each in (one, two)}
            for target in measures.TARGETS
        ],
        "interval": {each.name: measures.evaluation_interval(each.evaluations) for each in (one, two)},
        "rows": rows(one, two, images, gpu_use),
        "notes": [note._asdict() for note in notes(one, two, axis, images, leads, tested=significance is not None)],
        "significance": significance,
    }


def overall_state(one: Entrant, two: Entrant) -> str:
    """Return the state of the comparison: that of the model which is still on, else the worse end."""
    states = {one.model["state"], two.model["state"]}
    return next((state for state in PRECEDENCE if state in states), "idle")


# Who leads


def lead(one: Entrant, two: Entrant, axis: str, quantity: str, images: Mapping[str, int]) -> dict[str, Any]:
    """Return who is ahead in validation accuracy or loss at an equal place on an axis, and by how much."""
    xs1, xs2 = (each.positions(axis, images["train"]) for each in (one, two))
    ys1, ys2 = (each.evaluations[quantity] for each in (one, two))
    equal = measures.at_equal_position(xs1, ys1, xs2, ys2) if xs1 and xs2 else None
    if equal is None:
        return dict.fromkeys(("leader", "gap", "at", one.name, two.name, "noise", "within_noise", "text"))
    at, value1, value2 = equal
    gap = abs(value1 - value2)
    better = one if (value1 > value2) == (quantity == "accuracy") else two
    leader = better.name if gap >= BETTER_FROM[quantity] else None
    noise = within_noise = None  # not known for a loss
    if quantity == "accuracy":
        noise = measures.noise(value1, value2, images["validation"])
        within_noise = gap < noise
        text = f"{label(leader)} leads by {100 * gap:.1f} points" if leader else "Neither leads"
    else:
        text = f"{label(leader)}'s loss is lower by {gap:.3f}" if leader else "The losses are equal"
    return {
        "leader": leader,
        "gap": gap,
        "at": at,
        one.name: value1,
        two.name: value2,
        "noise": noise,
        "within_noise": within_noise,
        "text": text,
    }


def verdict(one: Entrant, two: Entrant, axis: str, images: Mapping[str, int]) -> dict[str, Any]:
    accuracy, loss = (lead(one, two, axis, quantity, images) for quantity in ("accuracy", "loss"))
    return {
        "accuracy": accuracy,
        "loss": loss,
        "text": _join(accuracy, loss),
        "axis_text": None if accuracy["at"] is None else f"at equal {axis_text(axis, accuracy['at'])}",
    }


def _join(accuracy: Mapping[str, Any], loss: Mapping[str, Any]) -> str | None:
    if accuracy["text"] is None or loss["text"] is None:
        return accuracy["text"] or loss["text"]
    if loss["leader"] and loss["leader"] == accuracy["leader"]:
        return f"{accuracy['text']}, and its loss is lower by {loss['gap']:.3f}"
    return f"{accuracy['text']}; {loss['text'][0].lower()}{loss['text'][1:]}"


def axis_text(axis: str, value: float) -> str:
    """Return a place on an axis in words, such as "epochs (1.50)"."""
    if axis == "flops":
        for power, prefix in ((15, "P"), (12, "T"), (9, "G"), (6, "M")):
            if value >= 10**power:
                return f"FLOPs ({value / 10**power:.3g} {prefix}FLOP)"
    forms = {"epochs": "{:.2f}", "seconds": "{:.1f} s", "images": "{:,.0f}", "flops": "{:,.0f}"}
    return f"{'FLOPs' if axis == 'flops' else axis} ({forms[axis].format(value)})"


def steered(each: Entrant) -> list[str]:
    """Return a sentence where a model's learning rate is no longer that of its settings: a cause they do not show."""
    was, now = each.config.get("learning_rate"), each.model.get("learning_rate")
    if not was or not now or was == now:
        return []
    return [f"{label(each.name)}'s learning rate was changed on the way, from {was:g} to {now:g}."]


def outcome(each: Entrant, count: int) -> dict[str, float] | None:
    """Return the test accuracy with its 95 % interval; None until the run has finished."""
    accuracy = each.model["test_accuracy"]
    if accuracy is None:
        return None
    low, high = measures.wilson_interval(accuracy, count)
    return {"accuracy": accuracy, "low": low, "high": high}


def reached(each: Entrant, target: float, images_per_epoch: int) -> dict[str, float | None] | None:
    """Return where on each axis a model was when it first had an accuracy; None where it has not had it.

    interval: epochs since the evaluation before, by which that may be late.
    """
    index = measures.time_to_accuracy(each.evaluations, target)
    if index is None:
        return None
    where = {axis: each.positions(axis, images_per_epoch) for axis in measures.AXES}
    return {axis: values[index] if values else None for axis, values in where.items()} | {
        "interval": measures.evaluation_interval(each.evaluations, index)
    }


# The table


def rows(one: Entrant, two: Entrant, images: Mapping[str, int], gpu_use: float | None) -> list[dict[str, Any]]:
    """Return one row for each figure: both values, which is better, and what it means."""
    block = measures.block_images(*(each.config.get("batch_size") or 1 for each in (one, two)))
    values1, values2 = (figures(each, block, images, gpu_use) for each in (one, two))
    return [
        _row(figure, one, two, values1[figure.key], values2[figure.key], images)
        for figure in FIGURES
        if figure.key != "gpu_use" or gpu_use is not None
    ]


def figures(each: Entrant, block: int, images: Mapping[str, int], gpu_use: float | None) -> dict[str, float | None]:
    """Return all figures of one model by key, each in the unit that FIGURES names; None where not known yet."""
    model, evaluations = each.model, each.evaluations
    blocks = each.blocks(block, images["train"])
    rate = measures.loss_reduction_rate(blocks)
    target = reached(each, CONVERGENCE, images["train"]) or {}
    accuracies = [accuracy for accuracy in evaluations["accuracy"] if measures.known(accuracy)]
    cost = each.description or {}
    speed, flops = model["images_per_second"], each.flops_per_image
    return {
        "best_accuracy": _scale(max(accuracies, default=None), 100),
        "test_accuracy": _scale(model["test_accuracy"], 100),
        "epochs_to_target": target.get("epochs"),
        "seconds_to_target": target.get("seconds"),
        "loss_reduction_rate": rate,
        "half_life": measures.half_life(rate),
        "instability": measures.instability(blocks.loss),
        "spikes": measures.spikes_per_thousand(blocks.loss, blocks.images),
        "drawdown": _scale(measures.drawdown(evaluations), 100),
        "plateau": measures.epochs_without_improvement(evaluations),
        "overfitting": _scale(measures.overfitting(evaluations), 100),
        "batches_per_second": model["batches_per_second"],
        "images_per_second": speed,
        "training_time": model["elapsed_seconds"] if model["step"] else None,
        "parameters": model["parameters"] or cost.get("parameters"),
        "flops_per_image": _scale(cost.get("flops_per_image"), 1e-6),
        "training_flops_per_image": _scale(flops, 1e-6),
        "achieved_flops": flops * speed / 1e9 if flops and speed else None,
        "memory": _scale(cost.get("memory_bytes"), 1e-6),
        "gpu_use": _scale(gpu_use, 100),
    }


def _scale(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _row(
    figure: Figure, one: Entrant, two: Entrant, value1: float | None, value2: float | None, images: Mapping[str, int]
) -> dict[str, Any]:
    lower_is_better = figure.lower_is_better
    if figure.key == "batches_per_second" and one.config.get("batch_size") != two.config.get("batch_size"):
        lower_is_better = None
    texts = [_text(figure, each, value) for each, value in ((one, value1), (two, value2))]
    better = None
    if lower_is_better is not None and texts[0] != texts[1]:
        better = _better(figure, lower_is_better, (one, value1), (two, value2), images)
    return {
        "key": figure.key,
        "title": figure.title,
        "unit": figure.unit,
        "better": better,
        "lower_is_better": lower_is_better,
        one.name: value1,
        two.name: value2,
        "text1": texts[0],
        "text2": texts[1],
        "help": figure.help,
        "source": figure.source,
    }


def _text(figure: Figure, each: Entrant, value: float | None) -> str:
    if value is not None:
        text = figure.form.format(value)
        return text.removeprefix("-") if not text.strip("-0.") else text.replace("-", "−")  # no "-0.0"
    if figure.key.endswith("_to_target") and each.evaluations["epoch"]:
        return "not reached"
    return "–"


def _better(
    figure: Figure,
    lower_is_better: bool,
    first: tuple[Entrant, float | None],
    second: tuple[Entrant, float | None],
    images: Mapping[str, int],
) -> str | None:
    key, (one, value1), (two, value2) = figure.key, first, second
    if value1 is None or value2 is None:
        return _first_to_reach(key, first, second) or _first_to_reach(key, second, first)
    if key == "training_time" and {one.model["state"], two.model["state"]} != {"finished"}:
        return None
    if abs(value1 - value2) <= max(figure.margin, figure.relative_margin * max(abs(value1), abs(value2))):
        return None
    if key in ("best_accuracy", "test_accuracy"):
        count = images["validation" if key == "best_accuracy" else "test"]
        if abs(value1 - value2) < 100 * measures.noise(value1 / 100, value2 / 100, count):
            return None
    return one.name if (value1 < value2) == lower_is_better else two.name


def _first_to_reach(key: str, first: tuple[Entrant, float | None], second: tuple[Entrant, float | None]) -> str | None:
    """Return the first model where it has reached the target and the second, further on, still has not."""
    progress = {"epochs_to_target": "epoch", "seconds_to_target": "seconds"}
    (one, value1), (two, value2) = first, second
    if key not in progress or value1 is None or value2 is not None:
        return None
    gone = two.evaluations[progress[key]]
    return one.name if gone and gone[-1] >= value1 else None


# The notes


def notes(
    one: Entrant,
    two: Entrant,
    axis: str,
    images: Mapping[str, int],
    leads: Mapping[str, Mapping[str, Any]],
    *,
    tested: bool,
) -> list[Note]:
    """Return all notes that hold, the most important first.

    leads: in accuracy, at equal epochs, at equal seconds, and on the axis that is shown; tested: whether the test
    images have said what is chance, which is then no longer guessed from the validation images.
    """
    both = (one, two)
    jumps = measures.block_images(measures.JUMP_IMAGES)
    certain = {each: None if ahead["within_noise"] else ahead["leader"] for each, ahead in leads.items()}
    shown = leads[axis]
    found = [
        *(measures.note_failure(each.name, each.model, each.recent.losses) for each in both),
        *(measures.note_jump(each.name, each.blocks(jumps, images["train"])) for each in both),
        *(measures.note_guessing(each.name, each.model) for each in both),
        *(measures.note_overfitting(each.name, each.model) for each in both),
        *(measures.note_plateau(each.name, each.model) for each in both),
        *(measures.note_fluctuation(each.name, each.model) for each in both),
        measures.note_flip(certain["epochs"], certain["seconds"]),
        measures.note_noise(shown[one.name], shown[two.name], images["validation"])
        if shown["leader"] and not tested
        else None,
        measures.note_unequal_epochs(one.config, two.config),
        measures.note_dropout({each.name: each.model for each in both}),
        measures.note_slower(
            {each.name: each.flops_per_image for each in both},
            {each.name: each.model["images_per_second"] for each in both},
        ),
        measures.note_batch_sizes(one.config, two.config),
    ]
    return [note for note in found if note is not None]
