"""What a model answered of a split, as a table of all its rows, for trackers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.reports.mistakes import TextOf
from lightning_tune.schema import LabelSet
from lightning_tune.serving.answers import prediction_columns


def prediction_table(
    labels: LabelSet,
    targets: NDArray[Any],
    scores: NDArray[Any],
    *,
    text_of: TextOf | None = None,
) -> dict[str, list[Any]]:
    """Return the columns row, label, predicted and, where one class is chosen, probability.

    A multi-label table has p(NAME) for each label instead. Rows are numbered within the split, from
    0, as in the report.

    Args:
        labels: The label set.
        targets: Class indices [rows]; 0/1 [rows, labels] in multi-label; numbers [rows] in
            regression.
        scores: Probabilities [rows, labels], or scores [rows] in regression.
        text_of: Gives the texts of a row; None leaves texts out.
    """
    answers = prediction_columns(labels, scores)
    shown = {"probability"} if "probability" in answers else answers.keys() - {"prediction"}
    columns: dict[str, list[Any]] = {
        "row": list(range(len(targets))),
        "label": _names(labels, targets),
        "predicted": answers["prediction"],
        **{name: values for name, values in answers.items() if name in shown},
    }
    if text_of is not None:
        texts = [text_of(row) for row in range(len(targets))]
        columns["text"] = [text for text, _ in texts]
        if any(pair is not None for _, pair in texts):
            columns["text_pair"] = [pair for _, pair in texts]
    return columns


def _names(labels: LabelSet, targets: NDArray[Any]) -> list[Any]:
    if labels.kind == "regression":
        return [float(target) for target in targets]
    if labels.kind == "multilabel":
        return [", ".join(labels.names[at] for at in np.flatnonzero(row)) for row in targets]
    return [labels.names[int(target)] for target in targets]
