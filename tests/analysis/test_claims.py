"""Claims: how often each sentence with a "better" in it is said where there is nothing to it, in a few trials."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks import claims
from benchmarks.claims import Rate

TRIALS = 300
ALLOWED = 0.06


def at_most_allowed(rates: Iterator[Rate]) -> None:
    """Fail where a share is above what is allowed by more than two standard errors."""
    for rate in rates:
        assert rate.share <= ALLOWED + 2 * math.sqrt(ALLOWED * (1 - ALLOWED) / rate.trials), rate


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("draw", [claims.normal, claims.exponential, claims.partly_failing])
def test_series_without_a_true_difference_seldom_name_a_winner(draw: claims.Draw, rng: np.random.Generator) -> None:
    at_most_allowed(claims.series_rates(draw, "", rng, TRIALS))


def test_ten_pairs_find_a_difference_of_one_and_a_half_standard_deviations(rng: np.random.Generator) -> None:
    _, ten, twenty = claims.series_rates(claims.truly_different, "", rng, TRIALS)
    assert ten.share >= 0.9 - 2 * math.sqrt(0.9 * 0.1 / TRIALS)
    assert twenty.share > 0.98


def test_test_images_seldom_call_one_of_two_equal_networks_better(rng: np.random.Generator) -> None:
    at_most_allowed(claims.mcnemar_rates(rng, TRIALS))


def test_two_that_were_chosen_as_best_and_worst_of_equal_networks_are_seldom_called_apart(
    rng: np.random.Generator,
) -> None:
    at_most_allowed(claims.chosen_rates(rng, TRIALS))


def test_verdict_seldom_has_an_equal_model_lead_beyond_the_noise(rng: np.random.Generator) -> None:
    last, _ = claims.verdict_rates(rng, 100)
    at_most_allowed(iter([last]))


def test_accuracies_of_equal_models_are_seldom_marked_better(rng: np.random.Generator) -> None:
    rates = {rate.where: rate for rate in claims.table_rates(rng, 100)}
    times = ("Epochs to 85 %", "Time to 85 %", "Training time")  # by clocks of which one is a little faster
    at_most_allowed(rates[title] for title in ("Best validation accuracy", "Test accuracy", *times))
    at_most_allowed(rates[key] for key in ("test accuracy", "validation accuracy", "overfitting"))


def test_table_names_every_sentence_with_its_rate(capsys: pytest.CaptureFixture[str]) -> None:
    claims.main(["--trials", "2"])
    printed = capsys.readouterr().out
    for sentence in ("Repeats:", "Test images:", "Verdict:", "Table: ✓", "Note:"):
        assert f"| {sentence}" in printed
