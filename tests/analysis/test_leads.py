"""Who leads at an equal place, and by more than the noise of the images."""

import math

import pytest
from entrants import COSTS, bits, compared, entrant, having_right, note_ids, row

from analysis import verdict
from analysis.measures import AXES
from config import ModelConfig
from training.cost import describe_model

# Who leads


def test_leader_in_accuracy_and_loss_is_told_at_equal_epochs() -> None:
    result = compared(entrant([0.80, 0.90, 0.92]), entrant([0.80, 0.88]))
    assert result["verdict"]["accuracy"] == {
        "leader": "model1",
        "gap": pytest.approx(0.02),
        "at": 2,
        "model1": 0.90,
        "model2": 0.88,
        "noise": None,
        "within_noise": False,
        "text": result["verdict"]["first"],
    }
    assert result["verdict"]["loss"]["leader"] == "model1"
    assert result["verdict"]["loss"]["text"] == "Loss 0.100 against 0.120"
    assert result["verdict"]["first"].startswith("Model 1 leads by 2.0 points so far at equal epochs (noise of")
    assert result["verdict"]["text"] == f"{result['verdict']['first']} {result['verdict']['second']}"
    assert (result["verdict"]["leader"], result["verdict"]["gap"]) == ("model1", pytest.approx(0.02))
    assert result["verdict"]["axis_text"] == "at equal epochs (2.00)"


def test_loss_and_accuracy_may_have_different_leaders() -> None:
    result = compared(entrant([0.8], losses=[0.4]), entrant([0.9], losses=[0.5]))
    assert result["verdict"]["text"].startswith("Model 2 leads by 10.0 points so far")
    assert (result["verdict"]["accuracy"]["leader"], result["verdict"]["loss"]["leader"]) == ("model2", "model1")
    assert "oss" not in result["verdict"]["text"]


def test_equal_models_have_no_leader() -> None:
    result = compared(entrant([0.8, 0.9]), entrant([0.8, 0.9]))
    assert (result["verdict"]["accuracy"]["leader"], result["verdict"]["loss"]["leader"]) == (None, None)
    assert result["verdict"]["first"] == "Too close to call so far: neither leads at equal epochs."


def test_winner_can_flip_between_epochs_and_seconds() -> None:
    slow, fast = entrant([0.80, 0.90], epoch_seconds=30), entrant([0.78, 0.86, 0.88, 0.89, 0.90, 0.91])
    by_epochs, by_seconds = compared(slow, fast), compared(slow, fast, "seconds")
    assert by_epochs["verdict"]["accuracy"]["leader"] == "model1"
    assert by_seconds["verdict"]["accuracy"]["leader"] == "model2" or by_seconds["verdict"]["accuracy"]["within_noise"]
    assert by_seconds["verdict"]["axis_text"] == "at equal seconds (60.0 s)"
    faster = entrant([0.78, 0.86, 0.88, 0.89, 0.90, 0.93])
    assert "flip" in note_ids(compared(slow, faster))


def test_loss_that_broke_is_compared_where_it_last_was_whole() -> None:
    result = compared(entrant([0.8, 0.8], losses=[0.5, math.nan]), entrant([0.8, 0.9]))
    assert result["verdict"]["loss"]["at"] == 1
    assert result["verdict"]["accuracy"]["at"] == 2


@pytest.mark.parametrize("axis", AXES)
def test_nothing_is_said_before_both_have_an_evaluation(axis: str) -> None:
    for one, two in ((entrant(), entrant()), (entrant([0.8]), entrant())):
        result = compared(one, two, axis)["verdict"]
        assert {*result["accuracy"].values(), *result["loss"].values()} == {None}
        assert (result["text"], result["axis_text"]) == (None, None)


@pytest.mark.parametrize(
    ("axis", "value", "text"),
    [
        ("epochs", 1.5, "epochs (1.50)"),
        ("seconds", 12.34, "seconds (12.3 s)"),
        ("images", 82_500, "images (82,500)"),
        ("flops", 4.93e12, "FLOPs (4.93 TFLOP)"),
        ("flops", 1.2e15, "FLOPs (1.2 PFLOP)"),
        ("flops", 12, "FLOPs (12)"),
    ],
)
def test_places_on_an_axis_read_naturally(axis: str, value: float, text: str) -> None:
    assert verdict.axis_text(axis, value) == text


def test_models_of_different_work_meet_at_equal_flops() -> None:
    costs = {"model1": COSTS["model1"], "model2": describe_model(ModelConfig(kernels=(16, 32, 64, 128)))}
    one, two = entrant([0.80, 0.90]), entrant([0.7, 0.8, 0.85, 0.88, 0.90, 0.91, 0.92])
    work = [55_000 * cost["training_flops_per_image"] for cost in costs.values()]
    result = compared(one, two, "flops", descriptions=costs)["verdict"]["accuracy"]
    assert result["at"] == pytest.approx(min(2 * work[0], 7 * work[1]))


