"""Planes: numbers as bytes that compress well: all lowest bytes first, then all second lowest, and so on.

Nothing is rounded: what goes in comes out, bit for bit.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
WHOLE = struct.Struct("<qQB")  # first, least difference, bytes of each difference
WORTH_A_FLUSH = 256  # bytes: from there on each plane is compressed by itself, which costs 5 bytes


def planes(values: Numbers, width: int) -> Iterator[bytes]:
    """Yield the `width` lowest bytes of numbers (N,), the lowest of all of them first."""
    rows = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.itemsize)
    return (rows[:, place].tobytes() for place in range(width))


def whole_planes(values: Numbers) -> Iterator[bytes]:
    """Yield whole numbers (N,) int64 as their differences, in as few bytes as the largest of these takes."""
    steps = np.diff(values)  # may overflow, and comes back all the same
    least = steps.min(initial=0) if len(steps) else np.int64(0)
    above = (steps - least).view(np.uint64)
    width = (int(above.max(initial=0)).bit_length() + 7) // 8
    yield WHOLE.pack(int(values[0]) if len(values) else 0, int(np.int64(least).view(np.uint64)), width)
    yield from planes(above, width)


class Reader:
    """Takes parts off compressed bytes, in the order in which they were put in. Raises ValueError, or zlib's error."""

    def __init__(self, data: bytes) -> None:
        self._data = zlib.decompress(data)
        self._at = 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise ValueError("it ends too early")
        self._at += size
        return part

    def planes(self, count: int, width: int, kind: str) -> Numbers:
        """Return `count` numbers of a type, "<u8" say, of which the `width` lowest bytes were put in."""
        rows = np.zeros((count, np.dtype(kind).itemsize), np.uint8)
        rows[:, :width] = np.frombuffer(self.take(count * width), np.uint8).reshape(width, count).T
        return rows.view(kind)[:, 0]

    def whole(self, count: int) -> Numbers:
        """Return whole numbers (count,) int64."""
        first, least, width = WHOLE.unpack(self.take(WHOLE.size))
        steps = self.planes(max(0, count - 1), width, "<u8") + np.uint64(least)
        return np.cumsum(np.concatenate([np.array([first], np.int64), steps.view(np.int64)]))[:count]


def compress(parts: Iterator[bytes]) -> bytes:
    """Return parts as `Reader` takes them."""
    packer = zlib.compressobj(6)
    found = []
    for part in parts:
        found.append(packer.compress(part))
        if len(part) >= WORTH_A_FLUSH:  # what compresses and what is noise do not share a code
            found.append(packer.flush(zlib.Z_FULL_FLUSH))
    return b"".join([*found, packer.flush()])
