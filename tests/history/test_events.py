import pytest

from config import ModelConfig
from history.events import (
    leaves_schedule,
    read_fork,
    read_rates,
    read_schedule,
    say_fork,
    say_more_epochs,
    say_rates,
)
from history.records import Event
from studies.branches import say_change

SAID = {
    "steered": say_rates(0.001, 0.0003),
    "forked": say_fork("dropout 0.5 → 0.2"),
    "continued": say_more_epochs(2, "cosine", epochs=7),
}


def event(kind: str, detail: str | None) -> Event:
    return Event(kind, 10, 0.5, 3.0, detail)


@pytest.mark.parametrize(("before", "now"), [(0.001, 0.0003), (10.0, 1e-05), (0.5, 0.5)])
def test_rates_of_a_steered_model_are_read_as_they_were_said(before: float, now: float) -> None:
    assert read_rates(event("steered", say_rates(before, now))) == (before, now)


def test_change_of_a_fork_is_read_as_it_was_said() -> None:
    source = ModelConfig()
    change = say_change(source, source.model_copy(update={"learning_rate": 0.01}), "learning_rate")
    assert read_fork(event("forked", say_fork(change))) == change == "learning rate 0.001 → 0.01"


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_schedule_of_a_model_that_goes_on_is_read_as_it_was_said_without_the_jump(schedule: str) -> None:
    title = schedule.replace("_", "-")
    stretched = f"for 2 more epochs: {title} schedule now over 7 epochs"
    for jump in ("", ", learning rate 0.0001 → 0.0005"):  # which earlier versions made and told
        assert read_schedule(event("continued", say_more_epochs(2, schedule, epochs=7) + jump)) == stretched
    assert not leaves_schedule(event("continued", stretched))
    over = f"for 2 more epochs: {title} schedule over, learning rate held at 1e-05"
    left = f"for 2 more epochs: left its {title} schedule at 40 %, learning rate held at 1e-05"
    assert say_more_epochs(2, schedule, held=1e-05) == over
    assert say_more_epochs(2, schedule, held=1e-05, share=0.4) == left
    for said in (over, left):
        assert read_schedule(event("continued", said)) == said
        assert leaves_schedule(event("continued", said))


def test_model_without_a_schedule_goes_on_without_a_word_on_it() -> None:
    said = say_more_epochs(1)
    assert said == "for 1 more epoch"
    assert read_schedule(event("continued", said)) is None
    assert not leaves_schedule(event("continued", said))


@pytest.mark.parametrize(
    ("read", "kind"), [(read_rates, "steered"), (read_fork, "forked"), (read_schedule, "continued")]
)
def test_detail_of_another_event_is_not_read(read: object, kind: str) -> None:
    assert callable(read)
    assert read(event(kind, SAID[kind])) is not None
    for other in {*SAID, "running"} - {kind}:
        assert read(event(other, SAID[kind])) is None