def test_flops_are_not_compared_before_they_are_known() -> None:
    result = compared(entrant([0.8]), entrant([0.9]), "flops", descriptions={})
    assert result["verdict"]["text"] is None
    assert result["targets"][0]["model1"] == {
        "epochs": 1,
        "seconds": 10,
        "images": 55_000,
        "flops": None,
        "interval": 1,
    }
    assert row(result, "memory")["model1"] is row(result, "flops_per_image")["model2"] is None
    assert row(result, "parameters")["model1"] == 422_026  # the run itself has told


# Noise


def test_lead_is_held_to_the_noise_of_the_same_images() -> None:
    one, two = entrant([0.80, 0.905]), entrant([0.80, 0.90])
    rights = {
        "model1": bits(having_right(4000), having_right(4525)),
        "model2": bits(having_right(4000), having_right(4500)),
    }
    close = compared(one, two)["verdict"]["accuracy"]
    assert (close["noise"], close["within_noise"]) == (None, True)  # whichever images they were
    told = compared(one, two, right_images=rights)["verdict"]["accuracy"]
    assert told["noise"] == pytest.approx(1.96 * math.sqrt(25 - 25**2 / 5_000) / 5_000, rel=1e-4)
    assert told["within_noise"] is False  # all that the second has right, the first has, too
    rights["model2"] = bits(having_right(4000), having_right(4500, first=500))
    assert compared(one, two, right_images=rights)["verdict"]["accuracy"]["within_noise"] is True


def test_between_two_evaluations_the_noise_is_that_of_the_one_before() -> None:
    slow, fast = entrant([0.80, 0.90], epoch_seconds=10), entrant([0.70, 0.90], epoch_seconds=14)
    rights = {
        "model1": bits(having_right(4000), having_right(4500)),
        "model2": bits(having_right(3500), having_right(4500)),
    }
    accuracy = compared(slow, fast, "seconds", right_images=rights)["verdict"]["accuracy"]
    assert accuracy["at"] == 20
    assert accuracy["noise"] == pytest.approx(1.96 * math.sqrt(1000 - 1000**2 / 5_000) / 5_000, rel=1e-4)


def test_marks_say_what_the_statement_says() -> None:
    one, two = ({"accuracies": [value], "state": "finished", "test_accuracy": value} for value in (0.93, 0.90))
    close = {"both_right": 8900, "only1": 300, "only2": 290, "both_wrong": 510, "p_value": 0.71, "method": "chi2"}
    sure = close | {"only1": 400, "p_value": 0.0001}
    other = close | {"only2": 400, "p_value": 0.0001}
    expected = {"too": (close, None, None), "more": (sure, "model1", "model1"), "less": (other, None, "model2")}
    for significance, best, test in expected.values():
        result = compared(entrant(**one), entrant(**two), significance=significance)
        assert [row(result, key)["better"] for key in ("best_accuracy", "test_accuracy")] == [best, test]
        assert result["verdict"]["leader"] == test
        assert result["significance"]["leader"] == test
        assert result["significance"]["text"] == result["verdict"]["first"]


def test_claim_of_the_repeats_leads_the_statement_and_a_pair_that_differs_marks_nobody() -> None:
    one, two = ({"accuracies": [value], "state": "finished", "test_accuracy": value} for value in (0.93, 0.90))
    test = {"both_right": 8900, "only1": 400, "only2": 290, "both_wrong": 410, "p_value": 0.0001, "method": "chi2"}
    repeats = {"pairs": 10, "claim": "model2", "text": "Model 2's settings are better: by 0.4 points."}
    two |= {"settings": {"dropout": 0.3}}
    result = compared(entrant(**one), entrant(**two), significance=test, repeats=repeats)
    assert result["verdict"]["text"].startswith(
        "Model 2's settings are better: by 0.4 points. The difference is due to dropout"
    )
    assert "This pair goes the other way" in result["verdict"]["text"]
    assert [row(result, key)["better"] for key in ("best_accuracy", "test_accuracy")] == [None, None]


def test_of_two_that_were_chosen_a_lead_must_be_beyond_the_noise_of_every_pair() -> None:
    right = {"model1": bits(having_right(4_600)), "model2": bits(having_right(4_520, first=200))}  # 200 and 120 alone
    one, two = entrant([0.92], state="stopped"), entrant([0.904], state="stopped")
    expected = {None: ("model1", "±0.7 points"), 2: ("model1", "±0.7 points"), 40: ("model1", "±1.4 points")}
    expected |= {1_000: (None, "±1.9 points")}
    for among, (leader, size) in expected.items():
        result = compared(one, two, right_images=right, among=among)
        told = size if among is None else f"{size}, also of two chosen among {among:,}"
        assert f"{told})." in result["verdict"]["first"]
        assert result["verdict"]["leader"] == leader, among
        assert row(result, "best_accuracy")["better"] == leader
        assert result["verdict"]["accuracy"]["within_noise"] == (leader is None)
    wide = [compared(one, two, among=among)["verdict"]["first"] for among in (None, 40)]  # which they had right is lost
    assert "(noise of the validation images ±1.2 points at most)" in wide[0]
    assert wide[1].startswith("Too close to call: model 1 leads by 1.6 points at equal epochs, within the noise")
    assert wide[1].endswith("(±2.4 points at most, also of two chosen among 40).")
