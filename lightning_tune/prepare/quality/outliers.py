"""Texts that are like no other: made of pieces that hardly another text has.

A text's surprisal is the mean over its pieces of -ln(share of the other texts that have the piece).
Pieces are three characters inside a word, or one character of a script without spaces, so every
language has them; time and memory are linear in the characters. Cavnar and Trenkle 1994,
"N-Gram-Based Text Categorization", told languages apart by the same pieces. Distances to the
nearest neighbours, the usual way, find less: strangers are neighbours of each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lightning_tune.words.split import spaced


def surprisals(texts: Sequence[str], *, anchor: float = 10.0) -> NDArray[np.float64]:
    """Return how surprising each text is among the others: nats a piece, [n].

    Args:
        texts: The texts; a text without a piece, as the empty one, is as surprising as the median.
        anchor: Pieces of the median surprisal that each text gets in addition, at least 0: a short
            text says little about itself.

    >>> surprisals(["my card", "my cards", "a card", "qqq xxx"]).argmax()
    np.int64(3)
    """
    from sklearn.feature_extraction.text import CountVectorizer

    try:
        has = CountVectorizer(
            preprocessor=_comparable, analyzer="char_wb", ngram_range=(3, 3), binary=True
        ).fit_transform(texts)
    except ValueError:  # no text has a piece
        return np.zeros(len(texts))
    others = np.asarray(has.sum(axis=0)).ravel() - 1
    total = has @ -np.log((others + 0.5) / len(texts))
    pieces = np.asarray(has.sum(axis=1)).ravel()
    middle = np.median(total[pieces > 0] / pieces[pieces > 0])
    found: NDArray[np.float64] = (total + anchor * middle) / np.maximum(pieces + anchor, 1)
    found[pieces == 0] = middle
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


def _comparable(text: str) -> str:
    return spaced(text.lower())
