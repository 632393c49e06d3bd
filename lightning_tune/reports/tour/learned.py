"""How the model learned, and what it gets wrong: the run's own sections, cut to a tour's length."""

from __future__ import annotations

from dataclasses import replace

from lightning_tune.reports.curves import by_quantity
from lightning_tune.reports.markup import Markup
from lightning_tune.reports.records import Evaluation
from lightning_tune.reports.sections import errors, overview, run

_MISTAKES = 6


def training(evaluation: Evaluation) -> list[Markup]:
    """The curves of loss and main metric, and how fast the training was."""
    shown = {"loss", evaluation.main_metric.replace("_", " ")}
    curves = {
        name: points
        for name, points in evaluation.curves.items()
        if shown & by_quantity({name: points}).keys()
    }
    parts = [run.curves(replace(evaluation, curves=curves)), run.speed(evaluation)]
    return [part for part in parts if part]


def wrong(evaluation: Evaluation) -> list[Markup]:
    """Metrics with intervals, confusions, and the worst mistakes with their texts."""
    few = replace(evaluation, worst=evaluation.worst[:_MISTAKES])
    parts = [overview.metrics(few), errors.confusion(few), errors.worst(few)]
    return [part for part in parts if part]
