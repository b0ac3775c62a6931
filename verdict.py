"""Verdict: what `/api/comparison` answers: who leads, by how much, and every figure of both models.

Puts the figures of measures.py into words and tables; pure functions, and no torch.
"""

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import measures
from batches import Batches
from config import ModelConfig, differing_settings
from measures import Model, Note
from metrics import Event, Recent
from statement import Case, Lead, McNemar, Statement, make_statement, say_differences, say_p

IMAGES = {
    "train": measures.TRAINING_IMAGES,
    "validation": measures.VALIDATION_IMAGES,
    "test": measures.TEST_IMAGES,
}
CONVERGENCE = 0.85  # the accuracy whose time stands in the table
PRECEDENCE = ("running", "paused", "failed", "interrupted", "stopped", "finished", "idle")
PROGRESS = {"epochs_to_target": "epoch", "seconds_to_target": "seconds"}  # the column that each is read from
RATES = ("loss_reduction_rate", "half_life")
BETTER_FROM = {"accuracy": 0.0005, "loss": 0.0005}  # half of the last digit shown
JUMP = re.compile(r", learning rate \S+ → \S+$")  # of a stretched schedule: it depends on where a model was stopped
CHANGED_RATE = re.compile(r"learning rate (\S+) → (\S+)")  # an event's detail


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


@dataclass(frozen=True)
class Entrant:
    """A model with all that its figures are computed from."""

    name: str
    model: Model
    recent: Recent
    description: Mapping[str, Any] | None  # from model.describe_model; None before PyTorch has loaded
    right_images: Sequence[bytes | None] = ()  # of each evaluation, as metrics.Evaluation has them
    events: Sequence[Event] = ()

    @property
    def evaluations(self) -> measures.Columns:
        return self.model["evaluations"]

    @property
    def config(self) -> Mapping[str, Any]:
        return self.model["config"] or {}

    @property
    def flops_per_image(self) -> float | None:
        return self.description["training_flops_per_image"] if self.description else None

    @property
    def computed_flops_per_image(self) -> float | None:
        return self.description["computed_training_flops_per_image"] if self.description else None

    def positions(self, axis: str, images_per_epoch: int) -> list[float]:
        return measures.positions(self.evaluations, axis, images_per_epoch, self.flops_per_image)

    def batches(self, images_per_epoch: int) -> Batches:
        return ModelConfig(**self.config).batches(images_per_epoch)

    def blocks(self, images: int, images_per_epoch: int) -> measures.Blocks:
        """Return the last epoch's losses, averaged over groups of so many images."""
        return measures.average_blocks(self.recent.losses, self.recent.step, self.batches(images_per_epoch), images)

    @property
    def has_early_rate(self) -> bool:
        """Whether its loss reduction rate is that of the first epochs, not of two whole ones."""
        return len(self.recent.epoch_means) < 2

    def loss_reduction_rate(self, images_per_epoch: int) -> float | None:
        if not self.has_early_rate:
            return measures.loss_reduction_rate(self.recent.epoch_means)
        batches = self.batches(images_per_epoch)
        return measures.early_loss_reduction_rate(self.recent.losses, self.recent.step, batches)

    @property
    def smoothed_until(self) -> int:
        """Up to which step the training loss holds label smoothing, as earlier versions recorded it; 0 for none."""
        plain_from = self.model.get("plain_loss_from")
        until = self.recent.step if plain_from is None else plain_from
        return until if self.config.get("label_smoothing") else 0


