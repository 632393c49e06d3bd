"""Export: from a checkpoint to a bundle; measured, judged, and written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lightning_tune.errors import ConfigError, GateError
from lightning_tune.models.encoder import architecture_of
from lightning_tune.schema import Split
from lightning_tune.serving.cpu import usable_cores
from lightning_tune.serving.manifest import PORTABLE, QUANTIZED
from lightning_tune.serving.neighbours import TOLD, Occupancy, occupancy, taken_by_others
from lightning_tune.tables import replace_file
from lightning_tune.tables.folders import check_output, passing
from lightning_tune_export.bundle import Contents, config_of, write_bundle
from lightning_tune_export.describing import manifest_of, probe_of, provenance_of
from lightning_tune_export.entrants import Entrant, baselines
from lightning_tune_export.gate import flags_to_raise, missed
from lightning_tune_export.ladder import Rung, choose
from lightning_tune_export.making import Made, make, parity_of
from lightning_tune_export.measuring import Answered, measured
from lightning_tune_export.recipe import Recipe
from lightning_tune_export.report.record import ExportReport
from lightning_tune_export.report.text import show_candidates
from lightning_tune_export.source import Source
from lightning_tune_export.steps import Steps
from lightning_tune_export.verdict import Verdict, judged


def export_bundle(
    source: Source,
    recipe: Recipe,
    output: Path,
    *,
    name: str = "",
    pruned: Path | None = None,
    quiet: bool = False,
) -> ExportReport:
    """Export a checkpoint.

    Args:
        source: What is exported.
        recipe: What is done to it, and what that may cost.
        output: The folder to write.
        name: The recipe's name.
        pruned: Where the checkpoint of the pruned model is kept; None: nowhere.
        quiet: Print nothing.

    Raises:
        GateError: if no candidate keeps the budgets, or the winner misses one on test; no bundle
            is written then.
        ConfigError: if the folder cannot be written, or a split is missing.
    """
    check_output(output)
    recipe.budgets.check(source.labels.kind)
    if pruned is not None and not recipe.prunes:
        raise ConfigError(f"pruned={str(pruned)!r}: the recipe prunes nothing; leave it out.")
    steps, threads = Steps(quiet=quiet), recipe.measure.threads or usable_cores()
    with steps("data") as told:
        _open(source, ("train", "val", "test") if recipe.needs_train else ("val", "test"))
        told.text = ", ".join(f"{key} {len(each):,}" for key, each in source.opened().items())
    with passing(output) as work:
        with steps("checkpoint") as told:
            trained = Answered.by(source, "val", source.run)
            told.text = trained.words()
        made = make(source, recipe, work, steps, threads=threads)
        beside, left_out = baselines(source, made.source, made.portable, threads=threads)
        entrants = [*made.entrants, *beside]
        with steps("measure") as told:
            began = occupancy()
            rungs = measured(entrants, trained, recipe)
            disturbed = _disturbance(began, occupancy())
            told.text = " ".join([f"{len(rungs)} in turn", *(f"({each})" for each in disturbed)])
        winner = _chosen(entrants, rungs, quiet=quiet)
        with steps("test") as told:
            verdict = judged(source, made.source, winner, rungs, recipe)
            told.text = f"{winner.name}: {verdict.words()}"
            if winner.quantized:
                made.parity[winner.name] = parity_of(winner, made.source, required=False)
        if not verdict.passes:
            flags = flags_to_raise(verdict.checks)
            enough = f" ({flags} would be enough)" if flags else ""
            raise GateError(
                f"{winner.name}, chosen on validation, misses a budget on test, so no bundle was "
                f"written: {missed(verdict.checks)}. Raise the budget{enough}, or choose another "
                "recipe."
            )
        report = ExportReport(
            title=output.name,
            recipe=name,
            winner=winner.name,
            rungs=rungs,
            comparison=verdict.comparison,
            checks=verdict.checks,
            before=verdict.before,
            after=verdict.after,
            calibrated=verdict.calibrated,
            parity=made.parity,
            pruning=made.pruning,
            sizes=made.sizes(winner),
            settings=asdict(recipe),
            seconds=steps.seconds,
            notes=[*disturbed, *made.notes, *verdict.notes, *left_out],
            provenance=provenance_of(source, name, threads=threads),
        )
        with steps("bundle") as told:
            write_bundle(output, _contents(source, made, winner, verdict, report))
            told.text = str(output)
        if pruned is not None:
            with replace_file(pruned, private=True) as temporary:
                shutil.copyfile(made.source.path, temporary)
    return report


def _disturbance(before: Occupancy, after: Occupancy) -> list[str]:
    """Say it where other processes computed while speed was measured."""
    share = taken_by_others(before, after, os.cpu_count() or 1)
    if share < TOLD:
        return []
    return [
        f"Other processes took {share:.0%} of the processors while speed was measured: the "
        "milliseconds are too long and their ratios unsure; measure again on an idle machine."
    ]


def _open(source: Source, names: Sequence[Split]) -> None:
    """Open all splits before anything is computed, so that a missing one is told at once."""
    for name in names:
        source.split(name)


def _chosen(entrants: Sequence[Entrant], rungs: Sequence[Rung], *, quiet: bool) -> Entrant:
    try:
        name = choose(rungs).name
    except GateError:
        show_candidates(rungs)
        raise
    if not quiet:
        show_candidates(rungs, name)
    return next(each for each in entrants if each.name == name)


def _contents(
    source: Source, made: Made, winner: Entrant, verdict: Verdict, report: ExportReport
) -> Contents:
    final = made.source
    manifest = manifest_of(
        final,
        checkpoint=source.sha256,
        model=QUANTIZED if winner.quantized else PORTABLE,
        session=winner.session,
        calibration=verdict.calibration,
        metric=verdict.comparison.metric,
        metrics=verdict.after.metrics,
        recipe=report.recipe,
        probe=probe_of(final, winner.run, rounded=winner.quantized),
    )
    return Contents(
        portable=made.portable,
        quantized=winner.path if winner.quantized else None,
        manifest=manifest,
        report=report,
        tokenizer=final.tokenizer,
        config=config_of(architecture_of(final.module.classifier.encoder), final.labels),
    )
