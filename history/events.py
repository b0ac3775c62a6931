"""Events: what the detail of one says, written and read in this one place.

The detail is a sentence of English, for people; histories hold nothing else. So whoever wants to know a rate or a
schedule reads it here, where the words are made.
"""

import re
from collections.abc import Iterable

from history.records import Event, Status
from history.states import INTERRUPTED

JUMP = re.compile(r", learning rate \S+ → \S+$")
RATES = re.compile(r"learning rate (\S+) → (\S+)")
FORK = "from model 1: "
RESEEDED = re.compile(r"seed (\d+) → \d+")
HELD = re.compile(r"learning rate (?:held at|stays) ")


def event_at(status: Status, kind: str, detail: str) -> Event:
    """Return an event that happens where a model is."""
    return Event(kind, status.step, status.epoch, status.elapsed_seconds, detail)


def say_return(left: Status, back: Status) -> str | None:
    """Return the detail of the state in which a model was left, put on record where it goes on.

    It tells how far the model had come, and from where it goes on where that is less. None of one that was stopped and
    lost nothing.
    """
    if left.step > back.step:
        return f"at epoch {left.epoch:.2f}, continued from {f'{back.epoch:.2f}' if back.step else 'the start'}"
    return f"at epoch {back.epoch:.2f}" if left.state == INTERRUPTED and back.step else None


def say_rates(before: float, now: float) -> str:
    """Return the detail of "steered": which learning rate was changed to which."""
    return f"learning rate {before:g} → {now:g}"


def read_rates(event: Event) -> tuple[float, float] | None:
    """Return from which learning rate to which a model was steered; None where the event is another."""
    found = RATES.fullmatch(event.detail or "") if event.kind == "steered" else None
    return None if found is None else (float(found[1]), float(found[2]))


def ends_at(detail: str | None, rate: float) -> bool:
    """Return whether the detail of "steered" says that the learning rate became this one."""
    found = RATES.fullmatch(detail or "")
    return found is not None and found[2] == f"{rate:g}"


def say_jump(before: float, now: float) -> str:
    """Return in words how a learning rate changes by what was done to a schedule."""
    return f"learning rate {before:.4g} → {now:.4g}"


def say_held(rate: float) -> str:
    """Return in words at which rate a model is held that leaves its schedule."""
    return f"learning rate held at {rate:.4g}"


def say_fork(change: str) -> str:
    """Return the detail of "forked"; change: what a copy of model 1 has changed, such as "dropout 0.5 → 0.2"."""
    return f"{FORK}{change}"


def read_fork(event: Event) -> str | None:
    """Return what a fork changed; None where the event is another."""
    return (event.detail or "").removeprefix(FORK) if event.kind == "forked" else None


def read_seeds(events: Iterable[Event], seed: int) -> list[int]:
    """Return the seeds that a model has had in their order, `seed` being its last: a fork may have changed it."""
    changes = [found for event in events if (found := RESEEDED.fullmatch(read_fork(event) or ""))]
    return [*(int(found[1]) for found in changes), seed]


def say_more_epochs(
    more: int, schedule: str = "constant", *, epochs: int | None = None, held: float | None = None, share: float = 1
) -> str:
    """Return the detail of "continued": by how many epochs a model goes on, and what becomes of its schedule.

    epochs: over which the schedule runs where nothing has been trained yet; held: the rate at which it was left, which
    is kept from there on; share: how much of it had been run by then.
    """
    said = f"for {more} more epoch{'s' * (more > 1)}"
    if schedule == "constant":
        return said
    title = schedule.replace("_", "-")
    if held is None:
        return f"{said}: {title} schedule now over {epochs} epochs"
    left = f"{title} schedule over" if share >= 1 else f"left its {title} schedule at {100 * share:.3g} %"
    return f"{said}: {left}, {say_held(held)}"


def leaves_schedule(event: Event) -> bool:
    """Return whether a model has left its schedule in an event, and keeps the learning rate that it had."""
    return event.kind == "continued" and HELD.search(event.detail or "") is not None


def read_schedule(event: Event) -> str | None:
    """Return how a model went on that had a schedule; None where the event is another, or there was none.

    Without the jump of the rate that earlier versions made, which depends on where a model was stopped.
    """
    if event.kind != "continued" or "schedule" not in (event.detail or ""):
        return None
    return JUMP.sub("", event.detail or "")
