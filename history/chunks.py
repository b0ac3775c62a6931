"""Chunks: many points of one model as a few bytes, with a checksum, column by column.

Nothing is rounded: points come back bit for bit. A column is written in the shortest way that is equal to it, which is
checked each time: as a fraction (the epoch is images seen / images, the accuracy right answers / images), as a
float32 (the loss), as a multiple of a power of two (seconds are differences of a clock), or as it is.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from history.errors import Damaged
from history.planes import Numbers, Reader, compress, planes, whole_planes
from history.records import Point

HEAD = struct.Struct("<BIIqq")  # version, checksum of all that follows, points, first and last step
CHECKED_FROM = 5  # bytes: version and checksum
VERSION = 1
LARGEST_DENOMINATOR = 65_536  # more images than any training set of ours has
MOST_DENOMINATORS = 64  # of a column; beyond that it is no column of fractions
MOST_BITS = 62  # of a number of the smallest power of two
PLAIN, SINGLE, FRACTIONS, SCALED = range(4)  # how a column is written


def encode(points: Sequence[Point]) -> bytes:
    """Return points, at least one, in the order of their steps, as a chunk."""
    steps = np.array([point.step for point in points], np.int64)
    columns = np.array([point[1:] for point in points], np.float64).T
    with np.errstate(all="ignore"):  # what a way of writing cannot hold is written another way
        body = compress(_parts(steps, *map(np.ascontiguousarray, columns)))
    rest = HEAD.pack(VERSION, 0, len(points), points[0].step, points[-1].step)[CHECKED_FROM:] + body
    return struct.pack("<BI", VERSION, zlib.crc32(rest)) + rest


def check(data: bytes) -> tuple[int, int, int]:
    """Return a chunk's number of points, first and last step. Raises Damaged where it is not as it was written."""
    if len(data) < HEAD.size:
        raise Damaged("a chunk of points is too short")
    version, checksum, count, first, last = HEAD.unpack_from(data)
    if version != VERSION or zlib.crc32(memoryview(data)[CHECKED_FROM:]) != checksum:
        raise Damaged("a chunk of points is not as it was written")
    return count, first, last


def decode(data: bytes) -> list[Point]:
    """Return the points of a chunk. Raises Damaged."""
    count, *_ = check(data)
    try:
        reader = Reader(data[HEAD.size :])
        columns = [reader.whole(count), *(_read(reader, count) for _ in Point._fields[1:])]
    except (ValueError, IndexError, zlib.error, struct.error) as error:
        raise Damaged(f"a chunk of points cannot be read: {error}") from None
    return list(map(Point._make, zip(*(column.tolist() for column in columns), strict=True)))


def _parts(steps: Numbers, epoch: Numbers, seconds: Numbers, loss: Numbers, accuracy: Numbers) -> Iterator[bytes]:
    yield from whole_planes(steps)
    yield from _fractions(epoch) or _plain(epoch)
    yield from _scaled(seconds) or _plain(seconds)
    yield from _single(loss) or _plain(loss)
    yield from _fractions(accuracy) or _plain(accuracy)


def _read(reader: Reader, count: int) -> Numbers:
    """Return the next column (count,) float64."""
    (how,) = reader.take(1)
    if how == SINGLE:
        return reader.planes(count, 4, "<f4").astype(np.float64)
    if how == FRACTIONS:
        (known,) = struct.unpack("<B", reader.take(1))
        denominators = np.frombuffer(reader.take(4 * known), "<u4").astype(np.float64)
        return reader.whole(count) / denominators[reader.planes(count, 1, "u1")]
    if how == SCALED:
        (shift,) = struct.unpack("<h", reader.take(2))
        return np.ldexp(reader.whole(count).astype(np.float64), -shift)
    if how == PLAIN:
        return reader.planes(count, 8, "<f8")
    raise ValueError("a column of an unknown kind")


def _same(one: Numbers, two: Numbers) -> bool:
    """Whether two columns are the same to the bit; -0.0 is not 0.0, and NaN is NaN."""
    return bool((one.view(np.int64) == two.view(np.int64)).all())


def _plain(column: Numbers) -> list[bytes]:
    return [bytes([PLAIN]), *planes(column, 8)]


def _single(column: Numbers) -> list[bytes] | None:
    single = column.astype(np.float32)
    return [bytes([SINGLE]), *planes(single, 4)] if _same(single.astype(np.float64), column) else None


def _fractions(column: Numbers) -> list[bytes] | None:
    """Return a column of k/n with few different n, each at most LARGEST_DENOMINATOR; None where it is none."""
    left = column
    denominators: set[int] = set()
    while len(left):
        value = float(left[0])
        if not 0 <= value < LARGEST_DENOMINATOR or len(denominators) == MOST_DENOMINATORS:
            return None
        found = Fraction(value).limit_denominator(LARGEST_DENOMINATOR).denominator
        remaining = left[np.rint(left * found) / found != left]
        if len(remaining) and remaining[0] == value:
            return None
        denominators.add(found)
        left = remaining
    which = np.zeros(len(column), np.uint8)
    whole = np.zeros(len(column), np.int64)
    table = sorted(denominators)  # of several that fit the largest: 3/4 of 1,024 images is 768/1,024
    for place, denominator in enumerate(table):
        counts = np.rint(column * denominator)
        fits = counts / denominator == column
        which[fits], whole[fits] = place, counts[fits]
    if not _same(whole / np.array(table, np.float64)[which], column):
        return None
    head = struct.pack(f"<BB{len(table)}I", FRACTIONS, len(table), *table)
    return [head, *whole_planes(whole), *planes(which, 1)]


def _scaled(column: Numbers) -> list[bytes] | None:
    """Return a column of multiples of one power of two; None where they would be too large."""
    if not np.isfinite(column).all():
        return None
    mantissas, exponents = np.frexp(column)
    digits = np.ldexp(mantissas, 53).astype(np.int64)
    lowest = digits & -digits  # the lowest bit that is set, a power of two
    used = digits != 0
    shift = -int((exponents - 53 + np.log2(np.where(used, lowest, 1)).astype(int))[used].min(initial=0))
    largest = int(exponents[used].max(initial=0))
    if largest + shift > MOST_BITS or abs(shift) > 1000:
        return None
    whole = np.ldexp(column, shift).astype(np.int64)
    if not _same(np.ldexp(whole.astype(np.float64), -shift), column):
        return None
    return [struct.pack("<Bh", SCALED, shift), *whole_planes(whole)]
