"""Checkpoints: what they tell of themselves, and that those of earlier versions are read as well."""

import io
from typing import Any

import pytest
import torch
from helpers import quick

from history.checkpoints import told_by
from training.checkpoint import (
    Unreadable,
    fork_checkpoint,
    header_of,
    read_checkpoint,
    read_weights,
    reduce_to_weights,
    write_checkpoint,
)
from training.engine import Engine
from training.images import FashionMNIST

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def state(small_fashion_mnist: FashionMNIST) -> dict[str, Any]:
    """The state of a model that has taken three steps along a schedule, at a changed rate."""
    engine = Engine(quick(schedule="cosine"), small_fashion_mnist, CPU)
    engine.learning_rate = 0.002
    for _ in range(3):
        engine.train_step()
    return {"engine": engine.state(), "elapsed_seconds": 1.5}


def test_a_header_tells_step_and_rates_without_the_weights_being_read(state: dict[str, Any]) -> None:
    checkpoint = write_checkpoint(state)
    header = header_of(checkpoint)
    assert (header.step, header.learning_rate) == (3, 0.002)
    assert header.schedule == "cosine"
    assert header_of(checkpoint[:200]) == header
    assert header_of(b"[3, 0.002, 0.0015]\n") == (3, 0.002, None)  # once a header told the last rate there


def test_the_state_comes_back_as_it_was(state: dict[str, Any]) -> None:
    found = read_checkpoint(write_checkpoint(state))
    assert found["elapsed_seconds"] == 1.5
    assert all(
        torch.equal(found["engine"]["model"][name], weights) for name, weights in state["engine"]["model"].items()
    )


def test_one_of_an_earlier_version_is_read_as_well(state: dict[str, Any]) -> None:
    file = io.BytesIO()
    torch.save(state, file)
    old = file.getvalue()
    assert header_of(old) == header_of(write_checkpoint(state))
    assert read_checkpoint(old)["elapsed_seconds"] == 1.5


@pytest.mark.parametrize(("changed", "rate"), [("learning_rate", None), ("optimizer", 0.002), ("dropout", 0.002)])
def test_a_fork_keeps_of_the_memory_what_it_has_use_for(
    state: dict[str, Any], changed: str, rate: float | None
) -> None:
    fork = fork_checkpoint(write_checkpoint(state), changed)
    assert header_of(fork).learning_rate == rate
    assert ("optimizer" in read_checkpoint(fork)["engine"]) == (changed != "optimizer")


def test_one_that_is_reduced_keeps_the_weights_to_the_bit_and_says_what_it_is(state: dict[str, Any]) -> None:
    whole = write_checkpoint(state)
    reduced = reduce_to_weights(whole)
    assert (told_by(whole), told_by(reduced)) == ((3, "whole"), (3, "weights"))
    assert header_of(reduced) == header_of(whole)
    step, weights = read_weights(reduced)
    assert step == 3
    assert weights.keys() == state["engine"]["model"].keys()
    assert all(torch.equal(values, state["engine"]["model"][name]) for name, values in weights.items())
    assert len(reduced) < len(whole) / 2
    assert reduce_to_weights(reduced) is reduced


def test_one_of_an_earlier_version_is_reduced_as_well(state: dict[str, Any]) -> None:
    file = io.BytesIO()
    torch.save(state, file)
    assert told_by(reduce_to_weights(file.getvalue())) == (3, "weights")


@pytest.mark.parametrize("content", [b"", b"weights", b"[3, 0.1, null]\n", b"[3, 0.1, null]\nPK\x03\x04", b"\x80\x02."])
def test_what_nobody_can_read_is_not_reduced(content: bytes) -> None:
    with pytest.raises(Unreadable):
        reduce_to_weights(content)


def test_what_holds_something_else_is_not_reduced() -> None:
    file = io.BytesIO()
    torch.save({"weights": [1]}, file)
    with pytest.raises(Unreadable):
        reduce_to_weights(file.getvalue())
