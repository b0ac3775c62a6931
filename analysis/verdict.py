"""Verdict: what `/api/comparison` answers: who leads, by how much, and every figure of both models.

Puts the statement, the table and the notes together; pure functions, and no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from analysis import measures
from analysis.case import Case, Lead, McNemar
from analysis.entrant import IMAGES, Entrant, reached
from analysis.leads import lead
from analysis.notes import notes
from analysis.outcomes import outcomes
from analysis.pairing import are_known
from analysis.significance import CAVEAT, say_p, widest_noise, wilson_interval
from analysis.statement import Statement, make_statement, say_choice, say_differences
from analysis.table import rows
from config import differing_settings
from history.events import read_fork, read_rates, read_schedule
from history.records import Event, Model, Recent
from history.states import SEVERITY, UNENDED_STATES


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
    pairing: Mapping[str, Any] | None = None,
    among: int | None = None,
    is_loaded: bool = True,
) -> dict[str, Any]:
    """Return the comparison of two models as `/api/comparison` answers it.

    models: as in `/api/metrics`, of which state, figures and evaluations are used; recent: their last losses at full
    resolution; descriptions: what they cost; images: how many each split has; gpu_use: a fraction, None where there is
    no GPU; significance: what the test images said, once both have ended; right_images: of each evaluation, where
    it is known; events: of each model; repeats: what repeats.result tells of a series with the same settings;
    pairing: what pairing.pairing tells of any two trainings, None of both models of a run; among: of how many trainings
    they were chosen; is_loaded: whether PyTorch has, which work and test answers need.
    """
    one, two = entrants_of(models, recent, descriptions, right_images or {}, events or {})
    apart = pairing is not None and not pairing["same_run"]
    leads = {
        each: lead(one, two, each, "accuracy", images, apart=apart, among=among) for each in ("epochs", "seconds", axis)
    }
    case = make_case(one, two, leads[axis], axis, significance, repeats, images, is_loaded, pairing, among)
    statement = make_statement(case)
    pair = make_statement(replace(case, repeats=None))  # what this one pair tells, whatever repeats do
    return {
        "run": run,
        "axis": axis,
        "state": overall_state(one, two),
        "verdict": verdict(one, two, axis, images, leads[axis], statement, pair, significance)
        | {"loss": lead(one, two, axis, "loss", images, apart=apart), "caveat": among and say_choice(among)},
        "test": {each.name: outcome(each, images["test"]) for each in (one, two)},
        "attribution": {
            "differing": list(case.differing),
            "text": statement.second or say_differences(case),
            "pairing": pairing and pairing["text"],
        },
        "targets": [
            {"accuracy": target} | {each.name: reached(each, target, images["train"]) for each in (one, two)}
            for target in measures.TARGETS
        ],
        "interval": {each.name: each.evaluation_interval for each in (one, two)},
        "rows": rows(one, two, images, gpu_use, statement, case.tested, apart=apart, among=among),
        "outcomes": outcomes(one, two, case, images["validation"]),
        "notes": [note._asdict() for note in notes(one, two, images, leads, case.tested, apart=apart)],
        "significance": significance and {**significance, **say_test(case, pair)},
    }


def entrants_of(
    models: Mapping[str, Model],
    recent: Mapping[str, Recent],
    descriptions: Mapping[str, Mapping[str, Any] | None],
    right_images: Mapping[str, Sequence[bytes | None]],
    events: Mapping[str, Sequence[Event]],
) -> list[Entrant]:
    return [
        Entrant(
            name,
            model,
            recent.get(name, Recent(0, [])),
            descriptions.get(name),
            right_images.get(name, ()),
            events.get(name, ()),
        )
        for name, model in models.items()
    ]


def say_test(case: Case, pair: Statement) -> dict[str, Any]:
    """Return what McNemar's test means; pair: the statement on this one pair, without repeats."""
    said = {"leader": case.tested and case.tested.leader, "text": pair.first}
    return said if case.among is None else said | {"caveat": f"{CAVEAT} {say_choice(case.among)}"}


def overall_state(one: Entrant, two: Entrant) -> str:
    """Return the state of the comparison: that of the model which is still on, else the worse end."""
    states = {one.model["state"], two.model["state"]}
    return next((state for state in SEVERITY if state in states), "idle")


