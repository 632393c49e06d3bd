"""Which texts of a bucket are compared: neighbours only, so that a giant bucket costs no more."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

WINDOW = 4
"""How many of those before it in the bucket a text is compared with."""

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]


def neighbours(keys: NDArray[np.uint32], finer: NDArray[np.uint32]) -> Iterator[Pairs]:
    """Return pairs of texts with equal keys, at most WINDOW + 1 a text.

    A bucket of up to WINDOW + 1 texts is compared in full. Inside a larger one texts stand in the
    order of their keys in another band, so that those that agree there too are next to each other.

    Args:
        keys: Keys of one band, [texts].
        finer: Keys of another band, [texts].

    Yields:
        Pairs at one distance in the order, two arrays of one length; last, each text with the first
        of its bucket.

    >>> keys, finer = np.array([[5, 7, 5, 5], [1, 1, 0, 1]], np.uint32)
    >>> [list(zip(left.tolist(), right.tolist())) for left, right in neighbours(keys, finer)][:2]
    [[(2, 0), (0, 3)], [(2, 3)]]
    """
    order = np.argsort((keys.astype(np.uint64) << np.uint64(32)) | finer, kind="stable")
    sorted_keys = keys[order]
    for distance in range(1, WINDOW + 1):
        same = sorted_keys[distance:] == sorted_keys[:-distance]
        yield order[:-distance][same], order[distance:][same]
    places = np.arange(len(order))
    begins = np.ones(len(order), bool)
    begins[1:] = sorted_keys[1:] != sorted_keys[:-1]
    first = np.maximum.accumulate(np.where(begins, places, 0))
    far = places - first > WINDOW
    yield order[first[far]], order[far]
