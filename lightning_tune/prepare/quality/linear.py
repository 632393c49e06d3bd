"""A linear model of words and characters: quick, needs nothing pretrained, knows every language."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.prepare.quality.folds import Training

_TOKEN = r"(?u)\b\w+\b|[^\w\s]"  # words of one letter and marks too: "!" and ":(" tell


def fit_linear(
    training: Training, held: Sequence[str], *, strength: float = 4.0
) -> NDArray[np.float64]:
    """Fit logistic regression on some rows and answer other texts: probabilities, [texts, labels].

    Args:
        training: The rows; a label that none of them has gets the probability 0.
        held: The texts to answer.
        strength: Inverse of the l2 penalty, above 0.
    """
    features = Features()
    known, asked = features.fit(training.texts), features.transform(held)
    found = np.zeros((len(held), training.targets.shape[1]))
    if (training.targets.sum(axis=1) == 1).all():
        given = training.targets.argmax(axis=1)
        classes, chances = _regress(known, given, training.weights, asked, strength)
        found[:, classes] = chances
        return found
    for column in range(found.shape[1]):
        given = training.targets[:, column].astype(np.int64)
        classes, chances = _regress(known, given, training.weights, asked, strength)
        found[:, column] = chances[:, classes == 1].sum(axis=1)
    return found
