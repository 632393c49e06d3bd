"""Fit what turns logits into probabilities that mean what they say: temperature and thresholds.

Guo et al. 2017, On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.schema import TaskKind

Floats = NDArray[np.float64]
COLDEST, HOTTEST = 0.05, 20.0
"""The temperatures that are tried."""
_LEAST_HELD = 20  # rows that hold a label: with fewer, a threshold fits their noise
_BINS = 15


def fit_temperature(logits: NDArray[Any], targets: NDArray[Any], kind: TaskKind) -> float:
    """Return the temperature under which the targets are likeliest; logits are divided by it.

    The likelihood is concave in 1 / temperature, so its slope has one root, which is bisected. With
    1 among those that are tried, it is never below that of logits as they are.

    Args:
        logits: [rows, outputs].
        targets: [rows] class indices; [rows, labels] 0/1 in multi-label.
        kind: Task kind.

    Returns:
        A temperature in [0.05, 20]; 1.0 in regression, which has no probabilities.

    >>> logits = np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
    >>> round(fit_temperature(logits, np.array([0, 0, 0, 1]), "binary"), 3)  # 2 / log 3
    1.82
    """
    if kind == "regression":
        return 1.0
    values = np.asarray(logits, dtype=np.float64)
    coldest, hottest = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    for _ in range(60):
        middle = (coldest + hottest) / 2
        if _slope(values, targets, kind, float(np.exp(middle))) > 0:  # sharper still is worse
            hottest = middle
        else:
            coldest = middle
    return float(np.exp(-(coldest + hottest) / 2))


def _slope(logits: Floats, targets: NDArray[Any], kind: TaskKind, sharpness: float) -> float:
    """Return the derivative of the negative log-likelihood by 1 / temperature."""
    if kind == "multilabel":
        expected = _sigmoid(sharpness * logits)
        return float(((expected - targets) * logits).sum())
    expected = _softmax(sharpness * logits)
    told = logits[np.arange(len(logits)), np.asarray(targets, dtype=np.int64)]
    return float(((expected * logits).sum(axis=1) - told).sum())


def fit_thresholds(probabilities: Floats, targets: NDArray[Any]) -> tuple[float, ...]:
    """Return, for each label, the threshold with the best F1; it holds above its threshold.

    A label that fewer than 20 rows hold keeps 0.5.

    Args:
        probabilities: [rows, labels] of a multi-label task.
        targets: [rows, labels] 0/1.
    """
    marks = np.asarray(targets)
    columns = range(probabilities.shape[1])
    return tuple(_best_threshold(probabilities[:, at], marks[:, at] > 0) for at in columns)


def _best_threshold(scores: Floats, held: NDArray[np.bool_]) -> float:
    """Return the middle of the gap between two scores below which F1 would only fall."""
    if held.sum() < _LEAST_HELD:
        return 0.5
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(held[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + held.sum())
    falling = scores[order]
    ends = np.append(falling[:-1] > falling[1:], True)  # equal scores are one answer
    best = int(np.argmax(np.where(ends, f1, -1.0)))
    below = falling[best + 1] if best + 1 < len(scores) else 0.0
    middle = float(np.float32((falling[best] + below) / 2))  # compared with scores in fp32
    return middle if below <= middle < falling[best] else float(below)


def shifted(probabilities: Floats, thresholds: tuple[float, ...]) -> Floats:
    """Move each label's probabilities so that its threshold comes to 0.5, the order unchanged.

    >>> shifted(np.array([[0.2, 0.2]]), (0.2, 0.4)).round(3).tolist()
    [[0.5, 0.25]]
    """
    limits = np.clip(np.asarray(thresholds, dtype=np.float64), 1e-9, 1 - 1e-9)
    below = probabilities / (2 * limits)
    above = 0.5 + (probabilities - limits) / (2 * (1 - limits))
    return np.where(probabilities <= limits, np.minimum(below, 0.5), above)


@dataclass(frozen=True)
class Bin:
    """Rows whose confidence is alike: its mean, the share that was right, and how many there are.

    In multi-label every label of every row counts as one: its probability, and whether it holds.
    """

    confidence: float
    right: float
    rows: int


def reliability(probabilities: Floats, targets: NDArray[Any], kind: TaskKind) -> list[Bin]:
    """Return 15 bins of equal width over the confidence, without the empty ones."""
    if kind == "regression":
        return []
    if kind == "multilabel":
        sure, right = probabilities.ravel(), np.asarray(targets).ravel() > 0
    else:
        sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    places = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    return [
        Bin(float(sure[inside].mean()), float(right[inside].mean()), int(inside.sum()))
        for inside in (places == place for place in range(_BINS))
        if inside.any()
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Return the expected calibration error: the mean distance of confidence and share right.

    Naeini et al. 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning,
    https://doi.org/10.1609/aaai.v29i1.9602

    >>> calibration_error([Bin(0.9, 0.7, 10), Bin(0.5, 0.5, 30)])
    0.05
    """
    rows = sum(each.rows for each in bins)
    return round(sum(each.rows * abs(each.confidence - each.right) for each in bins) / rows, 12)


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = raised / raised.sum(axis=1, keepdims=True)
    return found


def _sigmoid(logits: Floats) -> Floats:
    found: Floats = 0.5 * (1 + np.tanh(logits / 2))
    return found
