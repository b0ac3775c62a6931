"""What is said of two models: the exact words of the main cases, and no contradiction in any."""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from analysis.case import Case, Lead, McNemar
from analysis.repeats import ENOUGH
from analysis.significance import say_p
from analysis.statement import CASES, Statement, make_statement

DONE = {"model1": "finished", "model2": "finished"}
LIVE = {"model1": "running", "model2": "running"}
STOPPED = {"model1": "stopped", "model2": "finished"}
EPOCHS = {"model1": 0.523, "model2": 5.0}
CLEAR, CLOSE = Lead("epochs", "model1", 0.012, 0.006), Lead("epochs", "model1", 0.002, 0.006)
CHANCE, REAL = McNemar("model1", 0.002, 0.86), McNemar("model1", 0.012, 0.0004)
OPEN_SERIES = {"pairs": 5, "claim": None, "text": "Too close to call: over 5 pairs …"}
CLAIMED = "Model 1's settings are better: by 0.45 points of test accuracy on average over 10 pairs."
CLAIM = {"pairs": 10, "claim": "model1", "text": CLAIMED}


def case(**news: Any) -> Case:
    return Case(**({"states": DONE, "epochs": EPOCHS, "differing": ["dropout"]} | news))


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (
            {"states": LIVE, "lead": CLEAR},
            "Model 1 leads by 1.2 points so far at equal epochs (noise of the validation images "
            "±0.6 points). This can still change. One setting differs (dropout).",
        ),
        (
            {"states": LIVE, "lead": CLOSE},
            "Too close to call so far: model 1 leads by 0.2 points at equal epochs, within the noise of the validation "
            "images (±0.6 points). This can still change. One setting differs (dropout).",
        ),
        (
            {"states": LIVE, "lead": Lead("flops", None, 0.0001, 0.006), "differing": []},
            "Too close to call so far: neither leads at equal FLOPs. This can still change. No setting differs.",
        ),
        (
            {"states": STOPPED, "lead": CLEAR, "tested": REAL},
            "Model 1 scores 1.20 points more on the test images, more than chance between these two networks "
            "(p < 0.001). One setting differs (dropout). They were tested at different times: model 1 after 0.52 "
            "epochs, model 2 after 5.00. The gap cannot be put down to one of these. Repeats with other seeds tell "
            "more.",
        ),
        (
            {"lead": CLEAR, "tested": CHANCE},
            "Too close to call: model 1 scores 0.20 points more on the test images, within chance between "
            "these two networks (p = 0.86). One setting differs (dropout). One pair tells nothing about it. "
            "Repeats with other seeds tell more.",
        ),
        (
            {"lead": CLOSE, "tested": REAL},
            "Model 1 scores 1.20 points more on the test images, more than chance between these two networks "
            "(p < 0.001). One setting differs (dropout). One pair cannot tell whether the gap is its doing. "
            "Repeats with other seeds tell more.",
        ),
        (
            {"lead": CLOSE, "tested": McNemar(None, 0.0, 1.0)},
            "Too close to call: both models score the same on the test images (p = 1.00). One setting differs "
            "(dropout). One pair tells nothing about it. Repeats with other seeds tell more.",
        ),
        (
            {"tested": REAL, "lead": CLEAR, "differing": ["optimizer", "learning_rate", "epochs"]},
            "Model 1 scores 1.20 points more on the test images, more than chance between these two networks "
            "(p < 0.001). 3 settings differ (optimizer, learning rate, epochs). The gap cannot be put down to one of "
            "these. Repeats with other seeds tell more.",
        ),
        (
            {"states": LIVE, "by_clock": True, "apart": ["device"]},
            "No comparison at equal seconds: these trainings are of different runs. How long they took also depends on "
            "the machine, on the program's version and on what else ran.",
        ),
        (
            {"lead": CLEAR, "apart": []},
            "Model 1 leads by 1.2 points at equal epochs (noise of the validation images ±0.6 points). The answers "
            "to the test images were not kept. They are of different runs. One setting differs (dropout). One pair "
            "cannot tell whether the gap is its doing. Repeats with other seeds tell more.",
        ),
        (
            {"tested": REAL, "apart": ["device", "program version"], "forks": {"model2": "dropout 0.5 → 0.2"}},
            "Model 1 scores 1.20 points more on the test images, more than chance between these two networks "
            "(p < 0.001). They are of different runs, with another device and program version. One setting differs "
            "(dropout). Model 2 was forked on the way (dropout 0.5 → 0.2). The gap cannot be put down to one of these.",
        ),
        (
            {"tested": REAL, "apart": [], "forks": {"model2": "dropout 0.5 → 0.2"}},
            "Model 1 scores 1.20 points more on the test images, more than chance between these two networks "
            "(p < 0.001). They are of different runs. One setting differs (dropout). Model 2 was forked on the way "
            "(dropout 0.5 → 0.2). One pair cannot tell whether the gap is its doing.",
        ),
        (
            {"tested": McNemar("model1", 0.012, 0.0004, 40), "apart": [], "among": 40},
            "Too close to call: model 1 scores 1.20 points more on the test images (p < 0.001), and the choice among "
            "40 trainings may be why. They are of different runs. One setting differs (dropout). One pair tells "
            "nothing about it. Repeats with other seeds tell more. Chosen among 40 trainings: who picks from a list "
            "picks luck as well, so expect a smaller gap when both are trained again.",
        ),
        (
            {"tested": McNemar("model1", 0.05, 1e-9, 40), "apart": [], "among": 40, "differing": []},
            "Model 1 scores 5.00 points more on the test images, more than chance between these two networks "
            "(p < 0.001), also of two chosen among 40. They are of different runs. No setting differs. A gap does not "
            "come from the settings. Chosen among 40 trainings: who picks from a list picks luck as well, so expect a "
            "smaller gap when both are trained again.",
        ),
        (
            {"forked": "dropout 0.5 → 0.2", "copy": "model1", "lead": CLEAR, "states": LIVE},
            "Model 1 leads by 1.2 points so far at equal epochs (noise of the validation images ±0.6 points). This can "
            "still change. Model 1 is a copy of model 2 with one change (dropout 0.5 → 0.2).",
        ),
        (
            {"tested": REAL, "lead": CLEAR, "differing": ["seed"]},
            "Model 1 scores 1.20 points more on the test images, more than chance between these two networks "
            "(p < 0.001). Only the seed differs. A gap shows what the seed alone does.",
        ),
        (
            {"tested": REAL, "lead": CLEAR, "steered": {"model2": [0.001, 0.0003, 0.001]}, "differing": []},
            "Model 1 scores 1.20 points more on the test images, more than chance between these two networks "
            "(p < 0.001). No setting differs. Model 2's learning rate was changed on the way, from 0.001 to 0.0003, "
            "then to 0.001. One pair cannot tell whether the gap is its doing.",
        ),
        (
            {"tested": CHANCE, "lead": CLEAR, "steered": {"model1": [0.001, 0.01]}},
            "Too close to call: model 1 scores 0.20 points more on the test images, within chance between "
            "these two networks (p = 0.86). One setting differs (dropout). Model 1's learning rate was changed on the "
            "way, from 0.001 to 0.01. The gap cannot be put down to one of these.",
        ),
        (
            {"tested": REAL, "lead": CLEAR, "forked": "dropout 0.5 → 0.2"},
            "Model 1 scores 1.20 points more on the test images, more than chance between these two networks "
            "(p < 0.001). Model 2 is a copy of model 1 with one change (dropout 0.5 → 0.2). One pair cannot tell "
            "whether the gap is its doing.",
        ),
        (
            {"states": {"model1": "failed", "model2": "running"}, "lead": CLEAR},
            "Model 1 failed at epoch 0.52; model 2 goes on alone.",
        ),
        (
            {"states": {"model1": "failed", "model2": "failed"}, "lead": CLEAR},
            "Both models failed: there is nothing to compare.",
        ),
        (
            {"states": STOPPED, "lead": CLEAR},
            "Model 1 leads by 1.2 points at equal epochs (noise of the validation images ±0.6 points). "
            "Not both were tested, so no test decides. One setting differs (dropout). One pair cannot tell whether the "
            "gap is its doing. Repeats with other seeds tell more.",
        ),
        (
            {"lead": Lead("epochs", "model1", 0.002, 0.012, known=False)},
            "Too close to call: model 1 leads by 0.2 points at equal epochs, within the noise of the validation images "
            "(±1.2 points at most). The answers to the test images were not kept. One setting differs (dropout). "
            "One pair tells nothing about it. Repeats with other seeds tell more.",
        ),
        (
            {"states": STOPPED, "lead": CLEAR, "tested": REAL, "differing": []},
            "Model 1 scores 1.20 points more on the test images, more than chance between these two networks "
            "(p < 0.001). No setting differs. They were tested at different times: model 1 after 0.52 epochs, model 2 "
            "after 5.00. A gap does not come from the settings.",
        ),
        (
            {"tested": CHANCE, "lead": CLEAR, "repeats": OPEN_SERIES},
            "Too close to call: model 1 scores 0.20 points more on the test images, within chance between "
            "these two networks (p = 0.86). One setting differs (dropout). 5 pairs of repeats name no winner of these "
            "settings.",
        ),
        (
            {"tested": REAL, "lead": CLEAR, "repeats": CLAIM},
            f"{CLAIMED} The difference is due to dropout, the one setting that differs in the repeats. "
            "This pair goes the same way by 1.20 points.",
        ),
        (
            {"tested": McNemar("model2", 0.002, 0.8), "lead": CLEAR, "repeats": CLAIM},
            f"{CLAIMED} The difference is due to dropout, the one setting that differs in the repeats. "
            "This pair alone does not tell.",
        ),
        (
            {"states": LIVE, "lead": CLEAR, "repeats": CLAIM, "differing": ["dropout", "epochs"]},
            f"{CLAIMED} 2 settings differ (dropout, epochs). Which of that does it, the repeats cannot tell. "
            "This pair goes the same way so far.",
        ),
        (
            {"states": LIVE},
            "The first comparison comes once both models have been evaluated, a quarter into the first epoch.",
        ),
        ({"states": STOPPED}, "No comparison: the models have no evaluation in common."),
    ],
)
def test_main_cases_read_so(known: Mapping[str, Any], expected: str) -> None:
    assert make_statement(case(**known)).text == expected