def make_case(
    one: Entrant,
    two: Entrant,
    ahead: Mapping[str, Any],
    axis: str,
    significance: Mapping[str, Any] | None,
    repeats: Mapping[str, Any] | None,
    images: Mapping[str, int],
    is_loaded: bool,
    pairing: Mapping[str, Any] | None,
    among: int | None,
) -> Case:
    """Return all that the statement is made of; ahead: the lead at an equal place on the axis."""
    known = None
    apart = pairing is not None and not pairing["same_run"]
    by_clock = apart and axis == "seconds"
    if ahead["at"] is not None and not by_clock:
        widest = widest_noise(ahead[one.name], ahead[two.name], images["validation"], among)
        noise = widest if ahead["noise"] is None else ahead["noise"]
        known = Lead(axis, ahead["leader"], ahead["gap"], noise, known=ahead["noise"] is not None)
    forks = forks_of(one, two)
    copy, forked = (two.name, None) if apart or not forks else next(iter(forks.items()))
    steered = {each.name: rates for each, other in ((one, two), (two, one)) if (rates := learning_rates(each, other))}
    both_evaluated = bool(one.evaluations["epoch"] and two.evaluations["epoch"])
    return Case(
        states={each.name: each.model["state"] for each in (one, two)},
        epochs={each.name: each.model["epoch"] for each in (one, two)},
        lead=known,
        tested=read_test(one, two, significance, among),
        differing=differing_settings(one.config, two.config),
        steered=steered,
        went_on=ways_on(one, two),
        forked=forked,
        copy=copy,
        repeats=repeats,
        both_evaluated=both_evaluated,
        cut_short=any(
            each.model["state"] not in UNENDED_STATES and not each.evaluations["epoch"] for each in (one, two)
        ),
        tests_pending=not is_loaded and all(each.model["test_accuracy"] is not None for each in (one, two)),
        work_pending=not is_loaded and axis == "flops",
        apart=other_conditions(pairing) if pairing is not None and apart else None,
        forks=forks if apart else None,
        by_clock=by_clock and both_evaluated,
        among=among,
    )


def other_conditions(pairing: Mapping[str, Any]) -> list[str]:
    """Return what is known to have been otherwise for two trainings of different runs."""
    return [each["what"] for each in pairing["conditions"] if are_known(each)]


def forks_of(one: Entrant, two: Entrant) -> dict[str, str]:
    """Return what the latest fork of each model changed that the other has not been through."""
    forks: dict[str, str] = {}
    for each, other in ((two, one), (one, two)):
        own = [change for event in each.events if event not in other.events and (change := read_fork(event))]
        forks |= {each.name: own[-1]} if own else {}
    return forks


def read_test(
    one: Entrant, two: Entrant, significance: Mapping[str, Any] | None, among: int | None = None
) -> McNemar | None:
    if significance is None:
        return None
    only1, only2 = significance["only1"], significance["only2"]
    ahead = None if only1 == only2 else one.name if only1 > only2 else two.name
    return McNemar(ahead, abs(only1 - only2) / count_images(significance), significance["p_value"], among)


def count_images(significance: Mapping[str, Any]) -> int:
    return sum(significance[outcome] for outcome in ("both_right", "only1", "only2", "both_wrong"))


def ways_on(one: Entrant, two: Entrant) -> dict[str, str]:
    """Return in words how each model with a schedule went on for more epochs, where the other did not go on alike."""
    ways: dict[str, str] = {}
    for each, other in ((one, two), (two, one)):
        for event in each.events:
            how = read_schedule(event)
            if how and event not in other.events:
                ways[each.name] = how
    return ways


def learning_rates(each: Entrant, other: Entrant) -> list[float]:
    """Return the learning rates that a model has had in their order, where its own was changed on the way, else none.

    From the events, so that a rate that was changed back counts too. What happened before a fork happened to both, and
    a change that no batch has seen has brought about nothing.
    """
    own = [(event, rates) for event in each.events if event not in other.events and (rates := read_rates(event))]
    changes = [rates for event, rates in own if event.step < each.model["step"]]
    if own or each.model.get("held_rate") is not None:  # the events tell all
        return [changes[0][0], *(now for _, now in changes)] if changes else []
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
    """Return the test accuracy with its 95 % interval; None until the run has finished, or was stopped."""
    accuracy = each.model["test_accuracy"]
    if accuracy is None:
        return None
    low, high = wilson_interval(accuracy, count)
    return {"accuracy": accuracy, "low": low, "high": high}
