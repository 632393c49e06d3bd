"""The figures of an export for trackers, by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightning_tune.reports.display import metric_title
from lightning_tune.reports.figures import confusion_figure, dots_figure, reliability_figure
from lightning_tune_export.report.charts import looks_of, points_of, range_of, reliability_curves
from lightning_tune_export.report.record import ExportReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures_of(report: ExportReport) -> dict[str, Figure]:
    """Return the figures that a report has data for; none shows a text of the data."""
    metric, shape = report.comparison.metric, next(iter(report.winning.timings))
    found = {
        "quality_against_time": dots_figure(
            points_of(report),
            looks_of(report),
            y=range_of(report),
            x_label=f"milliseconds, {shape}",
            y_label=f"{metric_title(metric, report.after.task)} on validation",
        )
    }
    for name, evaluation in (("checkpoint", report.before), ("exported", report.after)):
        if evaluation.confusion:
            drawn = confusion_figure(evaluation.labels, evaluation.confusion)
            found[f"confusion_matrix_{name}"] = drawn
    curves = reliability_curves(report)
    if curves:
        found["reliability"] = reliability_figure(curves)
    return found
