"""The rows that a model gets wrong, worst first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.reports.predictions import Floats, Predictions
from lightning_tune.reports.records import Mistake
from lightning_tune.schema import Label, LabelSet

TextOf = Callable[[int], tuple[str, str | None]]
"""Row of the split -> its text, and the second text of a pair."""


def mistakes(
    labels: LabelSet, predictions: Predictions, *, text_of: TextOf | None = None, limit: int = 25
) -> list[Mistake]:
    """Return the rows that are wrong, by falling loss; in regression those furthest from the label.

    Args:
        labels: Names the classes.
        predictions: Labels and scores.
        text_of: Gives the text of a row; None leaves texts out.
        limit: How many to return at most.
    """
    wrong, losses = _wrong(predictions), _losses(predictions)
    order = wrong[np.argsort(-losses[wrong], kind="stable")][:limit]
    found = []
    for row in order.tolist():
        text, text_pair = text_of(row) if text_of else (None, None)
        found.append(
            Mistake(
                row=row,
                label=_name(labels, predictions.targets[row]),
                predicted=_name(labels, _answer(predictions, row)),
                probability=_confidence(predictions, row),
                loss=float(losses[row]),
                text=text,
                text_pair=text_pair,
            )
        )
    return found


def _wrong(predictions: Predictions) -> NDArray[np.int64]:
    if predictions.kind == "regression":
        return np.arange(predictions.rows)
    return np.flatnonzero((predictions.truth != predictions.answers).any(axis=1))


def _losses(predictions: Predictions) -> Floats:
    """[rows] absolute error, or negative log-likelihood (multi-label: the mean over labels)."""
    if predictions.kind == "regression":
        error: Floats = np.abs(predictions.targets.astype(np.float64) - predictions.scores)
        return error
    held, scores = predictions.truth > 0, predictions.scores
    right = np.where(held, scores, 1 - scores) if predictions.kind == "multilabel" else scores[held]
    losses = -np.log(right.clip(min=np.finfo(np.float32).tiny)).reshape(predictions.rows, -1)
    mean: Floats = losses.mean(axis=1)
    return mean


def _answer(predictions: Predictions, row: int) -> Any:
    """The predicted class index, 0/1 marks or number of one row, shaped like its target."""
    if predictions.kind == "regression":
        return predictions.scores[row]
    answers = predictions.answers[row]
    return answers if predictions.kind == "multilabel" else answers.argmax()


def _confidence(predictions: Predictions, row: int) -> float | None:
    if predictions.kind == "regression":
        return None
    scores = predictions.scores[row]
    if predictions.kind == "multilabel":
        worst = scores[np.abs(scores - predictions.truth[row]).argmax()]
        return float(max(worst, 1 - worst))
    return float(scores.max())


def _name(labels: LabelSet, value: Any) -> Label:
    if labels.kind == "regression":
        return float(value)
    if labels.kind == "multilabel":
        return tuple(labels.names[index] for index in np.flatnonzero(value))
    return labels.names[int(value)]
