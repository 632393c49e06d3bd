"""The ladder: all candidates measured alike on validation, and the one that is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lightning_tune.errors import GateError
from lightning_tune_export.comparison import Comparison
from lightning_tune_export.gate import Check, flags_to_raise, missed

_ALIKE = 1.05
Role = Literal["candidate", "baseline"]


@dataclass(frozen=True)
class Shape:
    """A batch that is timed: so many texts of so many tokens."""

    texts: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.texts} x {self.tokens}"


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one batch: the median, and what 95 of 100 runs stay below."""

    p50: float
    p95: float


@dataclass(frozen=True)
class Rung:
    """A candidate, or a baseline that nobody can export, with all that was measured of it.

    Args:
        name: Its name in tables.
        role: A candidate may be taken; a baseline stands beside them.
        megabytes: Size of its file, in 10**6 bytes; None of a baseline that has none.
        timings: Milliseconds by shape.
        texts_per_second: On the validation split, in batches of like length; None if not measured.
        comparison: Its answers beside the checkpoint's on validation; None if not asked.
        checks: Its figures beside their budgets.
        note: What a reader has to know.
    """

    name: str
    role: Role
    megabytes: float | None
    timings: dict[Shape, Timing]
    texts_per_second: float | None = None
    comparison: Comparison | None = None
    checks: list[Check] = field(default_factory=list)
    note: str = ""

    @property
    def fits(self) -> bool:
        """Whether it keeps every budget."""
        return all(check.passes for check in self.checks)

    @property
    def milliseconds(self) -> float:
        """Median time of the first shape: of one text."""
        return next(iter(self.timings.values())).p50

    @property
    def pace(self) -> float:
        """Geometric mean of its medians over the shapes: each counts by ratio, not by length."""
        return math.exp(sum(math.log(one.p50) for one in self.timings.values()) / len(self.timings))


def choose(rungs: Sequence[Rung]) -> Rung:
    """Return the fastest candidate of those that keep every budget on validation.

    Where several are as fast to within five per cent, which is what timing tells apart, the one
    with the fewest changed answers is taken; of those the one that loses least.

    Raises:
        GateError: if none does, naming what each misses.
    """
    candidates = [rung for rung in rungs if rung.role == "candidate"]
    fitting = [rung for rung in candidates if rung.fits]
    if not fitting:
        told = " | ".join(f"{rung.name}: {missed(rung.checks)}" for rung in candidates)
        nearest = min(candidates, key=_excess)
        flags = flags_to_raise(nearest.checks)
        enough = f" ({flags} is enough for {nearest.name} on validation)" if flags else ""
        raise GateError(
            f"none of {len(candidates)} candidates keeps the budgets, so no bundle was written. "
            f"{told}. Raise a budget{enough}, or choose another recipe."
        )
    fastest = min(rung.pace for rung in fitting)
    return min((rung for rung in fitting if rung.pace <= _ALIKE * fastest), key=_cost)


def _excess(rung: Rung) -> tuple[int, float]:
    missed_by = [check.excess for check in rung.checks if not check.passes]
    return len(missed_by), max(missed_by)


def _cost(rung: Rung) -> tuple[float, float, float]:
    found = rung.comparison
    return (0.0, 0.0, rung.pace) if found is None else (found.flipped, found.lost, rung.pace)
