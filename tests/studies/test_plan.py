"""The plan of a series: the seeds of its pairs."""

from config import ModelConfig
from studies.plan import new_seeds


def test_seeds_are_new_and_differ() -> None:
    assert new_seeds(ModelConfig(seed=7), 3) == [8, 9, 10]
    assert new_seeds(ModelConfig(seed=2**32 - 1), 3) == [0, 1, 2]


def test_seeds_of_earlier_series_are_passed_over() -> None:
    assert new_seeds(ModelConfig(seed=7), 3, {8, 10, 99}) == [9, 11, 12]
    assert new_seeds(ModelConfig(seed=2**32 - 1), 2, {0}) == [1, 2]