LEADERS = ("model1", "model2", None)
STATES = (LIVE, DONE, STOPPED, {"model1": "failed", "model2": "running"}, {"model1": "failed", "model2": "failed"})
DIFFERING = (
    [],
    ["dropout"],
    ["seed"],
    ["dropout", "seed"],
    ["epochs"],
    ["kernels", "optimizer", "epochs", "batch_size"],
)
STEERED = (None, {"model1": [0.001, 0.1]}, {"model1": [0.001, 0.1, 0.001], "model2": [0.001, 0.5]})
SERIES = (None, {"pairs": 2, "claim": None, "text": "…"}, OPEN_SERIES, CLAIM)


def every_case() -> Iterator[Case]:
    """The whole product of what can be so."""
    leads = [None, *(Lead("epochs", each, 0.012, noise) for each in LEADERS for noise in (0.006, 0.02))]
    tests = [
        None,
        *(McNemar(each, 0.01 if each else 0.0, p) for each in LEADERS for p in (0.01, 0.5) if each or p > 0.05),
    ]
    product = itertools.product(STATES, leads, tests, DIFFERING, STEERED, (None, "dropout 0.5 → 0.2"), SERIES)
    for states, lead, tested, differing, steered, forked, repeats in product:
        if (tested and states is not DONE) or (tested and lead is None) or (forked and differing != ["dropout"]):
            continue  # the test comes at both ends, and after evaluations; a fork changes one setting
        one = Case(states, EPOCHS, lead, tested, differing, steered, forked, repeats)
        yield one
        if not forked and not repeats:
            yield replace(one, apart=["device"], lead=None, by_clock=lead is not None)
            yield replace(one, apart=[], among=40, tested=tested and replace(tested, among=40))


