"""The drawings of an export's page: speed against quality, confusion, reliability."""

from __future__ import annotations

from lightning_tune.reports.axes import log_span, span
from lightning_tune.reports.charts import Frame, Line, line_chart
from lightning_tune.reports.display import metric_title
from lightning_tune.reports.dots import Dot, dots_chart
from lightning_tune.reports.elements import figure, key, section
from lightning_tune.reports.heatmap import confusion_svg
from lightning_tune.reports.markup import Markup, element
from lightning_tune_export.comparison import SMALLER_IS_BETTER
from lightning_tune_export.report.record import ExportReport
from lightning_tune_export.report.words import at_a_half

COLORS = {"winner": 2, "candidate": 0, "baseline": 6}
_LEAST = 0.01


def frontier(report: ExportReport) -> Markup | None:
    """Every candidate and baseline as a dot: time of one text against the main metric."""
    points = points_of(report)
    if not points:
        return None
    metric = metric_title(report.comparison.metric, report.after.task)
    shape, limit = next(iter(report.winning.timings)), limit_of(report)
    y = range_of(report)
    dots = [Dot(name, points[name], *look) for name, look in looks_of(report).items()]
    frame = Frame(
        f"{metric} on validation against time",
        *(720, 380, log_span(x for x, _ in points.values()), y),
        x_label=f"ms, {shape}, each step a ratio",
        y_label=f"{metric}, val",
        logarithmic=True,
    )
    is_drawn = limit is not None and y[0] <= limit <= y[1]
    legend = [key(color, name) for name, color in COLORS.items()]
    if is_drawn:
        mark = element("i", class_="limit")
        legend.append(element("span", mark, "what the budget of points allows", class_="key"))
    drawing = dots_chart(dots, frame, limit=limit if is_drawn else None)
    better = "Lower" if report.comparison.metric in SMALLER_IS_BETTER else "Higher"
    lead = f"{better} is better, further left is faster{at_a_half(report.comparison)}."
    shown = figure("", drawing, legend=legend, kind="large")
    return section("frontier", "Quality against time", shown, lead=lead)


def looks_of(report: ExportReport) -> dict[str, tuple[int, bool]]:
    """Return the colour of each dot by name, and whether it is the winner's."""
    kinds = {rung.name: rung.role for rung in report.rungs} | {report.winner: "winner"}
    return {name: (COLORS[kinds[name]], name == report.winner) for name in points_of(report)}


def limit_of(report: ExportReport) -> float | None:
    """Return what the budget of points leaves of the checkpoint's metric on validation."""
    found = report.winning.comparison
    budget = next((each for each in report.winning.checks if each.setting == "points"), None)
    if found is None or budget is None:
        return None
    sign = 1 if found.metric in SMALLER_IS_BETTER else -1
    return found.before[found.metric] + sign * budget.budget / 100


def range_of(report: ExportReport) -> tuple[float, float]:
    """Return a range for the metric, a point wide at least: less is what another seed would change.

    The line of the budget is in it, but where that is far from everything.
    """
    values, limit = [y for _, y in points_of(report).values()], limit_of(report)
    width = max(_LEAST, max(values) - min(values))
    if limit is not None and min(abs(limit - value) for value in values) <= 2 * width:
        values.append(limit)
    low, high = min(values), max(values)
    missing = max(0.0, _LEAST - (high - low)) / 2
    top = 1.0 if high <= 1 < high + missing else high + missing
    return span([min(low - missing, top - _LEAST), top], count=6)


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
