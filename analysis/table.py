"""Table: the figures of two models side by side, and which of each is better."""

import math
from collections.abc import Mapping
from typing import Any

from analysis import measures
from analysis.case import McNemar
from analysis.entrant import Entrant, speeds_compare
from analysis.figures import FIGURES, Figure
from analysis.leads import ahead_at_best
from analysis.statement import Statement
from analysis.values import figure_values

PROGRESS = {"epochs_to_target": "epoch", "seconds_to_target": "seconds"}  # the column that each is read from
RATES = ("loss_reduction_rate", "half_life")
SPEEDS = ("batches_per_second", "images_per_second", "achieved_flops")  # of the last seconds
TIMES = (*SPEEDS, "seconds_to_target", "training_time")  # by the clock
DIFFERENT_RUNS = "different runs: not compared"


def rows(
    one: Entrant,
    two: Entrant,
    images: Mapping[str, int],
    gpu_use: float | None,
    statement: Statement,
    tested: McNemar | None,
    *,
    apart: bool = False,
    among: int | None = None,
) -> list[dict[str, Any]]:
    """Return one row for each figure: both values, which is better, and what it means.

    An accuracy is marked only where its own numbers carry it and the statement names the same leader. apart: the
    trainings are of different runs, of which no time and no speed is better; among: of how many they were chosen.
    """
    batches = [each.batches(images["train"]) for each in (one, two)]
    common = measures.block_images(*batches)
    block = common or max(each.size for each in batches)
    values1, values2 = (figure_values(each, block, images, gpu_use) for each in (one, two))
    incomparable = set() if common and not one.smoothed_until and not two.smoothed_until else {"instability"}
    if one.config.get("batch_size") != two.config.get("batch_size"):
        incomparable.add("batches_per_second")
    states = {each.model["state"] for each in (one, two)}
    if not speeds_compare(one, two):
        incomparable.update(SPEEDS)
    if apart:
        incomparable.update(TIMES)
    if "failed" in states:
        incomparable.add("instability")
    ahead = {
        "best_accuracy": ahead_at_best(one, two, images["validation"], among),
        "test_accuracy": tested and tested.leader,
    }
    marks = {key: model if model == statement.leader else None for key, model in ahead.items()}
    return [
        _row(figure, one, two, values1[figure.key], values2[figure.key], marks, figure.key not in incomparable)
        | {"caveat": DIFFERENT_RUNS if apart and figure.key in TIMES else None}
        for figure in FIGURES
        if figure.key != "gpu_use" or gpu_use is not None
    ]


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
        return _first_to_reach(PROGRESS[key], one, two, figure.relative_margin)
    if value1 is None or value2 is None:
        return None
    if key == "training_time" and {one.model["state"], two.model["state"]} != {"finished"}:
        return None
    winner = _ahead(figure, lower_is_better, (one, value1), (two, value2))
    if key in SPEEDS:
        over_all = ((each, _over_all(each, speed)) for each, speed in ((one, value1), (two, value2)))
        if winner != _ahead(figure, lower_is_better, *over_all):
            return None
    return winner


def _ahead(
    figure: Figure, lower_is_better: bool, first: tuple[Entrant, float], second: tuple[Entrant, float]
) -> str | None:
    """Return whose value is better by more than the figure's margin, None where neither's is."""
    (one, value1), (two, value2) = first, second
    if abs(value1 - value2) <= max(figure.margin, figure.relative_margin * max(abs(value1), abs(value2))):
        return None
    return one.name if (value1 < value2) == lower_is_better else two.name


def _over_all(each: Entrant, speed: float) -> float:
    """Return a speed of the last seconds as it was over the whole training, in a unit that both models share."""
    model = each.model
    if not model["images_per_second"] or not model["elapsed_seconds"]:
        return 0.0
    return float(speed / model["images_per_second"] * model["epoch"] / model["elapsed_seconds"])


def _first_to_reach(column: str, one: Entrant, two: Entrant, margin: float) -> str | None:
    """Return who certainly had the target accuracy first; None where the evaluations leave it open.

    A model reached it after the evaluation before, and by the one that shows it; where these spans of both models
    touch, or come closer than a share `margin` of the later one's begin, either may have been first: by the clock the
    same epoch of two equal models ends at two times.
    """
    (after1, by1), (after2, by2) = (_span_to_target(column, each) for each in (one, two))
    return one.name if by1 < after2 * (1 - margin) else two.name if by2 < after1 * (1 - margin) else None


def _span_to_target(column: str, each: Entrant) -> tuple[float, float]:
    """Return between which values of a column of evaluations a model reached the target; no end where it has not.

    Those at the ends of epochs alone count: half an epoch apart, chance puts one of two equal models before the other.
    """
    epochs, places = each.evaluations["epoch"], each.evaluations[column]
    ends = [index for index, epoch in enumerate(epochs) if epoch == int(epoch)]
    accuracies = [each.evaluations["accuracy"][index] for index in ends]
    at = [0.0, *(places[index] for index in ends)]
    index = measures.time_to_accuracy({"accuracy": accuracies}, measures.CONVERGENCE)
    return (at[-1], math.inf) if index is None else (at[index], at[index + 1])
