import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.schedule import evaluation_steps


@pytest.mark.parametrize(
    ("per_epoch", "epochs", "after"),
    [(860, 2, {215, 860, 1720}), (7, 1, {2, 7}), (4, 3, {1, 4, 8, 12}), (3, 2, {1, 3, 6}), (1, 2, {1, 2})],
)
def test_validation_comes_early_in_the_first_epoch_and_at_each_end(
    per_epoch: int, epochs: int, after: set[int]
) -> None:
    assert evaluation_steps(per_epoch, epochs) == after


@given(st.integers(1, 55_000), st.integers(1, 500))
def test_validation_never_comes_less_often(per_epoch: int, epochs: int) -> None:
    after = evaluation_steps(per_epoch, epochs)
    assert {per_epoch * epoch for epoch in range(1, epochs + 1)} <= after
    assert 1 <= min(after) <= max(1, per_epoch / 4 + 1)
    assert max(after) == per_epoch * epochs
