"""How an export's figures are put in words; shared by page, Markdown, terminal and card."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lightning_tune.reports.display import counted, metric_title, number
from lightning_tune.reports.points import change_text
from lightning_tune_export.comparison import Comparison
from lightning_tune_export.ladder import Rung, Shape
from lightning_tune_export.report.record import ExportReport

REFERENCE = "torch fp32"
"""Name of the baseline that speed is told against."""


def signed(change: float) -> str:
    """Show the change of a metric with four decimals; one that they hide with its first digit.

    >>> signed(-0.0), signed(0.00123), signed(-0.00002), signed(1e-12)
    ('0', '+0.0012', '-0.00002', '0')
    """
    if abs(change) < 1e-9:
        return "0"
    if abs(change) >= 0.00005:
        return f"{change:+.4f}"
    return f"{change:+.{-math.floor(math.log10(abs(change)))}f}"


def signed_interval(ends: tuple[float, float] | None) -> str:
    """Show the interval of a change.

    >>> signed_interval((-0.0, 0.0031)), signed_interval(None)
    ('0 to +0.0031', '')
    """
    return "" if ends is None else f"{signed(ends[0])} to {signed(ends[1])}"


def headline(report: ExportReport) -> str:
    """Say the main metric of the bundle and what was lost; with thresholds, both without them."""
    found, title = report.comparison, metric_title(report.comparison.metric, report.after.task)
    told = change_text(found.lost, found.lost_interval)
    value = number(report.after.metrics[found.metric])
    on = f"{title} on {counted(found.rows, 'row')} of the {found.split} split"
    if report.calibrated.thresholds is None:
        return f"{on}: {value}; beside the checkpoint, {told}."
    before, after = (number(each[found.metric]) for each in (found.before, found.after))
    return (
        f"{on}: {value} with the thresholds fitted on validation. With 0.5 for every label it is "
        f"{after}, the checkpoint's {before}: {told}."
    )


def at_a_half(found: Comparison) -> str:
    """Say that models are compared without thresholds, where a bundle has some."""
    return ", with 0.5 for every label" if found.choices > 1 else ""


def changes_text(found: Comparison) -> str:
    """Say how many answers changed: rows, in multi-label decisions about single labels.

    >>> from lightning_tune_export.comparison import Flip
    >>> flip = Flip(3, "", ("joy",), ("joy",), ("joy", "love"), 0.1)
    >>> metrics = {"f1_macro": 0.5}
    >>> changes_text(Comparison("test", 90, "f1_macro", metrics, metrics, flips=[flip], choices=4))
    '1 of 360 label decisions changed, in 1 of 90 rows'
    """
    rows = f"{len(found.flips):,} of {found.rows:,}"
    if found.choices == 1:
        return f"{rows} answers changed"
    return f"{found.changed:,} of {found.decisions:,} label decisions changed, in {rows} rows"


def changed_share(found: Comparison) -> str:
    """Show the percentage of what changed; in multi-label, where one is tiny, with three digits."""
    return f"{100 * found.flipped:.{2 if found.choices == 1 else 3}f}" if found.classes else ""


def changed_heading(rungs: Sequence[Rung]) -> str:
    """Return the heading over the share of what changed."""
    compared = [rung.comparison for rung in rungs if rung.comparison is not None]
    return "Labels changed, %" if any(each.choices > 1 for each in compared) else "Changed, %"


def speed_up(report: ExportReport, shape: Shape) -> str:
    """Say how many times as fast as PyTorch the winner is at a shape.

    Returns:
        Nothing where PyTorch was not measured.
    """
    reference = next((rung for rung in report.rungs if rung.name == REFERENCE), None)
    if reference is None or shape not in reference.timings:
        return ""
    times = reference.timings[shape].p50 / report.winning.timings[shape].p50
    return f"{times:.1f} times as fast as {REFERENCE}"


def state_of(rung: Rung, winner: str) -> str:
    """Say what became of a candidate."""
    if rung.role == "baseline":
        return "baseline"
    if rung.name == winner:
        return "taken"
    return "fits" if rung.fits else "misses"
