"""Metrics that need the order of the scores: area under ROC, average precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lightning_tune.reports.predictions import Floats, Marks, Predictions, Weights, ratio


def auroc(predictions: Predictions, weights: Weights) -> Floats:
    """Area under ROC: of the positive class (binary), else the mean over labels that define one."""
    if predictions.kind == "binary":
        return roc_area(predictions, weights, predictions.positive)
    return _mean_over_labels(roc_area, predictions, weights)


def mean_average_precision(predictions: Predictions, weights: Weights) -> Floats:
    """Average precision, the mean over labels that some row holds."""
    return _mean_over_labels(average_precision, predictions, weights)


def roc_area(predictions: Predictions, weights: Weights, index: int) -> Floats:
    """P(a row with the label outscores one without), ties counting half; NaN without both kinds."""
    scores, held = predictions.scores[:, index], predictions.truth[:, index] > 0
    others = np.flatnonzero(~held)
    others = others[np.argsort(scores[others], kind="stable")]
    below = np.zeros((len(others) + 1, weights.shape[1]), dtype=np.float32)
    np.cumsum(weights[others], axis=0, out=below[1:])
    first = np.searchsorted(scores[others], scores[held], side="left")
    last = np.searchsorted(scores[others], scores[held], side="right")
    drawn = weights[held].astype(np.float64)
    wins = (drawn * (below[first] + below[last].astype(np.float64))).sum(axis=0) / 2
    pairs = drawn.sum(axis=0) * below[-1]
    return ratio(wins, pairs, otherwise=np.nan)


def average_precision(predictions: Predictions, weights: Weights, index: int) -> Floats:
    """One label's average precision under each column of weights; NaN where no row holds it."""
    precision, gained = precision_steps(
        predictions.truth[:, index], predictions.scores[:, index], weights
    )
    return ratio((gained * precision).sum(axis=0), gained.sum(axis=0), otherwise=np.nan)


def precision_steps(truth: Marks, scores: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """Walk down the distinct scores of the rows that hold a label.

    Args:
        truth: [rows], 1 where a row holds the label.
        scores: [rows], the label's probability.
        weights: [rows, resamples].

    Returns:
        [steps, resamples] each: precision with the threshold at that score, and the weight of the
        positives gained since the step before. Rows without the label fall between the steps.
    """
    held = np.flatnonzero(truth > 0)
    steps = -np.unique(-scores[held])
    if not len(steps):
        nothing = np.zeros((0, weights.shape[1]))
        return nothing, nothing
    order = np.argsort(-scores, kind="stable")
    ends = np.searchsorted(-scores[order], -steps, side="right")
    starts = np.append(0, ends[:-1])
    chosen = np.add.reduceat(weights[order[: ends[-1]]], starts, axis=0).astype(np.float64)
    held = held[np.argsort(-scores[held], kind="stable")]
    firsts = np.searchsorted(-scores[held], -steps, side="left")
    gained = np.add.reduceat(weights[held], firsts, axis=0).astype(np.float64)
    return ratio(gained.cumsum(axis=0), chosen.cumsum(axis=0)), gained


def _mean_over_labels(
    metric: Callable[[Predictions, Weights, int], Floats],
    predictions: Predictions,
    weights: Weights,
) -> Floats:
    total, defined = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
    for index in range(predictions.scores.shape[1]):
        values = metric(predictions, weights, index)
        total += np.nan_to_num(values)
        defined += np.isfinite(values)
    return ratio(total, defined, otherwise=np.nan)
