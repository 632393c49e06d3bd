"""The proof that two texts are near duplicates: their edit distance, counted exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

_AT_ONCE = 1 << 16
_SLACK = 1e-6  # of the search alone; what it lets through is counted in whole edits


def allowed_edits(longer: NDArray[np.int64], similarity: float) -> NDArray[np.int64]:
    """Return how many edits a pair may differ by, given the longer text's characters.

    >>> allowed_edits(np.array([9, 10, 25]), 0.9).tolist()
    [0, 1, 2]
    """
    allowed: NDArray[np.int64] = np.floor((1 - similarity) * longer + 1e-9).astype(np.int64)
    return allowed


def are_near(
    texts: NDArray[np.object_],
    lengths: NDArray[np.int64],
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
    *,
    similarity: float,
    threads: int,
) -> NDArray[np.bool_]:
    """Return which pairs are near duplicates.

    Args:
        texts: All texts, [texts].
        lengths: Their characters, [texts].
        pairs: Positions of the texts to compare, two arrays [pairs].
        similarity: Share of the longer text's characters that needs no edit.
        threads: How many threads compare.

    Returns:
        [pairs].
    """
    left, right = pairs
    longer = np.maximum(lengths[left], lengths[right])
    most = allowed_edits(longer, similarity)
    near: NDArray[np.bool_] = np.abs(lengths[left] - lengths[right]) <= most
    possible = np.flatnonzero(near)
    for start in range(0, len(possible), _AT_ONCE):
        some = possible[start : start + _AT_ONCE]
        scores = cpdist(
            texts[left[some]].tolist(),
            texts[right[some]].tolist(),
            scorer=Levenshtein.normalized_similarity,
            score_cutoff=similarity - _SLACK,
            dtype=np.float64,
            workers=threads,
        )
        near[some] = np.rint((1 - scores) * longer[some]) <= most[some]
    return near
