"""Metrics that need nothing but counts a class: accuracy, precision, recall, F1, MCC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lightning_tune.reports.predictions import Floats, Predictions, Weights, ratio
from lightning_tune.schema import TaskKind


@dataclass(frozen=True)
class Counts:
    """Weighted rows a class, each [classes, resamples]: labelled so, answered so, and both."""

    kind: TaskKind
    positive: int
    hits: Floats
    support: Floats
    predicted: Floats

    @classmethod
    def of(cls, predictions: Predictions, weights: Weights) -> Counts:
        """Count under each column of weights."""
        truth, answers = predictions.truth, predictions.answers
        # Sums of small integers: float32 is exact up to 2**24 rows.
        hits, support, predicted = (
            (marks.T @ weights).astype(np.float64) for marks in (truth * answers, truth, answers)
        )
        return cls(predictions.kind, predictions.positive, hits, support, predicted)

    @property
    def precision(self) -> Floats:
        """[classes, resamples]; 0 for a class that is never the answer."""
        return ratio(self.hits, self.predicted)

    @property
    def recall(self) -> Floats:
        """[classes, resamples]; 0 for a class that no row holds."""
        return ratio(self.hits, self.support)

    @property
    def f1(self) -> Floats:
        """[classes, resamples]; 0 for a class that is nowhere."""
        return ratio(2 * self.hits, self.support + self.predicted)


def accuracy(counts: Counts) -> Floats:
    """Share of rows that are right; single-label tasks."""
    return ratio(counts.hits.sum(axis=0), counts.support.sum(axis=0))


def f1(counts: Counts) -> Floats:
    """F1 of the positive class, or the macro average."""
    return _positive_or_macro(counts, counts.f1)


def precision(counts: Counts) -> Floats:
    """Precision of the positive class, or the macro average."""
    return _positive_or_macro(counts, counts.precision)


def recall(counts: Counts) -> Floats:
    """Recall of the positive class, or the macro average."""
    return _positive_or_macro(counts, counts.recall)


def f1_macro(counts: Counts) -> Floats:
    """F1 averaged over labels."""
    return _macro(counts, counts.f1)


def f1_micro(counts: Counts) -> Floats:
    """F1 of all labels pooled."""
    both = (counts.support + counts.predicted).sum(axis=0)
    return ratio(2 * counts.hits.sum(axis=0), both)


def mcc(counts: Counts) -> Floats:
    """Matthews' correlation for any number of classes; 0 where labels or answers are constant.

    Gorodkin, J. (2004): Comparing two K-category assignments by a K-category correlation.
    https://doi.org/10.1016/j.compbiolchem.2004.09.006
    """
    rows, right = counts.support.sum(axis=0), counts.hits.sum(axis=0)
    together = right * rows - (counts.support * counts.predicted).sum(axis=0)
    spread_labels = rows**2 - (counts.support**2).sum(axis=0)
    spread_answers = rows**2 - (counts.predicted**2).sum(axis=0)
    return ratio(together, np.sqrt(spread_labels * spread_answers))


def _positive_or_macro(counts: Counts, each: Floats) -> Floats:
    if counts.kind != "binary":
        return _macro(counts, each)
    positive: Floats = each[counts.positive]
    return positive


def _macro(counts: Counts, each: Floats) -> Floats:
    """Average over labels; single-label tasks over those that occur, as torchmetrics does."""
    if counts.kind == "multilabel":
        mean: Floats = each.mean(axis=0)
        return mean
    occurs = (counts.support + counts.predicted) > 0
    return ratio((each * occurs).sum(axis=0), occurs.sum(axis=0).astype(np.float64))