def compare(
    run: str | None,
    models: Mapping[str, Model],
    axis: str,
    recent: Mapping[str, Recent],
    descriptions: Mapping[str, Mapping[str, Any] | None],
    images: Mapping[str, int] = IMAGES,
    gpu_use: float | None = None,
    significance: Mapping[str, Any] | None = None,
    right_images: Mapping[str, Sequence[bytes | None]] | None = None,
    events: Mapping[str, Sequence[Event]] | None = None,
    repeats: Mapping[str, Any] | None = None,
    *,
    is_loaded: bool = True,
) -> dict[str, Any]:
    """Return the comparison of two models as `/api/comparison` answers it.

    models: as in `/api/metrics`, of which state, figures and evaluations are used; recent: their last
    losses at full resolution; descriptions: what they cost; images: how many each split has; gpu_use:
    a fraction, None where there is no GPU; significance: what the test images said, once both have finished;
    right_images: of each evaluation, where it is known; events: of each model; repeats: what repeats.result tells
    of a series with the same settings; is_loaded: whether PyTorch has, which work and test
    answers need.
    """
    one, two = (
        Entrant(
            name,
            model,
            recent.get(name, Recent(0, [])),
            descriptions.get(name),
            (right_images or {}).get(name, ()),
            (events or {}).get(name, ()),
        )
        for name, model in models.items()
    )
    leads = {each: lead(one, two, each, "accuracy", images) for each in ("epochs", "seconds", axis)}
    case = make_case(one, two, leads[axis], axis, significance, repeats, images)
    case = replace(case, tests_pending=not is_loaded, work_pending=not is_loaded and axis == "flops")
    statement = make_statement(case)
    pair = make_statement(replace(case, repeats=None))  # what this one pair tells, whatever repeats do
    return {
        "run": run,
        "axis": axis,
        "state": overall_state(one, two),
        "verdict": verdict(one, two, axis, images, leads[axis], statement, pair, significance),
        "test": {each.name: outcome(each, images["test"]) for each in (one, two)},
        "attribution": {
            "differing": list(case.differing),
            "text": statement.second or say_differences(case),
        },
        "targets": [
            {"accuracy": target} | {each.name: reached(each, target, images["train"]) for each in (one, two)}
            for target in measures.TARGETS
        ],
        "interval": {each.name: measures.evaluation_interval(each.evaluations) for each in (one, two)},
        "rows": rows(one, two, images, gpu_use, statement, case.tested),
        "notes": [note._asdict() for note in notes(one, two, images, leads, case.tested)],
        "significance": significance
        and {**significance, "leader": case.tested and case.tested.leader, "text": pair.first},
    }


def overall_state(one: Entrant, two: Entrant) -> str:
    """Return the state of the comparison: that of the model which is still on, else the worse end."""
    states = {one.model["state"], two.model["state"]}
    return next((state for state in PRECEDENCE if state in states), "idle")


# Who leads


def lead(one: Entrant, two: Entrant, axis: str, quantity: str, images: Mapping[str, int]) -> dict[str, Any]:
    """Return who is ahead in validation accuracy or loss at an equal place on an axis, and by how much.

    noise: see paired_noise; None also for a loss, of which it is not known.
    """
    xs1, xs2 = (each.positions(axis, images["train"]) for each in (one, two))
    ys1, ys2 = (each.evaluations[quantity] for each in (one, two))
    equal = measures.at_equal_position(xs1, ys1, xs2, ys2) if xs1 and xs2 else None
    if equal is None:
        return dict.fromkeys(("leader", "gap", "at", one.name, two.name, "noise", "within_noise", "text"))
    at, value1, value2 = equal
    gap = abs(value1 - value2)
    ahead = one if (value1 > value2) == (quantity == "accuracy") else two
    leader = ahead.name if gap >= BETTER_FROM[quantity] else None
    noise, within_noise = None, None
    if quantity == "accuracy":
        noise = paired_noise(one, bisect_right(xs1, at) - 1, two, bisect_right(xs2, at) - 1, images["validation"])
        widest = measures.widest_noise(value1, value2, images["validation"])
        within_noise = leader is None or gap < (widest if noise is None else noise)
    return {
        "leader": leader,
        "gap": gap,
        "at": at,
        one.name: value1,
        two.name: value2,
        "noise": noise,
        "within_noise": within_noise,
        "text": f"Loss {value1:.3f} against {value2:.3f}" if quantity == "loss" else None,
    }


