"""Confident learning: which labels are better another, by what models say that did not see them.

Northcutt, Jiang and Chuang 2021, https://arxiv.org/abs/1911.00068. A class's threshold is the mean
probability of that class over the rows that have its label. The confident joint counts the rows of
each given label whose likeliest class above its threshold is each other class; scaled to the number
of rows of each label it estimates how many labels of i should be j. As many rows are suspected,
those with the largest p(j) - p(i).

The results are those of the authors' package, cleanlab 2.9, to which a test holds them. It is not
used itself, as importing it imports pandas, and datasets where that is installed: seconds, and
memory that the stage has promised to leave alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SLACK = 1e-6  # a probability this far below its threshold counts as reaching it


def doubt(given: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the likeliest other class is ahead of each row's label, in [0, 1], [n].

    It is half of one less the margin, p(label) - max p(other): of two classes one less p(label).

    Args:
        given: The label of each row, [n].
        probabilities: Out of fold, [n, classes].

    >>> doubt(np.array([0, 0]), np.array([[0.9, 0.1], [0.25, 0.75]])).round(2).tolist()
    [0.1, 0.75]
    """
    rows = np.arange(len(given))
    others = probabilities.copy()
    others[rows, given] = -np.inf
    margins = probabilities[rows, given] - others.max(axis=1)
    behind: NDArray[np.float64] = np.clip((1 - margins) / 2, 0.0, 1.0)
    return behind


def confident_joint(
    given: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Count rows by given label and by the class that they are confidently in, [classes, classes].

    A row that reaches no threshold is not counted; the diagonal is at least 1.

    Args:
        given: The label of each row, [n].
        probabilities: Out of fold, [n, classes].

    >>> said = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.85, 0.15]])
    >>> confident_joint(np.array([0, 0, 1, 1]), said).tolist()
    [[1, 0], [1, 1]]
    """
    classes = probabilities.shape[1]
    counts = np.bincount(given, minlength=classes)
    own = probabilities[np.arange(len(given)), given]
    sums = np.bincount(given, weights=own, minlength=classes)
    thresholds = np.divide(sums, counts, out=np.full(classes, np.inf), where=counts > 0)
    reached = probabilities >= thresholds - _SLACK
    likeliest = np.where(reached, probabilities, -1.0).argmax(axis=1)
    sure = reached.any(axis=1)
    joint = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(joint, (given[sure], likeliest[sure]), 1)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1))
    return joint


def calibrated_joint(
    given: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the confident joint, scaled to the rows of each given label, [classes, classes].

    Args:
        given: The label of each row, [n].
        probabilities: Out of fold, [n, classes].
    """
    joint = confident_joint(given, probabilities).astype(np.float64)
    counts = np.bincount(given, minlength=probabilities.shape[1])
    scaled: NDArray[np.float64] = joint * (counts / joint.sum(axis=1))[:, None]
    return scaled


def noise_rate(given: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Return the share of wrong labels that the joint estimates, in [0, 1].

    What the models that gave the probabilities cannot tell apart counts as wrong too.

    Args:
        given: The label of each row, [n].
        probabilities: Out of fold, [n, classes].
    """
    joint = calibrated_joint(given, probabilities)
    return float(1 - joint.trace() / joint.sum())


def is_suspected(given: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows are better put into another class, [n].

    Args:
        given: The label of each row, [n].
        probabilities: Out of fold, [n, classes].
    """
    counts = np.bincount(given, minlength=probabilities.shape[1])
    joint = calibrated_joint(given, probabilities)
    best = probabilities.argmax(axis=1)
    flags = np.zeros(len(given), dtype=np.bool_)
    for label in np.flatnonzero(counts):
        rows = np.flatnonzero(given == label)
        margins = probabilities[rows] - probabilities[rows, label][:, None]
        for other in np.flatnonzero(np.rint(joint[label]) > 0):
            if other != label:
                top = np.argsort(-margins[:, other], kind="stable")[
                    : int(np.rint(joint[label, other]))
                ]
                flags[rows[top]] = True
    flags &= best != given
    return flags
