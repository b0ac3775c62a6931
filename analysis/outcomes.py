"""Outcomes: how a pair turned out in each figure that a lesson may be about, and whether that is more than chance.

Of this one pair of trained networks: what it tells of their settings, only repeats say.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from analysis.case import Case
from analysis.entrant import Entrant
from analysis.leads import chance
from analysis.significance import widest_noise
from analysis.statement import make_statement, say_chosen
from data import TRAINING_SAMPLE
from history.records import known

TESTED, VALIDATED, OVERFITTED = FIGURES = ("test_accuracy", "validation_accuracy", "overfitting")


@dataclass(frozen=True)
class Outcome:
    """How two models compare in a figure. higher: who has more of it by more than chance may make, None for nobody."""

    higher: str | None
    text: str


def how_it_ended(case: Case) -> str:
    """Return in one word how far a pair can be told from: "live", "failed", "stopped", "changed" or "finished".

    "changed": something was changed on the way, so that more differs than the settings say.
    """
    if case.is_live or "idle" in case.states.values():
        return "live"
    if case.failed:
        return "failed"
    if set(case.states.values()) != {"finished"}:
        return "stopped"
    return "finished" if case.is_as_set else "changed"


def outcomes(one: Entrant, two: Entrant, case: Case, validation_images: int) -> dict[str, Any]:
    """Return how a pair ended, and once it has finished, the outcome of each figure that is known.

    The validation accuracy is that at an equal place on the axis of the case's lead.
    """
    figures: dict[str, Outcome | None] = {}
    if how_it_ended(case) == "finished":
        alone = replace(case, repeats=None)
        figures[TESTED] = outcome_on_tests(alone)
        figures[VALIDATED] = outcome_on_lead(alone)
        figures[OVERFITTED] = compare_overfitting(one, two, validation_images, case.among)
    told = {figure: {"higher": each.higher, "text": each.text} for figure, each in figures.items() if each}
    return {"ended": how_it_ended(case), "figures": told}


def outcome_on_tests(case: Case) -> Outcome | None:
    return Outcome(case.tested.leader, make_statement(case).first) if case.tested else None


def outcome_on_lead(case: Case) -> Outcome | None:
    if case.lead is None:
        return None
    higher = None if case.lead.is_within_noise else case.lead.leader
    return Outcome(higher, make_statement(replace(case, tested=None)).first)


def compare_overfitting(one: Entrant, two: Entrant, validation_images: int, among: int | None = None) -> Outcome | None:
    """Return whose training accuracy lies further above its validation accuracy; None where that was not measured.

    The noise is the widest that chance may make of the sample of training images, since it was not kept which of them
    each model had right, together with that of the validation images.
    """
    last = [len(each.evaluations["accuracy"]) - 1 for each in (one, two)]
    columns = ("accuracy", "train_accuracy")
    ends = [[value for key in columns for value in each.evaluations.get(key, [])[-1:]] for each in (one, two)]
    if not all(len(end) == len(columns) and all(map(known, end)) for end in ends):
        return None
    (validated1, trained1), (validated2, trained2) = ends
    on_validation, _ = chance(one, last[0], validated1, two, last[1], validated2, validation_images, among)
    noise = math.hypot(on_validation, widest_noise(trained1, trained2, TRAINING_SAMPLE, among))
    gap1, gap2 = trained1 - validated1, trained2 - validated2
    difference = abs(gap1 - gap2)
    higher = None if difference < noise else one.name if gap1 > gap2 else two.name
    words = "more than" if higher else "within what"
    text = (
        f"Training accuracy above validation accuracy: model 1 by {_points(gap1)}, model 2 by {_points(gap2)}. "
        f"They differ by {_points(difference)}, {words} chance may make of these images "
        f"(±{_points(noise)} at most{say_chosen(among)})."
    )
    return Outcome(higher, text)


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f} points"
