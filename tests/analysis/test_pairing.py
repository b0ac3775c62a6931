"""What two trainings share, and that those of different runs are never compared by the clock."""

from typing import Any

import pytest
from entrants import compared, entrant, note_ids, row

from analysis.pairing import Origin, pairing
from history.records import Event

CONFIG = {"seed": 0, "batch_size": 64}
SHARED = {"split": True, "batch_order": True, "initial_weights": ["conv1"], "text": "Both models are alike."}
HERE = {"device": "cpu", "threads": 1, "revision": "a" * 40, "torch": "2.9"}
APART = {"same_run": False, "conditions": [{"what": "device", "model1": "cpu", "model2": "GPU"}], "text": "Apart."}
TIMES = ("seconds_to_target", "batches_per_second", "images_per_second", "training_time", "achieved_flops")


def test_models_of_one_run_share_all_conditions() -> None:
    found = pairing(Origin("r1", CONFIG), Origin("r1", CONFIG, conditions=HERE), SHARED)
    assert (found["same_run"], found["conditions"], found["text"]) == (True, [], SHARED["text"])


def test_conditions_that_differ_between_runs_are_named_with_both_values() -> None:
    there = HERE | {"device": "GPU", "threads": 2, "revision": None}
    found = pairing(Origin("r1", CONFIG, conditions=HERE), Origin("r2", CONFIG, conditions=there), SHARED)
    assert [each["what"] for each in found["conditions"]] == ["device", "number of threads", "program version"]
    assert found["text"].startswith(
        "Both models are alike. They are of different runs, with another device (cpu and GPU) and number of threads "
        "(1 and 2). Of one alone is on record: program version. Seconds and speeds also count what else"
    )


def test_no_first_comparison_is_promised_beside_a_training_that_ended_before_its_first_evaluation() -> None:
    promise = "The first comparison comes once both models have been evaluated"
    for state, first in (
        ("running", promise),
        ("stopped", "No comparison: the models have no"),
        ("interrupted", "No comparison: the models have no"),
    ):
        assert compared(entrant(state=state), entrant(), pairing=APART)["verdict"]["first"].startswith(first)


def test_what_is_on_record_of_one_alone_is_not_called_another() -> None:
    conditions = [{"what": "device", "model1": None, "model2": "cpu"}]
    found = compared(entrant([0.9]), entrant([0.8]), pairing=APART | {"conditions": conditions})
    assert "They are of different runs. No setting differs." in found["attribution"]["text"]
    found = pairing(Origin("r1", CONFIG), Origin("r2", CONFIG, conditions={"device": "cpu"}), SHARED)
    assert "They are of different runs. Of one alone is on record: device. Seconds" in found["text"]


def test_a_number_format_that_was_set_is_a_setting_and_not_a_condition_as_well() -> None:
    precisions = ("float32", "bfloat16")
    for configs, count in ((precisions, 0), (("auto", "auto"), 1)):
        one, two = (
            Origin(f"r{number}", CONFIG | {"precision": config}, conditions={"precision": precision})
            for number, (config, precision) in enumerate(zip(configs, precisions, strict=True))
        )
        assert len(pairing(one, two, SHARED)["conditions"]) == count


@pytest.mark.parametrize(
    ("config", "events", "same"),
    [
        ({}, (), True),
        ({"seed": 1}, (), False),
        ({"batch_size": 32}, (), False),
        ({}, (Event("forked", 9, 1.0, 1.0, "from model 1: dropout 0.5 → 0.2"),), True),
        ({}, (Event("forked", 9, 1.0, 1.0, "from model 1: seed 7 → 0"),), False),
    ],
)
def test_batch_order_is_the_same_only_where_seed_and_batch_size_always_were(
    config: dict[str, Any], events: tuple[Event, ...], same: bool
) -> None:
    found = pairing(Origin("r1", CONFIG), Origin("r2", CONFIG | config, events), None)
    assert (found["batch_order"], found["initial_weights"]) == (same, None)
    assert ("the same batch order" in found["text"]) == same


def test_seconds_of_different_runs_are_shown_and_have_no_winner() -> None:
    fast = entrant([0.80, 0.88], epoch_seconds=5, images_per_second=9_000.0, batches_per_second=140.0)
    slow = entrant([0.70, 0.86], epoch_seconds=8, images_per_second=2_000.0, batches_per_second=31.0)
    own, apart = (compared(fast, slow, "seconds", pairing=each) for each in (None, APART))
    assert own["verdict"]["leader"] == "model1"
    assert apart["verdict"]["text"] is None
    assert apart["verdict"]["first"] == "No comparison at equal seconds: these trainings are of different runs."
    for quantity in ("accuracy", "loss"):
        shown = apart["verdict"][quantity]
        assert {key: shown[key] for key in ("at", "model1", "model2")} == {
            key: own["verdict"][quantity][key] for key in ("at", "model1", "model2")
        }
        assert (shown["leader"], shown["noise"]) == (None, None)
    assert row(own, "images_per_second")["better"] == "model1"
    for key in TIMES:
        assert row(apart, key) == row(own, key) | {
            "better": None,
            "lower_is_better": None,
            "caveat": "different runs: not compared",
        }


def test_no_note_speaks_of_speeds_of_different_runs() -> None:
    fast = entrant([0.80] * 3, images_per_second=9_000.0)
    large = {"batch_size": 32, "kernels": (256,)}
    slow = entrant([0.80] * 3, images_per_second=900.0, epoch_seconds=90, settings=large)
    assert {"batch-sizes"} <= set(note_ids(compared(fast, slow)))
    assert not {"batch-sizes", "slower", "flip"} & set(note_ids(compared(fast, slow, pairing=APART)))
