"""Curves stay bounded, and lose neither extremes nor the first broken loss."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_log import point

from history.curves import BoundedCurve, keep_extremes
from history.records import Point


def finished_curve(points: Iterable[Point], limit: int) -> BoundedCurve:
    curve = BoundedCurve(limit)
    for sequence, one in enumerate(points, 1):
        curve.append(one, sequence)
    curve.flush(sequence + 1)
    return curve


shown_losses = st.floats(0, 10).map(lambda loss: float(f"{loss:.6g}"))  # as a chart can show them
losses = shown_losses | st.sampled_from([math.nan, math.inf, -math.inf])


@given(st.lists(losses, min_size=1, max_size=400), st.integers(8, 40))
def test_curve_never_holds_more_than_its_limit(values: list[float], limit: int) -> None:
    curve = BoundedCurve(limit)
    for step, loss in enumerate(values, 1):
        curve.append(point(step, loss), step)
        assert len(curve.since(0)) <= limit


def test_curve_of_nothing_but_broken_losses_stays_bounded_too() -> None:
    curve = finished_curve((point(step, math.nan) for step in range(1, 101)), limit=8)
    assert 1 <= len(curve.since(0)) <= 8


@given(st.lists(shown_losses, min_size=1, max_size=400), st.integers(8, 40))
def test_lowest_highest_and_last_loss_survive(values: list[float], limit: int) -> None:
    kept = finished_curve((point(step, loss) for step, loss in enumerate(values, 1)), limit).since(0)
    kept_losses = [one.loss for one in kept]
    assert min(kept_losses) == min(values)
    assert max(kept_losses) == max(values)
    assert kept[-1] == point(len(values), values[-1])


def test_spike_among_many_points_survives_every_widening() -> None:
    curve = finished_curve((point(step, 50.0 if step == 777 else 1.0) for step in range(1, 20_001)), limit=100)
    assert point(777, 50.0) in curve.since(0)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_first_broken_loss_survives_every_widening(broken: float) -> None:
    curve = finished_curve((point(step, broken if step == 777 else 1.0) for step in range(1, 20_001)), limit=100)
    assert [one.step for one in curve.since(0) if not math.isfinite(one.loss)] == [777]


@given(
    st.lists(losses, min_size=1, max_size=300), st.integers(8, 40), st.lists(st.booleans(), min_size=300, max_size=300)
)
def test_points_handed_out_once_never_move(values: list[float], limit: int, flushes: list[bool]) -> None:
    curve, handed_out = BoundedCurve(limit), set[int]()
    cursor = 0
    for sequence, loss in enumerate(values, 1):
        curve.append(point(sequence, loss), sequence)
        if flushes[sequence - 1]:
            curve.flush(sequence)
        news = curve.since(cursor)
        cursor = sequence
        assert [one.step for one in news] == sorted(one.step for one in news)
        assert all(one.step > max(handed_out, default=0) for one in news)  # only ever at the end
        handed_out |= {one.step for one in news}
        whole = {one.step for one in curve.since(0)}
        assert whole <= handed_out  # a widening only removes
        assert all(repr(one) == repr(point(one.step, values[one.step - 1])) for one in curve.since(0))


@given(st.lists(losses, min_size=1, max_size=30))
def test_extremes_of_a_bucket_come_in_order_and_end_with_its_last(values: list[float]) -> None:
    bucket = [point(step, loss) for step, loss in enumerate(values, 1)]
    kept = keep_extremes(bucket)
    assert [one.step for one in kept] == sorted({one.step for one in kept})
    assert kept[-1] is bucket[-1]
    assert {one.step for one in kept} <= {one.step for one in bucket}


def test_half_filled_bucket_waits_until_it_is_full_or_flushed() -> None:
    curve = BoundedCurve(8)
    for step in range(1, 12):
        curve.append(point(step), step)
    assert curve.since(0)[-1].step < 11
    curve.flush(12)
    assert curve.since(0)[-1].step == 11
    assert curve.since(11)[-1].step == 11  # a reader that had looked before gets it now
