"""The metrics of each task kind in numpy, for many resamples of the rows at once.

A resample is a column of row weights (how often it drew each row), so one pass over the predictions
serves all of them: `weights` is [rows, resamples], and every metric returns [resamples].
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
from numpy.typing import ArrayLike

from lightning_tune.reports import correlation, counting, ranking
from lightning_tune.reports.counting import Counts
from lightning_tune.reports.predictions import Floats, Predictions, Weights, once
from lightning_tune.schema import TaskKind

METRICS: Mapping[TaskKind, tuple[str, ...]] = {
    "binary": ("accuracy", "f1", "f1_macro", "precision", "recall", "mcc", "auroc"),
    "multiclass": ("accuracy", "f1_macro", "f1_micro", "precision", "recall", "mcc", "auroc"),
    "multilabel": ("f1_macro", "f1_micro", "precision", "recall", "map", "auroc"),
    "regression": ("pearson", "spearman", "mae"),
}
"""Names by task kind. In binary tasks f1, precision and recall are those of the positive class;
elsewhere precision and recall are macro averages."""

_OF_COUNTS: Mapping[str, Callable[[Counts], Floats]] = {
    "accuracy": counting.accuracy,
    "f1": counting.f1,
    "f1_macro": counting.f1_macro,
    "f1_micro": counting.f1_micro,
    "precision": counting.precision,
    "recall": counting.recall,
    "mcc": counting.mcc,
}
_OF_SCORES: Mapping[str, Callable[[Predictions, Weights], Floats]] = {
    "auroc": ranking.auroc,
    "map": ranking.mean_average_precision,
    "pearson": correlation.pearson,
    "spearman": correlation.spearman,
    "mae": correlation.mae,
}


def point(
    kind: TaskKind,
    targets: ArrayLike,
    scores: ArrayLike,
    *,
    names: Collection[str] | None = None,
    positive: int = 1,
    threshold: float = 0.5,
) -> dict[str, float]:
    """Return the value of each metric on all rows; the arguments are those of `Predictions`.

    >>> point("binary", [0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], names=["recall"])
    {'recall': 0.5}
    """
    predictions = Predictions(
        kind, np.asarray(targets), np.asarray(scores), positive=positive, threshold=threshold
    )
    return values(predictions, names)


def values(predictions: Predictions, names: Collection[str] | None = None) -> dict[str, float]:
    """Return the value of each metric on all rows; NaN where the rows do not define it."""
    found = weighted(predictions, once(predictions.rows), names)
    return {name: float(value[0]) for name, value in found.items()}


def weighted(
    predictions: Predictions, weights: Weights, names: Collection[str] | None = None
) -> dict[str, Floats]:
    """Return metrics under each column of weights; names without a formula here are left out.

    Args:
        predictions: Labels and scores.
        weights: [rows, resamples], how often each resample drew each row.
        names: Metrics wanted; all of the task kind where None.

    Returns:
        [resamples] values by name; NaN where a resample does not define the metric.
    """
    wanted = [name for name in METRICS[predictions.kind] if names is None or name in names]
    counted = [name for name in wanted if name in _OF_COUNTS]
    counts = Counts.of(predictions, weights) if counted else None
    return {
        name: _OF_COUNTS[name](counts)
        if counts is not None and name in _OF_COUNTS
        else _OF_SCORES[name](predictions, weights)
        for name in wanted
    }
