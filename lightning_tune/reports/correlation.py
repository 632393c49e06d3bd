"""Metrics of regression: Pearson's and Spearman's correlation, mean absolute error."""

from __future__ import annotations

import numpy as np

from lightning_tune.reports.predictions import Floats, Predictions, Weights, ratio


def pearson(predictions: Predictions, weights: Weights) -> Floats:
    """Linear correlation under each column of weights; NaN where one side is constant."""
    labels = predictions.targets.astype(np.float64)
    return _correlation(labels[:, None], predictions.scores[:, None], weights)


def spearman(predictions: Predictions, weights: Weights) -> Floats:
    """Correlation of the ranks within each resample; ties share their average rank."""
    labels = _ranks(predictions.targets.astype(np.float64), weights)
    return _correlation(labels, _ranks(predictions.scores, weights), weights)


def mae(predictions: Predictions, weights: Weights) -> Floats:
    """Mean distance of prediction and label, in the label's unit."""
    error = np.abs(predictions.targets.astype(np.float64) - predictions.scores)
    mean: Floats = (error @ weights) / weights.sum(axis=0)
    return mean


def _correlation(left: Floats, right: Floats, weights: Weights) -> Floats:
    """Weighted correlation of [rows, 1 or resamples] columns."""
    rows = weights.sum(axis=0, dtype=np.float64)
    left, left_spread = _centred(left, weights, rows)
    right, right_spread = _centred(right, weights, rows)
    together = (left * right * weights).sum(axis=0)
    return ratio(together, left_spread * right_spread, otherwise=np.nan)


def _centred(values: Floats, weights: Weights, rows: Floats) -> tuple[Floats, Floats]:
    """Take the mean away (sums of squares far from zero lose digits); spread 0 where constant."""
    centred = values - (values * weights).sum(axis=0) / rows
    spread = np.sqrt((centred**2 * weights).sum(axis=0))
    rounding = 1e-12 * np.abs(values).max() * np.sqrt(rows)
    return centred, np.where(spread > rounding, spread, 0.0)


def _ranks(values: Floats, weights: Weights) -> Floats:
    """Average rank of each row within each resample, [rows, resamples]."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)
    sizes = np.add.reduceat(weights[order].astype(np.float64), starts, axis=0)
    middles = np.cumsum(sizes, axis=0) - sizes + (sizes + 1) / 2
    ranks = np.empty((len(values), weights.shape[1]))
    ranks[order] = np.repeat(middles, np.diff(np.append(starts, len(values))), axis=0)
    return ranks
