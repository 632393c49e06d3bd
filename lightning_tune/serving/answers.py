"""What is said of each text: as an object from Python, as columns in a file of predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.schema import Label, LabelSet
from lightning_tune.serving.calibration import Calibration, holds


@dataclass(frozen=True)
class Answer:
    """What the model says of one text.

    Args:
        label: The class name, the names that hold (multi-label), or the score (regression).
        probabilities: Probability of each label by name; empty in regression.
    """

    label: Label
    probabilities: dict[str, float]


def answers(
    labels: LabelSet,
    scores: NDArray[np.floating[Any]],
    calibration: Calibration = Calibration(),  # noqa: B008  # frozen
) -> list[Answer]:
    """Return the answer to each text.

    Args:
        labels: The label set.
        scores: Probabilities [rows, labels], or scores [rows] in regression.
        calibration: Where the thresholds of a multi-label task stand.

    >>> answers(LabelSet("binary", ("no", "yes")), np.array([[0.25, 0.75]]))
    [Answer(label='yes', probabilities={'no': 0.25, 'yes': 0.75})]
    """
    if labels.kind == "regression":
        return [Answer(value, {}) for value in scores.tolist()]
    chosen = _labels(labels, scores, calibration)
    return [
        Answer(label, dict(zip(labels.names, row, strict=True)))
        for label, row in zip(chosen, scores.tolist(), strict=True)
    ]


def prediction_columns(
    labels: LabelSet,
    scores: NDArray[np.floating[Any]],
    calibration: Calibration = Calibration(),  # noqa: B008  # frozen
) -> dict[str, list[Any]]:
    """Return the columns that say what the model answers.

    Args:
        labels: The label set.
        scores: Probabilities [rows, labels], or scores [rows] in regression.
        calibration: Where the thresholds of a multi-label task stand.

    Returns:
        prediction; probability (of the predicted class) where one class is chosen; and p(LABEL) for
        each label.
    """
    if labels.kind == "regression":
        return {"prediction": scores.tolist()}
    each = {f"p({name})": scores[:, index].tolist() for index, name in enumerate(labels.names)}
    chosen = _labels(labels, scores, calibration)
    if labels.kind == "multilabel":
        return {"prediction": [", ".join(names) for names in chosen], **each}
    return {"prediction": list(chosen), "probability": scores.max(axis=1).tolist(), **each}


def _labels(
    labels: LabelSet, scores: NDArray[np.floating[Any]], calibration: Calibration
) -> Sequence[Any]:
    if labels.kind == "multilabel":
        held = holds(scores, calibration)
        return [tuple(labels.names[at] for at in np.flatnonzero(row)) for row in held]
    return [labels.names[index] for index in scores.argmax(axis=1)]
