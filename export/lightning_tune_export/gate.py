"""The gate: what was measured beside its budget; each comparison passes, or fails by so much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lightning_tune.reports.display import metric_title, printable
from lightning_tune_export.budgets import Budgets
from lightning_tune_export.comparison import Comparison

Unit = Literal["points", "% of rows", "% of rows x labels", "ms", "MB"]
_DIGITS = {"points": 2, "% of rows": 2, "% of rows x labels": 2, "ms": 2, "MB": 1}
_SLACK = 1e-9  # half a point of 200 rows is not 0.5000000000000004 over


@dataclass(frozen=True)
class Check:
    """One figure and its budget; smaller is better.

    Args:
        name: What was measured.
        measured: The figure.
        budget: Its limit.
        unit: Of both.
        setting: Name of the budget in a recipe.
        interval: 95 % interval of the figure, where it has one; it is told and does not decide.
    """

    name: str
    measured: float
    budget: float
    unit: Unit
    setting: str
    interval: tuple[float, float] | None = None

    @property
    def passes(self) -> bool:
        """Whether the figure keeps its budget."""
        return self.measured <= self.budget + _SLACK

    @property
    def left(self) -> float:
        """How much of the budget is left; negative where it is missed."""
        return self.budget - self.measured

    @property
    def excess(self) -> float:
        """By what share of the budget it is missed; 0 where it is kept."""
        return 0.0 if self.passes else -self.left / max(abs(self.budget), _SLACK)

    def flag(self) -> str:
        """Return the option under which this would be kept, rounded up to two digits.

        >>> Check("answers changed", 1.95, 1, "% of rows", "flips").flag()
        '--recipe.budgets.flips 0.02'
        """
        needed = self.measured / 100 if self.unit.startswith("%") else self.measured
        step = 10.0 ** (math.floor(math.log10(needed)) - 1)
        enough = round(math.ceil(needed / step - 1e-6) * step, 9)
        return f"--recipe.budgets.{self.setting} {enough:g}"

    def line(self) -> str:
        """Return the comparison in words.

        >>> Check("size of the model file", 24.5, 20, "MB", "megabytes").line()
        'size of the model file: 24.5 of 20.0 MB, missed by 4.5 MB'
        """
        digits = _DIGITS[self.unit]
        found, limit = (f"{value:.{digits}f}" for value in (self.measured, self.budget))
        verdict = "kept by" if self.passes else "missed by"
        # Rounding must not print "missed by 0.00".
        by = f"{abs(self.left):.{digits}f}"
        if float(by) == 0 and not self.passes:
            by = f"{abs(self.left):.2g}"
        return f"{self.name}: {found} of {limit} {self.unit}, {verdict} {by} {self.unit}"


def judge(
    comparison: Comparison, budgets: Budgets, *, milliseconds: float, megabytes: float
) -> list[Check]:
    """Return a check for each budget that is stated and applies.

    Args:
        comparison: What was lost on the split that is judged.
        budgets: The limits.
        milliseconds: Median time of one text.
        megabytes: Size of the model's file, in 10**6 bytes.
    """
    checks = []
    if budgets.points is not None:
        name = f"{metric_title(comparison.metric)} lost on {comparison.split}"
        interval = comparison.lost_interval
        checks.append(Check(name, comparison.lost, budgets.points, "points", "points", interval))
    checks += _classes(comparison, budgets)
    if budgets.flips is not None and comparison.classes:
        name, share = f"answers changed on {comparison.split}", 100 * comparison.flipped
        unit: Unit = "% of rows" if comparison.choices == 1 else "% of rows x labels"
        checks.append(Check(name, share, 100 * budgets.flips, unit, "flips"))
    if budgets.milliseconds is not None:
        limit = budgets.milliseconds
        checks.append(Check("one text, median", milliseconds, limit, "ms", "milliseconds"))
    if budgets.megabytes is not None:
        limit = budgets.megabytes
        checks.append(Check("size of the model file", megabytes, limit, "MB", "megabytes"))
    return checks


def _classes(comparison: Comparison, budgets: Budgets) -> list[Check]:
    """Return one check: of the class that lost most, as every other lost less."""
    limit = budgets.class_points
    judged = [each for each in comparison.classes if each.rows >= budgets.class_rows]
    if limit is None or not judged:
        return []
    worst = max(judged, key=lambda each: each.lost)
    interval = None if worst.interval is None else _points_lost(worst.interval)
    name = f"F1 lost by {printable(worst.name, limit=60)!r}, most of {len(judged)} classes"
    name = f"{name}, on {comparison.split}"
    return [Check(name, worst.lost, limit, "points", "class_points", interval)]


def _points_lost(change: tuple[float, float]) -> tuple[float, float]:
    low, high = change
    return -100 * high, -100 * low


def missed(checks: Sequence[Check]) -> str:
    """Return what fails, in one line; nothing where all pass."""
    return "; ".join(check.line() for check in checks if not check.passes)


def flags_to_raise(checks: Sequence[Check]) -> str:
    """Return the options that would let pass what fails; nothing where a figure is no number."""
    failing = [check for check in checks if not check.passes]
    if not all(math.isfinite(check.measured) for check in failing):
        return ""
    return " ".join(check.flag() for check in failing)
