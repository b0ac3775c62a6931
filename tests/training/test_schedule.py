import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.schedule import evaluation_steps, next_evaluation_step


@pytest.mark.parametrize(
    ("per_epoch", "epochs", "after"),
    [
        (860, 2, {215, 430, 860, 1290, 1720}),
        (860, 5, {215, 430, 860, 1290, 1720, 2150, 2580, 3440, 4300}),
        (7, 1, {2, 4, 7}),
        (4, 4, {1, 2, 4, 6, 8, 10, 12, 16}),
        (3, 2, {1, 2, 3, 5, 6}),
        (1, 2, {1, 2}),
    ],
)
def test_validation_comes_often_in_the_first_three_epochs_and_at_each_end(
    per_epoch: int, epochs: int, after: set[int]
) -> None:
    assert evaluation_steps(per_epoch, epochs) == after


@given(st.integers(1, 55_000), st.integers(1, 500))
def test_validation_never_comes_less_often(per_epoch: int, epochs: int) -> None:
    after = evaluation_steps(per_epoch, epochs)
    assert {per_epoch * epoch for epoch in range(1, epochs + 1)} <= after
    assert 1 <= min(after) <= max(1, per_epoch / 4 + 1)
    assert max(after) == per_epoch * epochs


def test_next_look_is_the_first_one_that_is_yet_to_come() -> None:
    assert [next_evaluation_step(step, 4, 2) for step in range(9)] == [1, 2, 4, 4, 6, 6, 8, 8, None]
