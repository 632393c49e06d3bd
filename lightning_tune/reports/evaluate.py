"""Predictions of one split -> its Evaluation: metrics, intervals, counts, curves, mistakes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lightning_tune.reports.counting import Counts
from lightning_tune.reports.intervals import bootstrap
from lightning_tune.reports.mistakes import TextOf, mistakes
from lightning_tune.reports.predictions import Floats, Marks, Predictions, once
from lightning_tune.reports.ranking import average_precision, precision_steps
from lightning_tune.reports.records import ClassScores, Evaluation, Point
from lightning_tune.reports.scores import values
from lightning_tune.schema import LabelSet

_CURVE_POINTS = 64
_SCATTER_POINTS = 1500


def evaluate(
    labels: LabelSet,
    targets: ArrayLike,
    scores: ArrayLike,
    *,
    split: str,
    text_of: TextOf | None = None,
    worst: int = 25,
    threshold: float = 0.5,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Build the record of one split from labels and scores.

    Args:
        labels: The label set; its order is that of the score columns.
        targets: [rows] class indices, or numbers in regression; [rows, labels] 0/1 in multi-label.
        scores: [rows, classes] probabilities (binary: two columns); [rows] numbers in regression.
        split: Name of the split, the prefix of its metrics.
        text_of: Gives the text of a row; None leaves texts out of the record.
        worst: How many mistakes to list.
        threshold: A label holds above this probability, in [0, 1]; multi-label only.
        resamples: Bootstrap resamples of the intervals; 0 gives none.
        seed: Seed of the bootstrap.

    Raises:
        DataError: if shapes do not agree, or a score is not finite.
    """
    positive = labels.positive_index if labels.kind == "binary" else 1
    predictions = Predictions(
        labels.kind, np.asarray(targets), np.asarray(scores), positive=positive, threshold=threshold
    )
    record = Evaluation(labels.kind, split, predictions.rows, list(labels.names))
    record.metrics = values(predictions)
    if resamples:
        record.intervals = bootstrap(predictions, resamples=resamples, seed=seed)
    record.worst = mistakes(labels, predictions, text_of=text_of, limit=worst)
    if labels.kind == "regression":
        record.scatter = _scatter(predictions)
        return record
    record.per_class = class_scores(labels, predictions)
    record.precision_recall = precision_recall(labels, predictions)
    record.notes = _notes(record.per_class)
    if labels.kind != "multilabel":
        record.confusion = _confusion(predictions)
    return record


def class_scores(labels: LabelSet, predictions: Predictions) -> list[ClassScores]:
    """Return precision, recall, F1, average precision and counts of each label, in label order."""
    weights = once(predictions.rows)
    counts = Counts.of(predictions, weights)
    rows = []
    for index, name in enumerate(labels.names):
        precision, recall, f1, support, predicted = (
            float(part[index, 0])
            for part in (
                counts.precision,
                counts.recall,
                counts.f1,
                counts.support,
                counts.predicted,
            )
        )
        area = float(average_precision(predictions, weights, index)[0]) if support else None
        rows.append(ClassScores(name, precision, recall, f1, int(support), int(predicted), area))
    return rows


def precision_recall(labels: LabelSet, predictions: Predictions) -> dict[str, list[Point]]:
    """Return (recall, precision) points by label, and of all as "micro", thinned for drawing."""
    curves = {"micro": _curve(predictions.truth.ravel(), predictions.scores.ravel())}
    for index, name in enumerate(labels.names):
        points = _curve(predictions.truth[:, index], predictions.scores[:, index])
        if points:
            curves[name] = points
    return curves


def _curve(truth: Marks, scores: Floats) -> list[Point]:
    precision, gained = (step[:, 0] for step in precision_steps(truth, scores, once(len(truth))))
    if not len(gained):
        return []
    recall = gained.cumsum() / gained.sum()
    wanted = np.searchsorted(recall, np.linspace(0, 1, _CURVE_POINTS), side="left")
    kept = np.unique(wanted.clip(max=len(recall) - 1))
    return [(float(recall[at]), float(precision[at])) for at in kept]


def _confusion(predictions: Predictions) -> list[list[int]]:
    table = predictions.truth.T @ predictions.answers
    return [[int(cell) for cell in row] for row in table]


def _scatter(predictions: Predictions) -> list[Point]:
    """An even sample over the sorted labels, so that rare scores stay visible."""
    order = np.argsort(predictions.targets, kind="stable")
    kept = np.linspace(0, len(order) - 1, min(len(order), _SCATTER_POINTS)).astype(int)
    return [(float(predictions.targets[at]), float(predictions.scores[at])) for at in order[kept]]


def _notes(per_class: list[ClassScores]) -> list[str]:
    absent = [row.name for row in per_class if not row.support]
    unused = [row.name for row in per_class if row.support and not row.predicted]
    notes = []
    if absent:
        notes.append(f"No row of this split holds {_list(absent)}; nothing is measured there.")
    if unused:
        notes.append(f"The model never answers {_list(unused)}.")
    return notes


def _list(names: list[str], limit: int = 6) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
