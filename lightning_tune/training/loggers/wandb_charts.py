"""An evaluation as W&B shows it: charts by W&B's own presets, and the table of predictions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import wandb

from lightning_tune.reports.records import Evaluation

logger = logging.getLogger(__name__)


def charts(record: Evaluation) -> dict[str, Any]:
    """Return the charts that a record has data for, under the names that W&B shows."""
    made = {
        "confusion_matrix": _confusion(record),
        "precision_recall": _curves(record),
        "scatter": _scatter(record),
    }
    return {f"{record.split}/{name}": chart for name, chart in made.items() if chart is not None}


def table(columns: Mapping[str, Sequence[Any]]) -> wandb.Table:
    """Return a table of columns; rows beyond what W&B keeps are left out, which is said."""
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    limit = wandb.Table.MAX_ARTIFACT_ROWS
    if len(rows) > limit:
        logger.warning(
            "W&B keeps %d of the %d predictions; `predict` writes all.", limit, len(rows)
        )
    return wandb.Table(columns=list(columns), data=rows[:limit])


def _confusion(record: Evaluation) -> Any:
    if record.confusion is None:
        return None
    cells = [
        [label, predicted, count]
        for label, counts in zip(record.labels, record.confusion, strict=True)
        for predicted, count in zip(record.labels, counts, strict=True)
    ]
    columns = ("Actual", "Predicted", "nPredictions")
    return wandb.plot_table(
        "wandb/confusion_matrix/v1",
        wandb.Table(columns=list(columns), data=cells),
        {name: name for name in columns},
        {"title": f"Confusion matrix, {record.split}"},
    )


def _curves(record: Evaluation) -> Any:
    if not record.precision_recall:
        return None
    points = [
        [name, recall, precision]
        for name, curve in record.precision_recall.items()
        for recall, precision in curve
    ]
    return wandb.plot_table(
        "wandb/area-under-curve/v0",
        wandb.Table(columns=["class", "recall", "precision"], data=points),
        {"x": "recall", "y": "precision", "class": "class"},
        {
            "title": f"Precision and recall, {record.split}",
            "x-axis-title": "Recall",
            "y-axis-title": "Precision",
        },
    )


def _scatter(record: Evaluation) -> Any:
    if not record.scatter:
        return None
    points = [list(point) for point in record.scatter]
    return wandb.plot_table(
        "wandb/scatter/v0",
        wandb.Table(columns=["label", "prediction"], data=points),
        {"x": "label", "y": "prediction"},
        {"title": f"Predictions against labels, {record.split}"},
    )
