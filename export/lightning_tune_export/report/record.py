"""All that an export measured, as plain values: the source of every rendering."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lightning_tune.reports.records import Evaluation, finite
from lightning_tune.tables import replace_file
from lightning_tune_export.calibrate import COLDEST, HOTTEST, Bin, calibration_error
from lightning_tune_export.comparison import Comparison
from lightning_tune_export.gate import Check
from lightning_tune_export.ladder import Rung

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Calibrated:
    """What calibration did on the test split.

    Args:
        temperature: What logits are divided by, fitted on validation.
        thresholds: Per label, fitted on validation; None but in multi-label.
        before: Reliability of the exported model at temperature 1.
        after: The same at the temperature.
        checkpoint: Reliability of the checkpoint.
    """

    temperature: float
    thresholds: dict[str, float] | None
    before: list[Bin]
    after: list[Bin]
    checkpoint: list[Bin]

    @property
    def errors(self) -> dict[str, float]:
        """Expected calibration error of each; empty in regression."""
        named = {"checkpoint": self.checkpoint, "before": self.before, "after": self.after}
        return {name: calibration_error(bins) for name, bins in named.items() if bins}

    @property
    def notes(self) -> list[str]:
        """What a reader has to know of the temperature: an end of its range, a larger error."""
        found, errors = [], self.errors
        ends = {COLDEST: "surer", HOTTEST: "less sure"}
        for end, told in ends.items():
            if errors and math.isclose(self.temperature, end, rel_tol=1e-3):
                found.append(
                    f"The temperature {end:g} is an end of the range that is tried ({COLDEST:g} to "
                    f"{HOTTEST:g}): on validation the likelihood rises the {told} the model is, as "
                    "on few rows or with answers that are nearly all alike; do not trust the "
                    "probabilities, or set recipe.calibrate to false."
                )
        if errors and errors["after"] > errors["before"]:
            found.append(
                f"The temperature {self.temperature:.3f}, the likeliest on validation, makes the "
                f"expected calibration error on test larger: {errors['after']:.4f}, and "
                f"{errors['before']:.4f} without it."
            )
        return found


@dataclass
class ExportReport:
    """One export.

    Args:
        title: Name of the bundle.
        recipe: Name of the recipe.
        winner: Name of the candidate that was taken.
        rungs: Candidates and baselines, in the order they were made.
        comparison: The winner beside the checkpoint, on test.
        checks: Every budget and what was measured, on test.
        before: The checkpoint's evaluation on test.
        after: The exported model's: what the bundle answers, calibrated.
        calibrated: Temperature, thresholds, reliability.
        parity: What the comparison of graphs found, by graph: plain values.
        pruning: What was removed, and at what price: plain values; empty where nothing was.
        sizes: Megabytes (10**6 bytes) by file.
        settings: The recipe, as plain values.
        seconds: Wall time by step.
        notes: What a reader has to know.
        provenance: Checkpoint, versions, hardware, date.
    """

    title: str
    recipe: str
    winner: str
    rungs: list[Rung]
    comparison: Comparison
    checks: list[Check]
    before: Evaluation
    after: Evaluation
    calibrated: Calibrated
    parity: dict[str, dict[str, Any]] = field(default_factory=dict)
    pruning: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def winning(self) -> Rung:
        """The candidate that was taken."""
        return next(rung for rung in self.rungs if rung.name == self.winner)

    @property
    def passes(self) -> bool:
        """Whether every budget is kept."""
        return all(check.passes for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without any text of the data."""
        plain: dict[str, Any] = finite(
            {
                "schema_version": SCHEMA_VERSION,
                **{name: value for name, value in vars(self).items() if name in _PLAIN},
                "rungs": [_rung(rung) for rung in self.rungs],
                "comparison": _comparison(self.comparison),
                "checks": [_check(check) for check in self.checks],
                "before": self.before.without_texts().to_dict(),
                "after": self.after.without_texts().to_dict(),
                "calibrated": {**asdict(self.calibrated), "errors": self.calibrated.errors},
            }
        )
        return plain


_PLAIN = (
    "title",
    "recipe",
    "winner",
    "parity",
    "pruning",
    "sizes",
    "settings",
    "seconds",
    "notes",
    "provenance",
)


def _rung(rung: Rung) -> dict[str, Any]:
    found = rung.comparison
    return {
        "name": rung.name,
        "role": rung.role,
        "megabytes": rung.megabytes,
        "timings": {str(shape): asdict(timing) for shape, timing in rung.timings.items()},
        "texts_per_second": rung.texts_per_second,
        "comparison": None if found is None else _comparison(found),
        "checks": [_check(check) for check in rung.checks],
        "fits": rung.fits,
        "note": rung.note,
    }


def _comparison(found: Comparison) -> dict[str, Any]:
    return {
        **asdict(found),
        "lost": found.lost,
        "lost_interval": found.lost_interval,
        "flipped": found.flipped,
        "rows_flipped": len(found.flips) / found.rows,
    }


def _check(check: Check) -> dict[str, Any]:
    return {**asdict(check), "passes": check.passes, "left": check.left}


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write plain values as JSON."""
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    with replace_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