def paired_noise(one: Entrant, index1: int, two: Entrant, index2: int, count: int) -> float | None:
    """Return the noise of the difference between two evaluations; None where it was not kept what they had right.

    Between two evaluations of a model a lead is measured by a straight line, but nothing is known of its answers there:
    the caller gives the evaluation before. An earlier network agrees less with the other model, so the band errs on
    the side of doubt.
    """
    known = [(each.right_images[index : index + 1] or (None,))[0] for each, index in ((one, index1), (two, index2))]
    if known[0] is None or known[1] is None:
        return None
    return measures.noise(*measures.count_apart(known[0], known[1]), count)


def make_case(
    one: Entrant,
    two: Entrant,
    ahead: Mapping[str, Any],
    axis: str,
    significance: Mapping[str, Any] | None,
    repeats: Mapping[str, Any] | None,
    images: Mapping[str, int],
) -> Case:
    """Return all that the statement is made of; ahead: the lead at an equal place on the axis."""
    known = None
    if ahead["at"] is not None:
        widest = measures.widest_noise(ahead[one.name], ahead[two.name], images["validation"])
        noise = widest if ahead["noise"] is None else ahead["noise"]
        known = Lead(axis, ahead["leader"], ahead["gap"], noise, known=ahead["noise"] is not None)
    forked = next((event.detail for event in reversed(two.events) if event.kind == "forked"), None)
    steered = {each.name: rates for each, other in ((one, two), (two, one)) if (rates := learning_rates(each, other))}
    return Case(
        states={each.name: each.model["state"] for each in (one, two)},
        epochs={each.name: each.model["epoch"] for each in (one, two)},
        lead=known,
        tested=read_test(one, two, significance),
        differing=differing_settings(one.config, two.config),
        steered=steered,
        held=went_on_after_schedule(one, two),
        forked=forked and forked.removeprefix("from model 1: "),
        repeats=repeats,
        both_evaluated=bool(one.evaluations["epoch"] and two.evaluations["epoch"]),
    )


def read_test(one: Entrant, two: Entrant, significance: Mapping[str, Any] | None) -> McNemar | None:
    if significance is None:
        return None
    only1, only2 = significance["only1"], significance["only2"]
    ahead = None if only1 == only2 else one.name if only1 > only2 else two.name
    return McNemar(ahead, abs(only1 - only2) / count_images(significance), significance["p_value"])


def count_images(significance: Mapping[str, Any]) -> int:
    return sum(significance[outcome] for outcome in ("both_right", "only1", "only2", "both_wrong"))


def went_on_after_schedule(one: Entrant, two: Entrant) -> dict[str, str]:
    """Return how each model went on whose schedule had come to its end, which its settings no longer tell."""
    held: dict[str, str] = {}
    for each, other in ((one, two), (two, one)):
        for event in each.events:
            if event.kind == "continued" and event.detail and "schedule" in event.detail and event not in other.events:
                held[each.name] = JUMP.sub("", event.detail)
    return held


def learning_rates(each: Entrant, other: Entrant) -> list[float]:
    """Return the learning rates that a model has had in their order, where its own was changed on the way, else none.

    From the events, so that a rate that was changed back counts too. What happened before a fork happened to both.
    """
    events = [event for event in each.events if event.kind == "steered" and event not in other.events]
    changes = [found.groups() for event in events if (found := CHANGED_RATE.fullmatch(event.detail or ""))]
    if changes:
        return [float(changes[0][0]), *(float(now) for _, now in changes)]
    was, now = each.config.get("learning_rate"), each.model.get("learning_rate")
    return [was, now] if was and now and was != now else []


