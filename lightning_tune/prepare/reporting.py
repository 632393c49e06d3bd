"""From what the steps found to the report: counts before and after, checks, what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lightning_tune.prepare import redacting
from lightning_tune.prepare.keys import content_keys
from lightning_tune.prepare.label_report import (
    agreement_shown,
    copies_of,
    label_checks,
    label_notes,
    suspects_of,
)
from lightning_tune.prepare.labels import class_counts
from lightning_tune.prepare.languages import STEP as LANGUAGES
from lightning_tune.prepare.leaks import leak_counts
from lightning_tune.prepare.limits import Check, Limit, check
from lightning_tune.prepare.notes import notes_of
from lightning_tune.prepare.pipeline import Found, Job
from lightning_tune.prepare.recipe import shown
from lightning_tune.prepare.report.figures import (
    Histogram,
    lengths_histogram,
    measure,
    quantiles,
    scores_histogram,
)
from lightning_tune.prepare.report.record import PrepareReport, SourceRecord
from lightning_tune.prepare.rows import KEY, added, numbers, pairs_of
from lightning_tune.prepare.splitting import class_gap
from lightning_tune.prepare.truncation import TokenCounter, truncation
from lightning_tune.prepare.unredacted import unredacted_notes

Measured = Mapping[str, NDArray[np.integer[Any]]]
"""Lengths of the texts of one column of the report, by unit."""


def report_of(found: Found, job: Job) -> PrepareReport:
    """Make the report."""
    splits = found.splits
    read = sum(found.collected.noted.read)
    kept = sum(table.num_rows for table in splits.values())
    counts = {"read": read, "kept": kept, "dropped": read - kept, "for_train": found.pool}
    leaks = _leaks(found)
    gap = _gap(found, job)
    tokens = _tokens(found, job)
    measured = _measured(found, tokens)
    settings = job.recipe.tokens
    longer = None if settings is None else truncation(tokens, settings)
    return PrepareReport(
        task=None if found.labels is None else found.labels.kind,
        labels=() if found.labels is None else found.labels.names,
        rows={**counts, **{split: table.num_rows for split, table in splits.items()}},
        steps=found.steps,
        sources=_sources(found, kept),
        classes=_classes(found),
        lengths=_lengths(measured),
        histograms=_histograms(measured, found),
        languages=_languages(found),
        truncation=longer,
        duplicates={**_shown(found.duplicates), "near": _near(found)},
        leaks=leaks,
        privacy=_privacy(found),
        split={"tied": found.split.get("tied", 0), **({} if gap is None else {"class_gap": gap})},
        checks=[
            *_checks(found, job, read=read, kept=kept),
            *_checks_of_splits(found, job, gap, longer),
            *label_checks(found, job),
            check("leaks_left", sum(leaks["left"].values()), Limit(fail=0)),
        ],
        recipe=shown(job.recipe),
        notes=[
            *notes_of(found, job),
            *unredacted_notes(found, job.recipe.privacy),
            *label_notes(found, job),
        ],
        agreement=agreement_shown(found),
        suspects=suspects_of(found, job),
        augmentation=copies_of(found),
    )


def _gap(found: Found, job: Job) -> float | None:
    """Return how far class shares differ between splits, where the split is meant to keep them."""
    classes = found.labels is not None and found.labels.kind != "regression"
    stratified = job.recipe.split.by == "label" and not found.own
    return class_gap(found.splits) if classes and stratified else None


def _tokens(found: Found, job: Job) -> dict[str, NDArray[np.int64]]:
    if job.recipe.tokens is None:
        return {}
    count = TokenCounter(job.recipe.tokens)
    return {split: count(table) for split, table in found.splits.items()}


def _measured(found: Found, tokens: Mapping[str, NDArray[np.int64]]) -> dict[str, Measured]:
    """Return what is long in each text, before and by split."""
    parts = found.collected.noted.measured
    before: Measured = {
        name: np.concatenate([each[name] for each in parts] or [np.zeros(0, np.int32)])
        for name in ("characters", "words")
    }
    measured = {"before": before}
    for split, table in found.splits.items():
        own = {"tokens": tokens[split]} if split in tokens else {}
        measured[split] = {**measure(table), **own}
    return measured


def _lengths(measured: Mapping[str, Measured]) -> dict[str, dict[str, dict[str, int]]]:
    return {
        column: {unit: quantiles(values) for unit, values in of_unit.items()}
        for column, of_unit in measured.items()
    }


def _histograms(measured: Mapping[str, Measured], found: Found) -> dict[str, Histogram]:
    units = dict.fromkeys(unit for of_unit in measured.values() for unit in of_unit)
    histograms: dict[str, Histogram] = {
        unit: lengths_histogram(
            {column: each[unit] for column, each in measured.items() if unit in each}
        )
        for unit in units
    }
    if found.labels is not None and found.labels.kind == "regression":
        scores: dict[str, NDArray[np.float64]] = {
            split: numbers(table, "label") for split, table in found.splits.items()
        }
        histograms["scores"] = scores_histogram(scores)
    return histograms


def _languages(found: Found) -> dict[str, int] | None:
    for step in found.steps:
        if step.name == LANGUAGES:
            counts = {name: count for name, count in step.counts.items() if name != "dropped"}
            return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
    return None


def _shown(counts: Mapping[str, int]) -> dict[str, int | None]:
    return {name: count for name, count in counts.items() if name != "dropped"}


def _near(found: Found) -> int | None:
    return None if found.near is None else found.near.counts["near"]


def _classes(found: Found) -> dict[str, Mapping[str, int]]:
    if found.labels is None or found.labels.kind == "regression":
        return {}
    before = added(list(found.collected.noted.classes.values()))
    after: dict[str, Mapping[str, int]] = {
        split: class_counts(table) for split, table in found.splits.items()
    }
    return {"before": dict(sorted(before.items())), **after}


def _sources(found: Found, kept: int) -> list[SourceRecord]:
    """Say for each input, as the user wrote it, how many rows came of it."""
    of_source: Counter[str] = Counter()
    for table in found.splits.values():
        for one in table["source"].value_counts().to_pylist():
            of_source[one["values"]] += one["counts"]
    read: Counter[tuple[str, Any]] = Counter()
    left: Counter[tuple[str, Any]] = Counter()
    for one, rows in zip(found.opened, found.collected.noted.read, strict=True):
        read[one.input, one.split] += rows
        left[one.input, one.split] += of_source[one.name]
    return [
        SourceRecord(name, split, rows, left[name, split], round(left[name, split] / kept, 6))
        for (name, split), rows in read.items()
    ]


def _leaks(found: Found) -> dict[str, Any]:
    """Say what stood in two splits, and search the rows that are written once more."""
    near = None if found.near is None else dict(found.near.leaks)
    return {
        "found": dict(found.leaks),
        "raw": dict(found.raw_leaks),
        "near": near,
        "removed": sum(
            table.num_rows
            for step, table in zip(found.steps, found.dropped, strict=True)
            if step.name == "leaks"
        )
        + sum((near or {}).values()),
        "left": leak_counts({split: _keyed_again(table) for split, table in found.written.items()}),
    }


def _keyed_again(table: pa.Table) -> pa.Table:
    keys = content_keys(table["text"].to_pylist(), pairs_of(table))
    return pa.table({KEY: keys})


def _privacy(found: Found) -> dict[str, Any] | None:
    for step in found.steps:
        if step.name == redacting.STEP:
            items = {name: count for name, count in step.counts.items() if name != "rows"}
            return {"rows": step.counts["rows"], "items": items}
    return None


def _checks(found: Found, job: Job, *, read: int, kept: int) -> list[Check]:
    limits, counts = job.recipe.limits, found.duplicates
    checks = [
        check("dropped", round(1 - kept / read, 6), limits.dropped),
        check("duplicates", round(counts["exact_text"] / found.pool, 6), limits.duplicates),
        check("conflicts", round(counts["conflicting_rows"] / found.pool, 6), limits.conflicts),
    ]
    if found.own:
        shared = sum(found.leaks[f"{split}_in_train"] for split in found.own)
        share = round(shared / sum(found.own.values()), 6)
        checks.append(check("leaks", share, limits.leaks))
    return checks


def _checks_of_splits(
    found: Found, job: Job, gap: float | None, longer: Mapping[str, Any] | None
) -> list[Check]:
    limits, checks = job.recipe.limits, []
    if longer is not None:
        checks.append(check("truncated", longer["share"], limits.truncated))
    rarest = min(class_counts(found.splits["train"]).values(), default=None)
    if rarest is not None:
        checks.append(check("class_rows", rarest, limits.class_rows))
    if gap is not None:
        checks.append(check("class_gap", gap, limits.class_gap))
    return checks
