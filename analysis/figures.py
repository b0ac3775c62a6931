"""Figures: each one's value, unit, words and which of two is better, as the table shows them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis import measures
from analysis.entrant import CONVERGENCE, Entrant, reached
from analysis.significance import count_apart, noise, widest_noise
from analysis.statement import McNemar, Statement
from history.records import known

PROGRESS = {"epochs_to_target": "epoch", "seconds_to_target": "seconds"}  # the column that each is read from
RATES = ("loss_reduction_rate", "half_life")


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
        "Ours. Marked better only where the difference is beyond the paired noise, and the verdict says the same.",
    ),
    Figure(
        "test_accuracy",
        "Test accuracy",
        "%",
        "{:.2f}",
        False,
        "Share of right answers on the 10,000 test images, when the run has finished. They never choose anything; "
        "what else looks at them: Mistakes and Classes of finished runs, the test images in Inside and Try it, and a "
        "finished run that goes on, when it finishes again.",
        "Interval: Wilson 1927. Marked better only where McNemar's test finds more than chance.",
    ),
    Figure(
        "epochs_to_target",
        "Epochs to 85 %",
        "epochs",
        "{:.2f}",
        True,
        "Convergence speed: passes over the training images until the validation accuracy was first 85 %. "
        "It is known only at evaluations, so it is late by up to the interval between two. Marked better only where "
        "one model had reached it at an evaluation before the last at which the other had not.",
        "Time to accuracy: DAWNBench (arXiv 1806.01427), MLPerf training rules",
    ),
    Figure(
        "seconds_to_target",
        "Time to 85 %",
        "s",
        "{:.1f}",
        True,
        "Convergence speed by the clock: training time, evaluations included and pauses left out, "
        "until the validation accuracy was first 85 %. Known only at evaluations, and marked as the epochs are.",
        "Time to accuracy: DAWNBench (arXiv 1806.01427), MLPerf training rules",
    ),
    Figure(
        "loss_reduction_rate",
        "Loss reduction rate",
        "per epoch",
        "{:.3f}",
        None,
        "How steeply the training loss fell from the last whole epoch but one to the last. 0.1 is about 10 % an epoch; "
        "below 0 the loss rises. Before two epochs are complete it compares the last two quarters of the images seen "
        "so far, and is marked early. Neither is the better one: a model that has learned most of it falls slowly.",
        "Ours: ln(mean loss of the epoch before / of the last), plain cross-entropy",
    ),
    Figure(
        "half_life",
        "Loss half-life",
        "epochs",
        "{:.2f}",
        None,
        "After how many epochs the loss would be halved if it went on falling at the loss reduction rate.",
        "ln 2 / loss reduction rate",
    ),
    Figure(
        "instability",
        "Instability S",
        "",
        "{:.3f}",
        True,
        "Training stability: how much the loss jumps from one group of images to the next, relative to its mean, "
        "over the last epoch. 0 is perfectly steady. Groups are equal for both models, or neither is marked better: "
        "batch sizes without a common multiple of at most a twentieth of an epoch have none.",
        "Ours, as there is no accepted standard: std of first differences / mean, from plain cross-entropy",
        relative_margin=0.1,
    ),
    Figure(
        "spikes",
        "Loss spikes",
        "per 1,000",
        "{:.1f}",
        None,  # so few that two equal models differ by a tenth one time in ten
        "Groups of images whose loss stands more than four standard deviations above the moving average before them. "
        "Groups as for the instability. Too few to mark one better.",
        "Ours, in the manner of a control chart with exponential weights (Roberts 1959)",
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
        margin=2.0,  # the noise of 1,000 images: two equal models differ by more one time in fifty
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
        "Arithmetic to classify an image in the textbook network, to compare architectures by; a multiply-add is two "
        "operations. Not all of it is computed: what no pool looks at, a map's last row and column, is left out.",
        "torch.utils.flop_counter.FlopCounterMode",
    ),
    Figure(
        "training_flops_per_image",
        "Work per image, training",
        "MFLOP",
        "{:,.2f}",
        True,
        "Arithmetic to learn from an image in the textbook network: forward and backward.",
        "torch.utils.flop_counter.FlopCounterMode",
    ),
    Figure(
        "achieved_flops",
        "Achieved",
        "GFLOP/s",
        "{:,.1f}",
        False,
        "Arithmetic done a second: how well the model uses the hardware. Small models keep it less busy. What no pool "
        "looks at is not computed and not counted, so this can be less than images/s times the textbook's work.",
        "FLOPs done to learn from an image × images/s",
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


def paired_noise(one: Entrant, index1: int, two: Entrant, index2: int, count: int) -> float | None:
    """Return the noise of the difference between two evaluations; None where it was not kept what they had right.

    Between two evaluations of a model a lead is measured by a straight line, but nothing is known of its answers there:
    the caller gives the evaluation before. An earlier network agrees less with the other model, so the band errs on
    the side of doubt.
    """
    known = [(each.right_images[index : index + 1] or (None,))[0] for each, index in ((one, index1), (two, index2))]
    if known[0] is None or known[1] is None:
        return None
    return noise(*count_apart(known[0], known[1]), count)


def rows(
    one: Entrant,
    two: Entrant,
    images: Mapping[str, int],
    gpu_use: float | None,
    statement: Statement,
    tested: McNemar | None,
) -> list[dict[str, Any]]:
    """Return one row for each figure: both values, which is better, and what it means.

    An accuracy is marked only where its own numbers carry it and the statement names the same leader.
    """
    batches = [each.batches(images["train"]) for each in (one, two)]
    common = measures.block_images(*batches)
    block = common or max(each.size for each in batches)
    values1, values2 = (figures(each, block, images, gpu_use) for each in (one, two))
    incomparable = set() if common and not one.smoothed_until and not two.smoothed_until else {"instability"}
    if one.config.get("batch_size") != two.config.get("batch_size"):
        incomparable.add("batches_per_second")
    states = {each.model["state"] for each in (one, two)}
    if states != {"running"}:  # whoever trains alone, at the end, has more of the machine
        incomparable |= {"batches_per_second", "images_per_second", "achieved_flops"}
    if "failed" in states:
        incomparable.add("instability")
    ahead = {"best_accuracy": ahead_at_best(one, two, images["validation"]), "test_accuracy": tested and tested.leader}
    marks = {key: model if model == statement.leader else None for key, model in ahead.items()}
    return [
        _row(figure, one, two, values1[figure.key], values2[figure.key], marks, figure.key not in incomparable)
        for figure in FIGURES
        if figure.key != "gpu_use" or gpu_use is not None
    ]


def figures(each: Entrant, block: int, images: Mapping[str, int], gpu_use: float | None) -> dict[str, float | None]:
    """Return all figures of one model by key, each in the unit that FIGURES names; None where not known yet."""
    model, evaluations = each.model, each.evaluations
    blocks = each.blocks(block, images["train"])
    rate = each.loss_reduction_rate(images["train"])
    target = reached(each, CONVERGENCE, images["train"]) or {}
    accuracies = [accuracy for accuracy in evaluations["accuracy"] if known(accuracy)]
    cost = each.description or {}
    speed, computed = model["images_per_second"], each.computed_flops_per_image
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
        "training_flops_per_image": _scale(each.flops_per_image, 1e-6),
        "achieved_flops": computed * speed / 1e9 if computed and speed else None,
        "memory": _scale(cost.get("memory_bytes"), 1e-6),
        "gpu_use": _scale(gpu_use, 100),
    }


def ahead_at_best(one: Entrant, two: Entrant, count: int) -> str | None:
    """Return whose best validation accuracy is higher by more than the noise of the images."""
    accuracies = [[value if known(value) else -1.0 for value in each.evaluations["accuracy"]] for each in (one, two)]
    if not all(accuracies):
        return None
    best1, best2 = (max(values) for values in accuracies)
    index1, index2 = (values.index(max(values)) for values in accuracies)
    noise = paired_noise(one, index1, two, index2, count)
    if abs(best1 - best2) < (widest_noise(best1, best2, count) if noise is None else noise):
        return None
    return one.name if best1 > best2 else two.name


def _scale(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _row(
    figure: Figure,
    one: Entrant,
    two: Entrant,
    value1: float | None,
    value2: float | None,
    marks: Mapping[str, str | None],
    comparable: bool,
) -> dict[str, Any]:
    lower_is_better = figure.lower_is_better if comparable else None
    texts = [_text(figure, each, value) for each, value in ((one, value1), (two, value2))]
    better = marks.get(figure.key)
    if figure.key not in marks and lower_is_better is not None and texts[0] != texts[1]:
        better = _better(figure, lower_is_better, (one, value1), (two, value2))
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
        text = text.removeprefix("-") if not text.strip("-0.") else text.replace("-", "−")  # no "-0.0"
        return f"{text} (early)" if figure.key in RATES and each.has_early_rate else text
    if figure.key.endswith("_to_target") and each.evaluations["epoch"]:
        return "not reached"
    return "–"


def _better(
    figure: Figure,
    lower_is_better: bool,
    first: tuple[Entrant, float | None],
    second: tuple[Entrant, float | None],
) -> str | None:
    key, (one, value1), (two, value2) = figure.key, first, second
    if key in PROGRESS:
        return _first_to_reach(PROGRESS[key], one, two)
    if value1 is None or value2 is None:
        return None
    if key == "training_time" and {one.model["state"], two.model["state"]} != {"finished"}:
        return None
    if abs(value1 - value2) <= max(figure.margin, figure.relative_margin * max(abs(value1), abs(value2))):
        return None
    return one.name if (value1 < value2) == lower_is_better else two.name


def _first_to_reach(column: str, one: Entrant, two: Entrant) -> str | None:
    """Return who certainly had the target accuracy first; None where the evaluations leave it open.

    A model reached it after the evaluation before, and by the one that shows it; where these spans of both models
    touch, either may have been first.
    """
    (after1, by1), (after2, by2) = (_span_to_target(column, each) for each in (one, two))
    return one.name if by1 < after2 else two.name if by2 < after1 else None


def _span_to_target(column: str, each: Entrant) -> tuple[float, float]:
    """Return between which values of a column of evaluations a model reached the target; no end where it has not."""
    places = [0.0, *each.evaluations[column]]
    index = measures.time_to_accuracy(each.evaluations, CONVERGENCE)
    return (places[-1], math.inf) if index is None else (places[index], places[index + 1])
