"""The winner on the test split, which is read here and nowhere else; calibrated on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_tune.reports.evaluate import evaluate
from lightning_tune.reports.points import change_text
from lightning_tune.reports.records import Evaluation
from lightning_tune.serving.calibration import Calibration
from lightning_tune_export.calibrate import (
    Bin,
    fit_temperature,
    fit_thresholds,
    reliability,
    shifted,
)
from lightning_tune_export.comparison import Comparison
from lightning_tune_export.entrants import Entrant
from lightning_tune_export.gate import Check, judge
from lightning_tune_export.ladder import Rung
from lightning_tune_export.measuring import Answered, metric_of
from lightning_tune_export.recipe import Recipe
from lightning_tune_export.report.record import Calibrated
from lightning_tune_export.report.words import changes_text
from lightning_tune_export.source import Source


@dataclass(frozen=True)
class Verdict:
    """What was found on test.

    Args:
        comparison: The winner beside the checkpoint, both without calibration.
        checks: Every budget beside what was measured.
        calibration: What was fitted on validation.
        calibrated: What that did on test.
        before: The checkpoint's evaluation.
        after: What the bundle answers, calibrated.
        notes: What a reader has to know.
    """

    comparison: Comparison
    checks: list[Check]
    calibration: Calibration
    calibrated: Calibrated
    before: Evaluation
    after: Evaluation
    notes: list[str]

    @property
    def passes(self) -> bool:
        """Whether every budget is kept."""
        return all(check.passes for check in self.checks)

    def words(self) -> str:
        """Say what was lost."""
        found = self.comparison
        told = change_text(found.lost, found.lost_interval)
        if not found.classes:
            return f"{told}, a score moved by {found.moved:.3g} at most"
        return f"{told}, {changes_text(found)}"


def judged(
    source: Source, final: Source, winner: Entrant, rungs: Sequence[Rung], recipe: Recipe
) -> Verdict:
    """Calibrate the winner on validation, read the test split, and hold it to its budgets.

    Args:
        source: The checkpoint.
        final: What the winner was made of: the checkpoint, or what pruning left of it.
        winner: The candidate that was chosen on validation.
        rungs: What was measured of all.
        recipe: Budgets, and whether to calibrate.
    """
    calibration = _fitted(final, winner, recipe)
    trained = Answered.by(source, "test", source.run)
    found = Answered.by(final, "test", winner.run)
    comparison = found.against(trained, resamples=recipe.resamples)
    calibrated = _calibrated(source, trained, found, calibration)
    rung = next(each for each in rungs if each.name == winner.name)
    return Verdict(
        comparison=comparison,
        checks=judge(
            comparison,
            recipe.budgets,
            milliseconds=rung.milliseconds,
            megabytes=rung.megabytes or 0.0,
        ),
        calibration=calibration,
        calibrated=calibrated,
        before=_evaluation(trained, Calibration(), recipe),
        after=_evaluation(found, calibration, recipe),
        notes=[*_notes(source, comparison, recipe), *calibrated.notes],
    )


def _fitted(source: Source, winner: Entrant, recipe: Recipe) -> Calibration:
    """Fit on the validation answers of the winner itself, not of the checkpoint."""
    kind = source.labels.kind
    if not recipe.calibrate or kind == "regression":
        return Calibration()
    val = Answered.by(source, "val", winner.run)
    temperature = fit_temperature(val.logits, val.targets, kind)
    if kind != "multilabel":
        return Calibration(temperature)
    scores = val.scores(Calibration(temperature))
    return Calibration(temperature, fit_thresholds(scores.astype(np.float64), val.targets))


def _calibrated(
    source: Source, trained: Answered, found: Answered, calibration: Calibration
) -> Calibrated:
    def bins(answered: Answered, temperature: float) -> list[Bin]:
        scores: NDArray[np.float64] = answered.scores(Calibration(temperature)).astype(np.float64)
        return reliability(scores, answered.targets, source.labels.kind)

    limits, names = calibration.thresholds, source.labels.names
    return Calibrated(
        temperature=calibration.temperature,
        thresholds=None if limits is None else dict(zip(names, limits, strict=True)),
        before=bins(found, 1.0),
        after=bins(found, calibration.temperature),
        checkpoint=bins(trained, 1.0),
    )


def _evaluation(answered: Answered, calibration: Calibration, recipe: Recipe) -> Evaluation:
    scores = answered.scores(calibration).astype(np.float64)
    if calibration.thresholds is not None:
        scores = shifted(scores, calibration.thresholds)
    record = evaluate(
        answered.source.labels,
        answered.targets,
        scores,
        split=answered.split,
        worst=0,
        resamples=recipe.resamples,
    )
    record.main_metric = metric_of(answered.source)
    return record


def _notes(source: Source, comparison: Comparison, recipe: Recipe) -> list[str]:
    notes, budgets = [], recipe.budgets
    named = source.module.main_metric
    if named != comparison.metric:
        notes.append(
            f"The checkpoint was chosen by {named}, which has no points to lose; the budget is "
            f"about {comparison.metric}."
        )
    small = [each for each in comparison.classes if each.rows < budgets.class_rows]
    if budgets.class_points is not None and small:
        notes.append(
            f"{len(small)} of {len(comparison.classes)} classes have fewer than "
            f"{budgets.class_rows} rows on {comparison.split} and are not judged by themselves."
        )
    if budgets.flips is not None and source.labels.kind == "regression":
        notes.append(
            f"budgets.flips={budgets.flips:g} is not judged: the answers of a regression are "
            "numbers, which change a little always."
        )
    if source.merged:
        notes.append(f"What {source.merged} trained was merged into the backbone first.")
    return notes
