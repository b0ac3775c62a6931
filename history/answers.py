"""Answers: a model's probabilities for thousands of images as a few bytes each, with a checksum.

What is kept to the bit, as float32: the probability of the true class, where the classes are told, and of the class
that the model answers, and so every accuracy, confusion, order of mistakes and logarithm that follows from them. All
others are kept to four decimals, as they are shown, and so are at most 0.00005 off; where that would make another class
the most probable, or another figure of four decimals, they are kept to the bit too. Without the true classes (those of
histories that kept none) every probability is kept to the bit.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from data import CLASSES
from history.errors import Damaged
from history.planes import Reader, compress, planes
from history.records import Array

HEAD = struct.Struct("<BII")  # version, checksum of all that follows, images
CHECKED_FROM = 5  # bytes: version and checksum
VERSION = 1
DECIMALS = 10_000
NEAR_A_HALF = 1e-6  # of a last decimal: there two ways of rounding may differ


def encode(probabilities: Array, truth: Array | None) -> bytes:
    """Return probabilities (N, 10) float32 in short; truth: the images' classes (N,), None where they are not known."""
    exact = _to_be_exact(probabilities, truth)
    rest = struct.pack("<I", len(probabilities)) + compress(_parts(probabilities, exact))
    return struct.pack("<BI", VERSION, zlib.crc32(rest)) + rest


def check(data: bytes) -> int:
    """Return the number of images. Raises Damaged where something is not as it was written."""
    if len(data) < HEAD.size:
        raise Damaged("answers are too short")
    version, checksum, count = HEAD.unpack_from(data)
    if version != VERSION or zlib.crc32(memoryview(data)[CHECKED_FROM:]) != checksum:
        raise Damaged("answers are not as they were written")
    return int(count)


def decode(data: bytes) -> Array:
    """Return probabilities (N, 10) float32. Raises Damaged."""
    size = check(data) * CLASSES
    try:
        reader = Reader(data[HEAD.size :])
        exact = np.unpackbits(np.frombuffer(reader.take(-(-size // 8)), np.uint8), count=size).astype(bool)
        exactly = int(exact.sum())
        values = np.empty(size, np.float32)
        values[exact] = reader.planes(exactly, 4, "<f4")
        values[~exact] = reader.planes(size - exactly, 2, "<u2") / DECIMALS
    except (ValueError, zlib.error) as error:
        raise Damaged(f"answers cannot be read: {error}") from None
    return values.reshape(-1, CLASSES)


def _parts(probabilities: Array, exact: Array) -> Iterator[bytes]:
    yield np.packbits(exact).tobytes()
    yield from planes(probabilities[exact], 4)
    yield from planes(np.rint(probabilities[~exact].astype(np.float64) * DECIMALS).astype(np.uint16), 2)


def _to_be_exact(probabilities: Array, truth: Array | None) -> Array:
    """Return which probabilities (N, 10) bool are kept to the bit."""
    if truth is None or not ((probabilities >= 0) & (probabilities <= 1)).all():
        return np.ones(probabilities.shape, bool)
    images = np.arange(len(probabilities))
    answers = probabilities.argmax(axis=1)
    scaled = probabilities.astype(np.float64) * DECIMALS
    exact = np.abs(scaled - np.floor(scaled) - 0.5) < NEAR_A_HALF
    exact |= (np.rint(scaled) / DECIMALS).astype(np.float32) >= probabilities[images, answers][:, None]
    exact[images, answers] = True
    exact[images, truth] = True
    return exact
