"""Each note: when it stands, and what it says."""

import pytest
from evaluated import CONFIG, NAN, configured, evaluations, model

from analysis import notes
from analysis.measures import Blocks
from analysis.notes import Note


def text(note: Note | None) -> str | None:
    return note.text if note else None


def test_failure_by_nan_says_where_and_what_to_do() -> None:
    note = notes.note_failure("model2", model(state="failed", error="…", epoch=0.52), [1.0, NAN])
    assert note is not None
    assert (note.id, note.model) == ("failure-model2", "model2")
    assert note.text.startswith("Model 2 broke at epoch 0.52: its loss is no longer a number")
    assert "learning rate" in note.text


def test_failure_of_another_kind_gives_its_reason() -> None:
    assert text(notes.note_failure("model1", model(state="failed", error="Out of memory."), [1.0])) == (
        "Model 1 failed: Out of memory."
    )
    assert text(notes.note_failure("model1", model(state="failed"))) == "Model 1 failed: no reason is known"


@pytest.mark.parametrize("state", ["idle", "running", "paused", "finished", "stopped"])
def test_a_model_that_did_not_fail_gets_no_failure_note(state: str) -> None:
    assert notes.note_failure("model1", model(state=state), [NAN]) is None


@pytest.mark.parametrize(("accuracies", "holds"), [([0.1], True), ([0.8, 0.1], True), ([0.1, 0.2], False), ([], False)])
def test_guessing_is_noticed(accuracies: list[float], holds: bool) -> None:
    note = notes.note_guessing("model1", model(accuracies))
    assert bool(note) == holds
    if note:
        assert note.text.startswith("Model 1 only guesses (10% right of ten classes)")


def test_jump_of_the_loss_is_noticed_with_its_epoch() -> None:
    note = notes.note_jump("model1", Blocks([1.0, 1.0, 2.0], [1.2, 1.3, 1.4], 31, 1984))
    assert text(note) == "Model 1's loss jumped at epoch 1.3: its learning rate may be too high"
    assert notes.note_jump("model1", Blocks([1.0, 0.9, 0.8], [1.2, 1.3, 1.4], 31, 1984)) is None
    assert notes.note_jump("model1", None) is None


@pytest.mark.parametrize(("training", "holds"), [(0.931, True), (0.929, False), (0.8, False), (None, False)])
def test_overfitting_is_noticed_from_three_points(training: float | None, holds: bool) -> None:
    columns = evaluations([0.9], train_accuracy=[training])
    note = notes.note_overfitting("model2", model(evaluations=columns))
    assert bool(note) == holds
    if note and training == 0.931:
        assert note.text.startswith("Model 2 overfits: 3.1 points")


def test_plateau_is_noticed_from_three_epochs() -> None:
    flat = [0.8, 0.9, 0.9, 0.9, 0.9]
    assert notes.note_plateau("model1", model(flat[:-1])) is None
    note = notes.note_plateau("model1", model(flat))
    assert text(note) == "Model 1's validation accuracy flat for 3 epochs: plateau"
    longer = notes.note_plateau("model1", model([*flat, 0.9]))
    assert longer is not None
    assert note is not None
    assert longer.id == note.id  # once dismissed it stays so, though its words change
    assert longer.text != note.text


def test_fall_of_the_accuracy_is_noticed_from_two_points() -> None:
    assert text(notes.note_fluctuation("model1", model([0.9, 0.868]))) == (
        "Model 1's validation accuracy is 3.2 points below its best: large swings hint at instability"
    )
    assert notes.note_fluctuation("model1", model([0.9, 0.89])) is None
    assert notes.note_fluctuation("model1", model()) is None


def test_flip_of_the_winner_is_noticed() -> None:
    assert text(notes.note_flip("model1", "model2")) == (
        "Model 1 leads at equal epochs, Model 2 at equal seconds: better per image is not better per second"
    )
    assert notes.note_flip("model1", "model1") is None
    assert notes.note_flip("model1", None) is None
    assert notes.note_flip(None, None) is None


def test_dropout_is_blamed_for_training_below_validation_accuracy() -> None:
    below, above = {"accuracy": 0.85, "val_accuracy": 0.88}, {"accuracy": 0.9, "val_accuracy": 0.88}
    words = "Training accuracy below validation accuracy is no error: dropout, which lowers it, is off in validation"
    note = notes.note_dropout({"model1": model(**below), "model2": model(**above)})
    assert note == Note("dropout", "model1", words)
    both = notes.note_dropout({"model1": model(**below), "model2": model(**below)})
    assert both == Note("dropout", None, words)
    without = model(**below, config=configured(dropout=0))
    assert notes.note_dropout({"model1": without, "model2": model(**above)}) is None
    assert notes.note_dropout({"model1": model(), "model2": model(config=None)}) is None
    harder = model(**below, config=configured(dropout=0.1, augment="flip_erase"))  # what lowers it nobody can tell
    assert notes.note_dropout({"model1": harder, "model2": model(**above)}) is None


def test_larger_model_that_trains_more_slowly_is_noticed() -> None:
    note = notes.note_slower({"model1": 40e6, "model2": 10e6}, {"model1": 1000, "model2": 2500})
    assert note is not None
    assert note.model == "model1"
    assert note.text == (
        "Model 1 computes 4.0 times as much for each image and takes 2.5 times as long: larger models train more slowly"
    )


@pytest.mark.parametrize(
    ("flops", "speeds"),
    [
        ({"model1": None, "model2": 1e6}, {"model1": 1000, "model2": 2500}),
        ({"model1": 4e6, "model2": 1e6}, {"model1": None, "model2": 2500}),
        ({"model1": 4e6, "model2": 1e6}, {"model1": 1000, "model2": 1100}),
        ({"model1": 1e6, "model2": 4e6}, {"model1": 1000, "model2": 2500}),
    ],
    ids=["work not known", "speed not known", "about as fast", "larger and yet faster"],
)
def test_no_word_about_size_where_it_explains_nothing(
    flops: dict[str, float | None], speeds: dict[str, float | None]
) -> None:
    assert notes.note_slower(flops, speeds) is None


def test_different_batch_sizes_are_noticed() -> None:
    assert notes.note_batch_sizes(CONFIG, CONFIG) is None
    assert text(notes.note_batch_sizes(CONFIG, configured(batch_size=256))) == (
        "Batch sizes differ, so batches/s do not compare: look at images/s"
    )
