"""Texts that are like no other: far from their nearest neighbours.

The score is the mean cosine distance to the nearest neighbours, Kuan and Mueller 2022, "Back to the
Basics: Revisiting Out-of-Distribution Detection Baselines", https://arxiv.org/abs/2207.03061.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024  # rows compared at once: bounds the memory


def outlier_scores(
    vectors: NDArray[np.float32], *, neighbours: int = 10, references: int = 20_000, seed: int = 0
) -> NDArray[np.float64]:
    """Return the mean cosine distance of each row to its nearest neighbours, in [0, 2], [n].

    Args:
        vectors: One a text, [n, width]; a row of zeros is as far from all others as can be told.
        neighbours: How many; the row itself is none of them.
        references: Rows that may be neighbours, a random draw where there are more.
        seed: Decides about the draw.
    """
    count = len(vectors)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    drawn = np.arange(count)
    if count > references:
        drawn = np.sort(np.random.default_rng(seed).choice(count, references, replace=False))
    wanted = min(neighbours, len(drawn) - 1)
    if wanted < 1:
        return np.zeros(count)
    found = np.empty(count)
    for start in range(0, count, _BLOCK):
        like = unit[start : start + _BLOCK] @ unit[drawn].T
        own = drawn[None, :] == np.arange(start, start + len(like))[:, None]
        like[own] = -np.inf
        nearest = np.partition(like, -wanted, axis=1)[:, -wanted:]
        found[start : start + len(like)] = 1 - nearest.mean(axis=1)
    return found


def is_outlier(scores: NDArray[np.float64], *, deviations: float = 4.0) -> NDArray[np.bool_]:
    """Return which rows stand out: above the median by so many robust standard deviations.

    The deviation is 1.4826 times the median distance from the median, as of a normal distribution.

    Args:
        scores: The scores, [n].
        deviations: How many, above 0.

    >>> is_outlier(np.array([0.1, 0.2, 0.15, 0.12, 0.9])).tolist()
    [False, False, False, False, True]
    """
    middle = np.median(scores) if len(scores) else 0.0
    spread = 1.4826 * np.median(np.abs(scores - middle)) if len(scores) else 0.0
    flags: NDArray[np.bool_] = scores > middle + deviations * max(float(spread), 1e-9)
    return flags
