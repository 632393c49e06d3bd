"""How an export's figures are put in words; shared by page, Markdown, terminal and card."""

from __future__ import annotations

from lightning_tune_export.ladder import Rung, Shape
from lightning_tune_export.report.record import ExportReport

REFERENCE = "torch fp32"
"""Name of the baseline that speed is told against."""


def points_text(lost: float) -> str:
    """Say what was lost or gained.

    >>> points_text(0.5), points_text(-0.25), points_text(0.0)
    ('0.50 points lost', '0.25 points gained', 'nothing lost')
    """
    if abs(lost) < 0.005:
        return "nothing lost"
    return f"{abs(lost):.2f} points {'lost' if lost > 0 else 'gained'}"


def change_text(lost: float, ends: tuple[float, float] | None) -> str:
    """Say what was lost or gained, and the interval of that: of what was won, where it was won.

    >>> change_text(-0.5, (-1.2, 0.1))
    '0.50 points gained (95 % interval -0.10 to 1.20)'
    >>> change_text(0.5, (-0.1, 1.2)), change_text(0.0, None)
    ('0.50 points lost (95 % interval -0.10 to 1.20)', 'nothing lost')
    """
    said = points_text(lost)
    if ends is not None and said.endswith("gained"):
        ends = -ends[1], -ends[0]
    return f"{said} {interval_text(ends)}".strip()


def interval_text(ends: tuple[float, float] | None, *, words: bool = True) -> str:
    """Say the interval of points lost.

    >>> interval_text((-0.1, 0.6)), interval_text(None)
    ('(95 % interval -0.10 to 0.60)', '')
    """
    if ends is None:
        return ""
    low, high = (round(end, 2) + 0.0 for end in ends)  # no -0.00
    shown = f"{low:.2f} to {high:.2f}"
    return f"(95 % interval {shown})" if words else shown


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
