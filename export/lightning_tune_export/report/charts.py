"""The drawings of an export's page: speed against quality, confusion, reliability."""

from __future__ import annotations

from lightning_tune.reports.axes import log_span, span
from lightning_tune.reports.charts import Frame, Line, line_chart
from lightning_tune.reports.display import metric_title, number
from lightning_tune.reports.elements import figure, key, section
from lightning_tune.reports.heatmap import confusion_svg
from lightning_tune.reports.markup import Markup, element
from lightning_tune_export.report.record import ExportReport


def frontier(report: ExportReport) -> Markup | None:
    """Every candidate and baseline as a dot: time of one text against the main metric."""
    dots = points_of(report)
    if not dots:
        return None
    lines = [Line(name, [point], color) for color, (name, point) in enumerate(dots.items())]
    x = log_span(point[0] for point in dots.values())
    y = span([point[1] for point in dots.values()])
    metric = metric_title(report.comparison.metric)
    shape = next(iter(report.winning.timings))
    frame = Frame(
        f"{metric} on validation against time",
        *(720, 360, x, y),
        x_label=f"ms, {shape}, each step a ratio",
        y_label=f"{metric}, val",
        logarithmic=True,
    )
    legend = [
        key(color, name, f"{point[0]:.2f} ms, {number(point[1])}")
        for color, (name, point) in enumerate(dots.items())
    ]
    drawing = figure("", line_chart(lines, frame), legend=legend, kind="large")
    lead = "Higher is better, further left is faster."
    return section("frontier", "Quality against time", drawing, lead=lead)


def points_of(report: ExportReport) -> dict[str, tuple[float, float]]:
    """Return (milliseconds of the first shape, main metric on validation) by name."""
    shape = next(iter(report.winning.timings))
    return {
        rung.name: (rung.timings[shape].p50, rung.comparison.after[report.comparison.metric])
        for rung in report.rungs
        if rung.comparison is not None and shape in rung.timings
    }


def confusion(report: ExportReport) -> Markup | None:
    """The confusion matrices of the checkpoint and of the export."""
    drawn = [
        element(
            "div",
            element("h3", title),
            element("div", confusion_svg(each.labels, each.confusion), class_="matrix"),
        )
        for title, each in (("Checkpoint", report.before), ("Exported", report.after))
        if each.confusion
    ]
    if not drawn:
        return None
    kind = "charts" if len(report.after.labels) <= 12 else ""
    lead = "Each row is a label: blue is right, orange is taken for another, by share of the row."
    return section("confusion", "Confusion", element("div", drawn, class_=kind or None), lead=lead)


def reliability(report: ExportReport) -> Markup | None:
    """How often answers of each confidence are right, before and after calibration."""
    named = reliability_curves(report)
    if not named:
        return None
    errors = report.calibrated.errors
    lines = [Line("always right about itself", [(0.0, 0.0), (1.0, 1.0)], None)]
    lines += [Line(name, points, color) for color, (name, points) in enumerate(named.items())]
    legend = [
        key(color, name, f"error {error:.4f}")
        for color, (name, error) in enumerate(zip(named, errors.values(), strict=True))
    ]
    frame = Frame(
        "Share right by confidence", 620, 420, (0, 1), (0, 1), "confidence", "share right"
    )
    drawing = figure("", line_chart(lines, frame), legend=legend, kind="large square")
    lead = "Temperature fitted on validation, shown on test; the error is the expected one (ECE)."
    return section("reliability", "Reliability", drawing, lead=lead)


def reliability_curves(report: ExportReport) -> dict[str, list[tuple[float, float]]]:
    """Return points (confidence, share right) on test, by whose they are; none in regression."""
    found = report.calibrated
    named = {
        "checkpoint": found.checkpoint,
        "exported, temperature 1": found.before,
        f"exported, temperature {found.temperature:.3f}": found.after,
    }
    return {
        name: [(each.confidence, each.right) for each in bins]
        for name, bins in named.items()
        if bins
    }