def carried(case: Case) -> set[str]:
    """The models that the numbers allow to be called ahead."""
    if case.failed:
        return {model for model in case.states if model not in case.failed}
    if case.claim and (case.lead or case.tested):
        return {case.claim}
    if case.tested:
        pairs = 40 * 39 / 2 if case.among else 1
        return {case.tested.ahead} if case.tested.ahead and case.tested.p_value < 0.05 / pairs else set()
    lead = case.lead
    return {lead.leader} if lead and lead.leader and lead.gap >= lead.noise else set()


def test_no_case_contradicts_itself() -> None:
    count = 0
    for case in every_case():
        said = make_statement(case)
        check(case, said)
        count += 1
    assert count > 5_000


def check(case: Case, said: Statement) -> None:
    """Fail where the words claim more than the numbers carry, or two things at once."""
    text = said.text
    doubt = re.search(r"(?i)too close|within chance|within the noise", text)
    firm = re.search(r"more than chance|better|due to", text)
    assert not (doubt and firm), text
    assert said.leader in (carried(case) or {None}), text
    assert not (doubt and said.leader), text
    # one claims a cause, or that settings are better, only after repeats
    assert bool(re.search(r"better", text)) == (bool(case.claim) and said.leader == case.claim and not case.failed), (
        text
    )
    assert "due to" not in text or case.claim, text
    assert "due to seed" not in text
    assert "more than chance" not in text or (case.tested and case.tested.leader), text
    # what is on is never settled
    assert not (case.is_live and said.is_verdict and not case.failed and not case.claim) or "can still change" in text
    # one leader, and one count of differing settings
    heads = re.findall(r"(?i)(model [12])(?:'s settings are better| leads| scores)", text)
    assert len(heads) <= 1, text
    if heads and said.leader:
        assert heads[0].lower().replace(" ", "") == said.leader, text
    counts = re.findall(r"settings? differ|seed differs|with one change|one setting that differs in the repeats", text)
    assert len(counts) <= 1, text
    # what happened on the way is said wherever there is a comparison of the settings
    if said.is_verdict and not case.failed:
        assert len(re.findall("learning rate was changed on the way", text)) == len(case.steered or {}), text
        assert ("copy of model 1" in text) == bool(case.forked), text
    # repeats are offered where they would tell more
    if said.repeats:
        assert said.repeats == ENOUGH
        assert case.is_as_set and not case.failed and not case.is_live and not case.claim, text
        assert set(case.differing) - {"seed"}, text


def test_every_row_of_the_table_is_needed() -> None:
    met = {next(index for index, (holds, _) in enumerate(CASES) if holds(case)) for case in every_case()}
    assert met == set(range(len(CASES)))


@pytest.mark.parametrize(
    ("p_value", "text"),
    [
        (0.0001, "p < 0.001"),
        (0.0212, "p = 0.021"),
        (0.04996, "p = 0.04996"),
        (0.0504, "p = 0.050"),
        (0.05, "p = 0.050"),
        (0.86, "p = 0.86"),
    ],
)
def test_p_value_reads_on_its_side_of_the_limit(p_value: float, text: str) -> None:
    assert say_p(p_value) == text


def test_many_settings_are_counted_and_the_first_named() -> None:
    names = ["kernels", "optimizer", "learning_rate", "dropout", "batch_size", "epochs", "seed", "momentum"]
    text = make_statement(case(tested=REAL, lead=CLEAR, differing=names)).text
    assert "8 settings differ (kernels, optimizer, learning rate, dropout, batch size, epochs and 2 more)" in text
