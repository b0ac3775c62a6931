"""Chunks of points, and answers in short: what comes back is what went in, and damage is noticed."""

import itertools
import math
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import TRAINING_IMAGES, Batches
from history import answers, chunks
from history.errors import Damaged
from history.records import Point

FLOATS = st.floats(width=64) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1.7e308, 2**53 + 1.0])
BYTES_A_POINT = 10


def bits(points: list[Point]) -> list[tuple[int, bytes]]:
    return [(point.step, struct.pack("<4d", *point[1:])) for point in points]


def trained(batch_size: int, count: int, *, seconds_before: float = 0.0) -> list[Point]:
    """Return points such as a trainer measures: shares of images, a clock's differences, losses in single precision."""
    chance, batches = random.Random(batch_size), Batches(TRAINING_IMAGES, batch_size)
    clock, began = 1_712.123456789, 1_711.987654321
    measured, window = [], list[tuple[int, int]]()
    for step in range(1, count + 1):
        clock += chance.randrange(8_000_000, 12_000_000) * 1e-9
        [images] = batches.counts(step, step)
        window.append((sum(chance.random() < 0.9 for _ in range(images)), images))
        while sum(size for _, size in window[1:]) >= 1000:
            window.pop(0)
        accuracy = sum(right for right, _ in window) / sum(size for _, size in window)
        loss = float(np.float32(chance.lognormvariate(-1, 0.3)))
        measured.append(Point(step, batches.epoch(step), seconds_before + (clock - began), loss, accuracy))
    return measured


@pytest.mark.parametrize("batch_size", [50, 64, 1000, 4096])
def test_points_of_a_training_take_ten_bytes_and_come_back_to_the_bit(batch_size: int) -> None:
    measured = trained(batch_size, 4096 if batch_size < 1000 else 200)
    data = chunks.encode(measured)
    assert bits(chunks.decode(data)) == bits(measured)
    assert chunks.check(data) == (len(measured), 1, len(measured))
    if batch_size < 1000:
        assert len(data) / len(measured) <= BYTES_A_POINT


def test_seconds_that_go_on_from_an_earlier_process_come_back_to_the_bit_too() -> None:
    measured = trained(64, 300, seconds_before=1234.5678901234567)
    assert bits(chunks.decode(chunks.encode(measured))) == bits(measured)


@given(st.lists(st.tuples(st.integers(0, 2**40), FLOATS, FLOATS, FLOATS, FLOATS), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_numbers_come_back_to_the_bit(rows: list[tuple[int, float, float, float, float]]) -> None:
    measured = sorted(itertools.starmap(Point, rows), key=lambda point: point.step)
    assert bits(chunks.decode(chunks.encode(measured))) == bits(measured)


@pytest.mark.parametrize("value", [0.0, 0.5, 2 / 3, 1e-30, 1 / TRAINING_IMAGES, math.pi, 1e300, -1.5, math.nan])
def test_column_that_stands_still_comes_back_to_the_bit(value: float) -> None:
    measured = [Point(step, value, value, value, value) for step in range(1, 1000)]
    data = chunks.encode(measured)
    assert bits(chunks.decode(data)) == bits(measured)
    assert len(data) < 1000


def test_every_flipped_bit_and_every_cut_of_a_chunk_is_noticed() -> None:
    data = chunks.encode(trained(64, 20))
    for place in range(8 * len(data)):
        broken = bytearray(data)
        broken[place // 8] ^= 1 << place % 8
        with pytest.raises(Damaged):
            chunks.check(bytes(broken))
    for size in range(len(data)):
        with pytest.raises(Damaged):
            chunks.decode(data[:size])


def test_chunk_that_was_written_wrong_is_refused_in_words() -> None:
    """Its checksum holds, but it was never written by us."""
    head = struct.pack("<Iqq", 3, 1, 3)
    rest = head + zlib.compress(b"short")
    with pytest.raises(Damaged, match="cannot be read: it ends too early"):
        chunks.decode(struct.pack("<BI", chunks.VERSION, zlib.crc32(rest)) + rest)


# Answers


def softmax(count: int, sharpness: float) -> np.ndarray:
    logits = np.random.default_rng(count).normal(0, sharpness, (count, 10)).astype(np.float32)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


def shown(probabilities: np.ndarray) -> list[list[float]]:
    return [[round(float(each), 4) for each in row] for row in probabilities]


@pytest.mark.parametrize("sharpness", [0.001, 1.0, 5.0, 20.0])
def test_answers_keep_what_is_computed_to_the_bit_and_what_is_shown_to_the_last_digit(sharpness: float) -> None:
    given_ = softmax(2000, sharpness)
    truth = np.random.default_rng(1).integers(0, 10, len(given_))
    back = answers.decode(answers.encode(given_, truth))
    images = np.arange(len(given_))
    assert (back[images, truth] == given_[images, truth]).all()
    assert (back.argmax(1) == given_.argmax(1)).all()
    assert (back.max(1) == given_.max(1)).all()
    assert shown(back) == shown(given_)
    assert np.abs(back - given_).max() <= 0.5e-4


def test_close_races_are_won_by_the_same_class() -> None:
    given_ = np.full((4, 10), 0.01, np.float32)
    high = np.float32(0.33326)
    low = np.nextafter(high, np.float32(0))
    given_[:, 3], given_[:, 7] = high, low
    given_[1, 3], given_[1, 7] = low, high
    given_[2, 3] = given_[2, 7] = 0.3333
    given_[3] = 0.1
    back = answers.decode(answers.encode(given_, np.zeros(4, int)))
    assert back.argmax(1).tolist() == given_.argmax(1).tolist() == [3, 7, 3, 0]
    assert shown(back) == shown(given_)


def test_answers_without_the_truth_are_kept_to_the_bit() -> None:
    given_ = softmax(500, 3.0)
    assert (answers.decode(answers.encode(given_, None)) == given_).all()
    broken = given_.copy()
    broken[7, 3] = np.nan
    back = answers.decode(answers.encode(broken, np.zeros(len(broken), int)))
    assert np.array_equal(back, broken, equal_nan=True)


def test_answers_of_a_trained_model_take_a_quarter() -> None:
    """Nine of ten right, most of them surely: on the real data 7 bytes an image (benchmarks/histories.py)."""
    given_ = softmax(5000, 9.0)
    assert len(answers.encode(given_, given_.argmax(1))) <= given_.nbytes / 4


def test_every_flipped_bit_of_answers_is_noticed() -> None:
    data = answers.encode(softmax(5, 3.0), np.zeros(5, int))
    for place in range(8 * len(data)):
        broken = bytearray(data)
        broken[place // 8] ^= 1 << place % 8
        with pytest.raises(Damaged):
            answers.check(bytes(broken))
    with pytest.raises(Damaged):
        answers.decode(data[:-1])
    with pytest.raises(Damaged):
        answers.decode(b"")
