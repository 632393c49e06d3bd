"""Texts as sets of hashed character shingles, one row of a rectangle each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

CELLS = 1 << 15
"""Shingles of one rectangle: 128 KB of hashes, so that it stays in a core's cache."""


def rectangles(
    texts: Sequence[str], shingle: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.uint32]]]:
    """Hash the shingles of texts, those of about the same length together.

    Shorter sets are filled up with their last shingle, which changes no set.

    Args:
        texts: Any texts, of at least 1 character each.
        shingle: Characters of a shingle. A shorter text is its only shingle.

    Yields:
        Positions of texts, [rows]; their hashed shingles, [most, rows].

    >>> [(rows.tolist(), hashed.shape) for rows, hashed in rectangles(["abcd", "ab"], 2)]
    [([1, 0], (3, 2))]
    """
    padded = [text.ljust(shingle, "\0") for text in texts]
    lengths = np.fromiter(map(len, padded), np.intp, len(padded))
    counts = lengths - shingle + 1
    starts = np.cumsum(lengths) - lengths
    hashed = hash_shingles(code_points("".join(padded)), shingle)
    order = np.argsort(counts, kind="stable")
    ordered = counts[order]
    first = 0
    while first < len(order):
        last = _end_of_rectangle(ordered, first)
        rows = order[first:last]
        steps = np.minimum(np.arange(ordered[last - 1])[:, None], counts[rows] - 1)
        yield rows, hashed[starts[rows] + steps]
        first = last


def _end_of_rectangle(ordered: NDArray[np.intp], first: int) -> int:
    """Return how far a rectangle reaches whose rows begin at `first`: at least one row."""
    some = ordered[first : first + max(1, CELLS // int(ordered[first]))]
    fits = some * np.arange(1, len(some) + 1) <= CELLS
    return first + max(1, int(fits.sum()))


def code_points(text: str) -> NDArray[np.uint32]:
    """Return a text's characters as numbers.

    >>> code_points("a€").tolist()
    [97, 8364]
    """
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def hash_shingles(points: NDArray[np.uint32], shingle: int) -> NDArray[np.uint32]:
    """Hash each window of characters: a polynomial modulo 2**32, then the mixer of MurmurHash3.

    Args:
        points: [characters].
        shingle: Characters of a window, at most as many as there are.

    Returns:
        [characters - shingle + 1].

    >>> first, other, again = hash_shingles(code_points("abab"), 2).tolist()
    >>> first == again, first == other
    (True, False)
    """
    windows = len(points) - shingle + 1
    hashed = np.zeros(max(windows, 0), np.uint32)
    for offset in range(shingle):
        hashed *= np.uint32(0x01000193)
        hashed += points[offset : offset + windows]
    return mix(hashed)


def mix(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spread what differs in few bits over all of them: the finaliser of MurmurHash3, in place.

    https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp

    >>> mix(np.array([0, 1], np.uint32)).tolist()
    [0, 1364076727]
    """
    values ^= values >> np.uint32(16)
    values *= np.uint32(0x85EBCA6B)
    values ^= values >> np.uint32(13)
    values *= np.uint32(0xC2B2AE35)
    values ^= values >> np.uint32(16)
    return values