def verdict(
    one: Entrant,
    two: Entrant,
    axis: str,
    images: Mapping[str, int],
    accuracy: Mapping[str, Any],
    statement: Statement,
    pair: Statement,
    significance: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the statement with the figures behind it.

    accuracy: the lead at an equal place on the axis; pair: the statement on this one pair, without repeats.
    """
    said = pair.first if accuracy["at"] is not None else None
    return {
        "accuracy": {**accuracy, "text": said},
        "loss": lead(one, two, axis, "loss", images),
        "text": statement.text if statement.is_verdict else None,
        "axis_text": None if accuracy["at"] is None else f"at equal {axis_text(axis, accuracy['at'])}",
        "first": statement.first,
        "second": statement.second,
        "leader": statement.leader,
        "gap": statement.gap,
        "details": say_counts(significance) if significance else None,
        "action": {"kind": "repeat", "pairs": statement.repeats} if statement.repeats else None,
    }


def say_counts(significance: Mapping[str, Any]) -> str:
    """Return the counts that McNemar's test was made of."""
    p, count = say_p(significance["p_value"]), count_images(significance)
    only1, only2 = significance["only1"], significance["only2"]
    alone = f"model 1 alone is right on {only1:,}, model 2 alone on {only2:,}"
    return f"McNemar's test ({p}): of {count:,} test images {alone}."


def axis_text(axis: str, value: float) -> str:
    """Return a place on an axis in words, such as "epochs (1.50)"."""
    if axis == "flops":
        for power, prefix in ((15, "P"), (12, "T"), (9, "G"), (6, "M")):
            if value >= 10**power:
                return f"FLOPs ({value / 10**power:.3g} {prefix}FLOP)"
    forms = {"epochs": "{:.2f}", "seconds": "{:.1f} s", "images": "{:,.0f}", "flops": "{:,.0f}"}
    return f"{'FLOPs' if axis == 'flops' else axis} ({forms[axis].format(value)})"


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
    accuracies = [accuracy for accuracy in evaluations["accuracy"] if measures.known(accuracy)]
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
    accuracies = [
        [value if measures.known(value) else -1.0 for value in each.evaluations["accuracy"]] for each in (one, two)
    ]
    if not all(accuracies):
        return None
    best1, best2 = (max(values) for values in accuracies)
    index1, index2 = (values.index(max(values)) for values in accuracies)
    noise = paired_noise(one, index1, two, index2, count)
    if abs(best1 - best2) < (measures.widest_noise(best1, best2, count) if noise is None else noise):
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


# The notes


def notes(
    one: Entrant,
    two: Entrant,
    images: Mapping[str, int],
    leads: Mapping[str, Mapping[str, Any]],
    tested: McNemar | None,
) -> list[Note]:
    """Return all notes that hold, the most important first. None speaks of what the statement says.

    leads: in accuracy, at equal epochs and at equal seconds; tested: what the test images said, which none contradicts.
    """
    both = (one, two)
    certain = {each: None if ahead["within_noise"] else ahead["leader"] for each, ahead in leads.items()}
    if tested and tested.leader != certain["epochs"]:
        certain["seconds"] = None
    found = [
        *(measures.note_failure(each.name, each.model, each.recent.losses) for each in both),
        *(measures.note_jump(each.name, each.blocks(measures.JUMP_IMAGES, images["train"])) for each in both),
        *(measures.note_guessing(each.name, each.model) for each in both),
        *(measures.note_overfitting(each.name, each.model) for each in both),
        *(measures.note_plateau(each.name, each.model) for each in both),
        *(measures.note_fluctuation(each.name, each.model) for each in both),
        measures.note_flip(certain["epochs"], certain["seconds"]),
        measures.note_dropout({each.name: each.model for each in both}),
        measures.note_slower(
            {each.name: each.computed_flops_per_image for each in both},
            {each.name: each.model["images_per_second"] for each in both},
        ),
        measures.note_batch_sizes(one.config, two.config),
        *(measures.note_smoothed_loss(each.name, each.smoothed_until) for each in both),
    ]
    return [note for note in found if note is not None]
