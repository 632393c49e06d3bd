"""What each entrant answers on validation, how fast it is, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lightning_tune.reports.display import metric_title, number
from lightning_tune.reports.scores import METRICS, point
from lightning_tune.schema import MAIN_METRIC, Split
from lightning_tune.serving.calibration import Calibration, apply
from lightning_tune_export.answers import batches, logits_of, part_of, targets_of
from lightning_tune_export.comparison import Comparison, compare
from lightning_tune_export.entrants import Entrant
from lightning_tune_export.gate import judge
from lightning_tune_export.ladder import Rung
from lightning_tune_export.pace import shapes_of, throughputs, time_shapes
from lightning_tune_export.recipe import Recipe
from lightning_tune_export.runners import Arrays, Runner
from lightning_tune_export.source import Source

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Answered:
    """A split and what somebody answers on it.

    Args:
        source: What is exported.
        split: Name of the split.
        logits: [rows, outputs].
        targets: Indices, numbers, or 0/1 [rows, labels].
    """

    source: Source
    split: Split
    logits: Floats
    targets: NDArray[np.generic]

    @classmethod
    def by(cls, source: Source, split: Split, run: Runner) -> Answered:
        """Answer a split."""
        rows = source.split(split)
        return cls(source, split, logits_of(source, rows, run), targets_of(rows))

    def scores(self, calibration: Calibration = Calibration()) -> Floats:  # noqa: B008 - frozen
        """Return probabilities [rows, labels], or scores [rows]."""
        return apply(self.logits, self.source.labels, calibration)

    def against(self, trained: Answered, *, resamples: int = 0) -> Comparison:
        """Compare with the checkpoint on the same split, both without calibration."""
        rows = self.source.split(self.split)
        return compare(
            self.source.labels,
            self.targets,
            trained.scores(),
            self.scores(),
            metric=metric_of(self.source),
            split=self.split,
            where_of=lambda row: rows.store.where(int(rows.rows[row])),
            resamples=resamples,
        )

    def words(self) -> str:
        """Say the main metric."""
        labels, name = self.source.labels, metric_of(self.source)
        positive = labels.positive_index if labels.kind == "binary" else 1
        found = point(labels.kind, self.targets, self.scores(), names=[name], positive=positive)
        return f"{metric_title(name)} {number(found[name])} on {self.split}"


def metric_of(source: Source) -> str:
    """Return the metric that budgets are about: the main one, or the task's own.

    A metric of the user's own has no formula here, and a loss no points.
    """
    named, kind = source.module.main_metric, source.labels.kind
    return named if named in METRICS[kind] else MAIN_METRIC[kind]


def measured(entrants: Sequence[Entrant], trained: Answered, recipe: Recipe) -> list[Rung]:
    """Measure all alike, on validation.

    Args:
        entrants: Candidates and baselines.
        trained: What the checkpoint answers on validation.
        recipe: Budgets, and how speed is measured.
    """
    pace, source = recipe.measure, trained.source
    sizes = [each.source.module.classifier.encoder.config.vocab_size for each in entrants]
    timings = time_shapes(
        {each.name: each.run for each in entrants},
        shapes_of(pace, source.encoding.max_length),
        vocabulary=min(sizes),
        with_types=source.tokenizer.with_types,
        settings=pace,
    )
    rates = throughputs(
        {each.name: (each.run, _some(each, pace.texts)) for each in entrants},
        texts=min(pace.texts, len(source.split("val"))),
    )
    rungs = [
        Rung(
            each.name,
            each.role,
            each.megabytes,
            timings[each.name],
            rates[each.name],
            Answered.by(each.source, "val", each.run).against(trained),
            note=each.note,
        )
        for each in entrants
    ]
    return [_judged(rung, recipe) for rung in rungs]


def _some(entrant: Entrant, texts: int) -> list[Arrays]:
    source = entrant.source
    part = part_of(source.split("val"), texts, seed=source.data.seed)
    return [arrays for _, arrays, _ in batches(source, part)]


def _judged(rung: Rung, recipe: Recipe) -> Rung:
    if rung.role == "baseline" or rung.comparison is None or rung.megabytes is None:
        return rung
    checks = judge(
        rung.comparison,
        recipe.budgets,
        milliseconds=rung.milliseconds,
        megabytes=rung.megabytes,
    )
    return replace(rung, checks=checks)
