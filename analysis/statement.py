"""Statement: all that is known of two models, said once, in words that a student can repeat.

Who leads, noise, significance, differing settings, steering, forks, failure and repeats are joined here and nowhere
else; every other place shows this statement or a part of it. CASES is the table of what can be so.

What the words promise: "leads" is what was measured so far; "more than chance" stands only where McNemar's test on the
test images finds it, and speaks of these two networks; "better" and "due to" stand only where repeats claim a winner,
since one pair never shows a cause. A lead while the models train is looked at many times, so no word calls it settled:
its gap and the noise of one look stand side by side (benchmarks/claims.py measures how often equal models show one).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from analysis.case import Case
from analysis.pairing import join
from analysis.repeats import ENOUGH
from analysis.significance import ALPHA, say_p
from history.records import label
from history.states import INTENDED_ENDS

MOST_NAMES = 6  # settings that are named; more are counted


@dataclass(frozen=True)
class Statement:
    """One statement in two sentences or less. leader, gap: whom it calls ahead, and by how much (a fraction).

    is_verdict: False where it only says what is awaited; repeats: how many pairs would tell more, None where none do.
    """

    first: str
    second: str = ""
    leader: str | None = None
    gap: float | None = None
    is_verdict: bool = True
    repeats: int | None = None

    @property
    def text(self) -> str:
        return f"{self.first} {self.second}".strip()


def make_statement(case: Case) -> Statement:
    """Return what can be said of a case, and no more."""
    said = next(say for holds, say in CASES if holds(case))(case)
    if case.among is None or not said.is_verdict:
        return said
    return replace(said, second=f"{said.second} {say_choice(case.among)}".strip())


def say_choice(among: int) -> str:
    """Return why a pair that was picked from a list is not what a pair is that was not."""
    return (
        f"Chosen among {among:,} trainings: who picks from a list picks luck as well, so expect a smaller gap when "
        "both are trained again."
    )


def say_chosen(among: int | None) -> str:
    """Return, within a sentence on what chance may do, that it also holds of a pair that was picked from a list."""
    return f", also of two chosen among {among:,}" if among else ""


def say_differences(case: Case) -> str:
    """Return what differs between the two models, once, and without a word on what it brings about."""
    names = [name.replace("_", " ") for name in case.differing]
    shown = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if names[MOST_NAMES:] else "")
    if case.forked:
        [source] = [model for model in case.states if model != case.copy]
        facts = [f"{label(case.copy)} is a copy of {_lower(source)} with one change ({case.forked})."]
    elif not names:
        facts = ["No setting differs."]
    elif names == ["seed"]:
        facts = ["Only the seed differs."]
    else:
        facts = [f"{f'{len(names)} settings differ' if names[1:] else 'One setting differs'} ({shown})."]
    facts += [f"{label(model)} was forked on the way ({change})." for model, change in (case.forks or {}).items()]
    for model, (first, *others) in (case.steered or {}).items():
        rates = ", then to ".join(f"{rate:.4g}" for rate in others)
        facts.append(f"{label(model)}'s learning rate was changed on the way, from {first:.4g} to {rates}.")
    facts += [f"{label(model)} went on {how}." for model, how in (case.went_on or {}).items()]
    return " ".join([*_say_runs(case), *facts, *_say_lengths(case)])


def _say_runs(case: Case) -> list[str]:
    if case.apart is None:
        return []
    return [
        f"They are of different runs, with another {join(case.apart)}." if case.apart else "They are of different runs."
    ]


def _say_lengths(case: Case) -> list[str]:
    if not case.is_unequally_long:
        return []
    lengths = [f"{_lower(model)} after {epochs:.2f}" for model, epochs in case.epochs.items()]
    return [f"They were tested at different times: {' epochs, '.join(lengths)}."]


# What is said where, from the first case that holds
def _say_both_failed(case: Case) -> Statement:
    return Statement("Both models failed: there is nothing to compare.")


def _say_one_failed(case: Case) -> Statement:
    [failed] = case.failed
    [other] = [model for model in case.states if model != failed]
    state = case.states[other]
    alone = "goes on alone" if case.is_live else "alone has a result" if state == "finished" else f"was {state}"
    first = f"{label(failed)} failed at epoch {case.epochs[failed]:.2f}; {_lower(other)} {alone}."
    return Statement(first, leader=other if case.is_live or state == "finished" else None)


def _say_what_is_awaited(case: Case) -> Statement:
    if set(case.states.values()) == {"idle"}:
        first = "Who will be ahead, by how much, and whether that is more than chance will stand here."
    elif case.work_pending:
        first = "The work per image is not known yet."
    elif case.both_evaluated:
        first = "No comparison yet: the models have been evaluated at no equal place on this axis."
    elif case.is_live and not case.cut_short:
        first = "The first comparison comes once both models have been evaluated, a quarter into the first epoch."
    else:
        first = "No comparison: the models have no evaluation in common."
    return Statement(first, is_verdict=False)


def _say_no_clock(case: Case) -> Statement:
    first = "No comparison at equal seconds: these trainings are of different runs."
    second = "How long they took also depends on the machine, on the program's version and on what else ran."
    return Statement(first, second, is_verdict=False)


def _say_claim(case: Case) -> Statement:
    assert case.repeats is not None
    settings = [name.replace("_", " ") for name in case.differing if name != "seed"]  # the models of a pair share one
    if len(settings) == 1:
        cause = f"The difference is due to {settings[0]}, the one setting that differs in the repeats."
        parts = [cause, _say_pair(case), *_say_lengths(case)]
    else:
        parts = [say_differences(case), "Which of that does it, the repeats cannot tell.", _say_pair(case)]
    return Statement(case.repeats["text"], " ".join(parts), leader=case.claim)


def _say_pair(case: Case) -> str:
    """Return how the pair that is shown stands beside what the repeats claim."""
    so_far = " so far" if case.is_live else ""
    if case.tested:
        ahead, shown = case.tested.leader, f" by {_points(case.tested.gap, 2)}"
    else:
        ahead, shown = case.lead.leader if case.lead and not case.lead.is_within_noise else None, so_far
    if ahead is None:
        return f"This pair alone does not tell{so_far}."
    if ahead == case.claim:
        return f"This pair goes the same way{shown}."
    return f"This pair goes the other way{shown}, as single pairs may."


def _say_test(case: Case) -> Statement:
    tested = case.tested
    assert tested is not None
    p = say_p(tested.p_value)
    also = say_chosen(tested.among)
    if tested.ahead is None:
        first = f"Too close to call: both models score the same on the test images ({p})."
    elif tested.leader is None and tested.p_value < ALPHA:
        more = f"{_lower(tested.ahead)} scores {_points(tested.gap, 2)} more on the test images ({p})"
        first = f"Too close to call: {more}, and the choice among {tested.among:,} trainings may be why."
    elif tested.leader is None:
        more = f"{_lower(tested.ahead)} scores {_points(tested.gap, 2)} more on the test images"
        first = f"Too close to call: {more}, within chance between these two networks ({p})."
    else:
        more = f"{label(tested.ahead)} scores {_points(tested.gap, 2)} more on the test images"
        first = f"{more}, more than chance between these two networks ({p}){also}."
    second, repeats = _say_cause(case, told=tested.leader is not None)
    gap = tested.gap if tested.leader else None
    return Statement(first, second, leader=tested.leader, gap=gap, repeats=repeats)


def _say_lead(case: Case) -> Statement:
    lead = case.lead
    assert lead is not None
    so_far = " so far" if case.is_live else ""
    place = f"at equal {'FLOPs' if lead.axis == 'flops' else lead.axis}"
    size = f"±{_points(lead.noise)}{'' if lead.known else ' at most'}{say_chosen(case.among)}"
    if lead.leader is None:
        first = f"Too close to call{so_far}: neither leads {place}."
    elif lead.is_within_noise:
        inside = f"within the noise of the validation images ({size})"
        first = f"Too close to call{so_far}: {_lower(lead.leader)} leads by {_points(lead.gap)} {place}, {inside}."
    else:
        noise = f"noise of the validation images {size}"
        first = f"{label(lead.leader)} leads by {_points(lead.gap)}{so_far} {place} ({noise})."
    leader = None if lead.is_within_noise else lead.leader
    if case.is_live:
        pairs = _say_repeats(case)
        second, repeats = f"This can still change. {say_differences(case)} {pairs}".strip(), None
    else:
        second, repeats = _say_cause(case, told=leader is not None)
        states = set(case.states.values())
        why = "Not both were tested, so no test decides."
        if states == {"finished"}:
            why = "The answers to the test images were not kept."
        if case.tests_pending and states <= INTENDED_ENDS:
            why = "The answers to the test images are read once PyTorch has loaded."
        second = f"{why} {second}"
    return Statement(first, second, leader=leader, gap=lead.gap if leader else None, repeats=repeats)


def _say_cause(case: Case, *, told: bool) -> tuple[str, int | None]:
    """Return what one pair tells of the settings, and how many repeats would tell more; told: whether one is ahead."""
    facts = say_differences(case)
    if case.causes == 0 or (case.is_as_set and not case.differing):
        return f"{facts} A gap does not come from the settings.", None
    if case.causes == 1 and "seed" in case.differing and not case.forked:
        return f"{facts} A gap shows what the seed alone does.", None
    if case.pairs:
        return f"{facts} {_say_repeats(case)}", ENOUGH if case.pairs < ENOUGH else None
    if case.causes > 1:
        facts = f"{facts} The gap cannot be put down to one of these."
    elif told:
        facts = f"{facts} One pair cannot tell whether the gap is its doing."
    else:
        facts = f"{facts} One pair tells nothing about it."
    can_be_repeated = case.is_as_set and set(case.differing) != {"seed"}
    return (f"{facts} Repeats with other seeds tell more.", ENOUGH) if can_be_repeated else (facts, None)


def _say_repeats(case: Case) -> str:
    """Return what a series with the same settings tells where it claims no winner."""
    if not case.pairs:
        return ""
    assert case.repeats is not None
    pairs = f"{case.pairs} pairs" if case.pairs > 1 else "One pair"
    if case.pairs < ENOUGH:
        few = "are too few" if case.pairs > 1 else "is too little"
        return f"{pairs} of repeats {few} to speak of the settings; that takes {ENOUGH} at least."
    if not case.repeats.get("whole", True):
        return f"{pairs} of repeats have ended, but not the whole series, so they name no winner of these settings."
    return f"{pairs} of repeats name no winner of these settings."


CASES: tuple[tuple[Callable[[Case], bool], Callable[[Case], Statement]], ...] = (
    (lambda case: len(case.failed) == 2, _say_both_failed),
    (lambda case: len(case.failed) == 1, _say_one_failed),
    (lambda case: case.by_clock and case.tested is None, _say_no_clock),
    (lambda case: case.lead is None and case.tested is None, _say_what_is_awaited),
    (lambda case: case.claim is not None, _say_claim),
    (lambda case: case.tested is not None, _say_test),
    (lambda case: True, _say_lead),
)


def _points(fraction: float, digits: int = 1) -> str:
    return f"{100 * fraction:.{digits}f} points"


def _lower(model: str) -> str:
    """Return what a model is called within a sentence."""
    return label(model).lower()
