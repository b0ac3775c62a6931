"""Repeats: what pairs of trainings with different seeds say about the settings, by Student's t."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from analysis.significance import ALPHA, say_p
from config import MODEL_NAMES
from history.records import Status, label
from history.states import INTERRUPTED, LEAST_COMPLETE, UNENDED_STATES

ENOUGH = 5  # pairs that a claim about the settings needs (Bouthillier 2021)
ENOUGH_DECIDED = 6  # pairs with a winner, from which a two-sided sign test can reach 5 %
SAME = 1e-9  # differences no further apart are equal: accuracies are counts over 10,000
Curve = Mapping[str, Sequence[float]]  # "epoch" and "accuracy" of one model's evaluations


def confidence(pairs: int) -> float:
    """Return the confidence of the interval of so many pairs, and so of the claim: 99 %, and 98.7 % from ten on.

    At the usual 95 %, exponentially skewed differences that have a mean of zero leave zero out in 12, 10 and 8 % of
    series of 5, 10 and 20 pairs; here in at most 6 %. Ten pairs still find a difference of 1.5 standard deviations
    nine times in ten (`benchmarks/claims.py`).
    """
    return 0.99 if pairs < 10 else 0.987


def student_interval(differences: Sequence[float]) -> tuple[float, float, float] | None:
    """Return the ends of Student's t interval of the mean of paired differences, and the p-value of no difference.

    None of fewer than two, or of equal ones: without a spread there is no telling what chance does. Differences and
    ends are fractions. Student 1908; scipy `ttest_1samp`.
    """
    if len(differences) < 2 or max(differences) - min(differences) < SAME:
        return None
    from scipy import stats  # 0.5 s to import, and rarely wanted

    found = stats.ttest_1samp(differences, 0)
    low, high = found.confidence_interval(confidence(len(differences)))
    return float(low), float(high), float(found.pvalue)


def sign_test(wins1: int, wins2: int) -> float:
    """Return the p-value of the exact two-sided sign test: of so many tosses of a fair coin. scipy `binomtest`."""
    from scipy import stats

    return float(stats.binomtest(wins1, wins1 + wins2).pvalue) if wins1 + wins2 else 1.0


def result(
    differences: Sequence[float], ended: bool, *, stopped: bool = False, missing: int = 0
) -> dict[str, Any] | None:
    """Return what the pairs that have ended tell of the settings, and "text": the same in words, of which
    "first" is what is so and "second" what that rests on; None of no pair.

    differences: of each pair in order, model 1's test accuracy minus model 2's as a fraction; −inf where model 1
    failed, +inf where model 2 did, NaN where both did. ended: whether the series has ended as planned; stopped:
    whether before; missing: pairs of it that the history no longer has. Only a series that has ended as planned, and
    whole, can have a "claim", "model1" or "model2", else None: one that may stop where it looks good claims too often.

    "mean", "low" and "high" are fractions, the interval that of the test, which stands in "p". Where a training
    failed they are None: what a failed one would have reached nobody knows. It loses its pair, and the exact sign
    test over the pairs that are not tied decides; so it does where all pairs differ alike.
    """
    if not differences:
        return None
    differences = [float(difference) for difference in differences]
    count, wins1, wins2 = len(differences), sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    failed1, failed2 = (sum(d == lost or math.isnan(d) for d in differences) for lost in (-math.inf, math.inf))
    mean = None if failed1 or failed2 else fmean(differences)
    interval = None if mean is None else student_interval(differences)
    low, high, p = interval or (None, None, sign_test(wins1, wins2))
    if mean is not None and low is not None and high is not None:
        better = MODEL_NAMES[0 if mean > 0 else 1]
        is_clear = count >= ENOUGH and (low > 0 or high < 0)
    else:
        better = MODEL_NAMES[0 if wins1 > wins2 else 1]
        is_clear = p < ALPHA  # 6 decided pairs can reach it, 5 cannot
    found = {
        "pairs": count,
        "mean": mean,
        "low": low,
        "high": high,
        "wins1": wins1,
        "wins2": wins2,
        "ties": count - wins1 - wins2,
        "failed1": failed1,
        "failed2": failed2,
        "p": p,
        "whole": ended and not stopped and not missing,
        "claim": better if is_clear and ended and not stopped and not missing else None,
    }
    first, second = sentence(found, ended=ended, stopped=stopped, missing=missing)
    return found | {"text": f"{first}: {second}", "first": first, "second": second}


def sentence(found: Mapping[str, Any], *, ended: bool, stopped: bool, missing: int) -> tuple[str, str]:
    """Return what `result` has found in words: what is so, and what that rests on."""
    count, what = found["pairs"], evidence(found)
    pairs = f"{count} pair{'s' * (count > 1)}"
    if found["claim"]:
        return f"{label(found['claim'])}'s settings are better", f"over {pairs} of seeds, {what}."
    if stopped:
        rule = "A claim takes all pairs that were planned: a series that ends where it looks good finds chance."
        return f"Stopped early, after {pairs}", f"{what}. {rule}"
    if missing:
        gone = "1 pair of the series is" if missing == 1 else f"{missing} pairs of the series are"
        rule = "missing from the history, and leaving pairs out can choose the winner"
        return "No claim", f"{gone} {rule}; in {pairs}, {what}."
    if not ended:
        least = f"{ENOUGH_DECIDED} decided pairs" if found["failed1"] or found["failed2"] else f"{ENOUGH} pairs"
        return f"{pairs} so far", f"{what}. A claim takes at least {least}, and the end of the series."
    if count < ENOUGH:
        return f"Only {pairs}", f"at least {ENOUGH} are needed to speak of the settings; here, {what}."
    return "Too close to call", f"over {pairs} of seeds, {what}, and that could be chance."


def evidence(found: Mapping[str, Any]) -> str:
    """Return the figures that a sentence rests on, in words."""
    mean, low, high = (found[name] for name in ("mean", "low", "high"))
    signs = f"sign test, {say_p(found['p'], digits=3)}"
    if mean is None:
        failures = [f"model {number} failed in {found[f'failed{number}']}" for number in (1, 2)]
        failed = " and ".join(text for text in failures if not text.endswith(" 0"))
        wins = f"model 1 won {found['wins1']} and model 2 won {found['wins2']} ({signs})"
        return f"{wins}; {failed}, and a failed training loses its pair"
    gap = f"{points(mean)} points of test accuracy"
    if found["pairs"] == 1:
        return f"{gap}, model 1 minus model 2"
    if low is None or high is None:
        return f"{gap} in each, model 1 minus model 2 ({signs})"
    span = f"{100 * confidence(found['pairs']):g} % interval {points(low)} to {points(high)}"
    return f"{gap} on average ({span}, model 1 minus model 2)"


def points(difference: float) -> str:
    """Return a difference of two accuracies in points, with its sign, such as "+0.52"."""
    return f"{100 * difference:+.2f}".replace("-0.00", "+0.00").replace("-", "−")


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


def pair_state(states: Iterable[str]) -> str:
    """Return the state of a pair: "running" while a model is on, else the first of these that one of them is in."""
    found = set(states)
    if found & UNENDED_STATES:
        return "running"
    return next(state for state in LEAST_COMPLETE if state in found)


def pairs_and_result(series: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the pairs of a series as `/api/repeats` lists them, and what `result` tells of them."""
    complete = {run: statuses for run, statuses in series["runs"].items() if set(statuses) == set(MODEL_NAMES)}
    by_seed = {statuses[MODEL_NAMES[0]].config["seed"]: (run, statuses) for run, statuses in complete.items()}
    ended = series["state"] == "finished"
    pairs: list[dict[str, Any]] = []
    differences: list[float] = []
    for seed in series["plan"]["seeds"]:
        run, statuses = by_seed.get(seed, (None, {}))
        absent = "deleted" if seed in series["deleted"] else "missing" if ended else "waiting"
        difference = difference_of(statuses)
        if difference is not None:
            differences.append(difference)
        pairs.append(
            {
                "run": run,
                "seed": seed,
                "state": pair_state(status.state for status in statuses.values()) if statuses else absent,
                "failed": [name for name in MODEL_NAMES if statuses and statuses[name].state == "failed"],
                "delta": difference if difference is not None and math.isfinite(difference) else None,
            }
            | {name: statuses[name].test_accuracy if statuses else None for name in MODEL_NAMES}
        )
    gone = len(pairs) - len(differences) if ended else sum(pair["state"] == "deleted" for pair in pairs)
    stopped = series["state"] in ("stopped", INTERRUPTED)
    return pairs, result(differences, ended, stopped=stopped, missing=gone)


def difference_of(statuses: Mapping[str, Status]) -> float | None:
    """Return what `result` takes of a pair that has ended, from each model's last status; None before its end."""
    if not statuses or pair_state(status.state for status in statuses.values()) not in ("finished", "failed"):
        return None
    one, two = (
        -math.inf if status.state == "failed" else status.test_accuracy
        for status in (statuses[name] for name in MODEL_NAMES)
    )
    return None if one is None or two is None else one - two  # −∞ − −∞ is NaN: where both failed
