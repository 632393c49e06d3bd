"""Two models on the same rows: what the second one lost, class by class, and what it answers else.

"Before" is the checkpoint as it was trained, "after" what is to be exported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lightning_tune.reports.counting import Counts
from lightning_tune.reports.intervals import differences
from lightning_tune.reports.predictions import Predictions, once
from lightning_tune.reports.scores import values
from lightning_tune.schema import Label, LabelSet

WhereOf = Callable[[int], str]
"""Gives the place of a row in its source: file and line."""
SMALLER_IS_BETTER = ("mae",)


@dataclass(frozen=True)
class ClassChange:
    """F1 of a class before and after, the interval of the change, and the rows that hold it."""

    name: str
    before: float
    after: float
    rows: int
    interval: tuple[float, float] | None = None

    @property
    def lost(self) -> float:
        """Points of F1; negative where it gained."""
        return 100 * (self.before - self.after)


@dataclass(frozen=True)
class Flip:
    """A row that is answered in another way.

    Args:
        row: Position in the split, from 0.
        where: Its file and line.
        label: What stands in the data.
        before: The answer before.
        after: The answer after.
        margin: How sure the first model was: its likeliest class above the next, in [0, 1]; in
            multi-label the smallest distance of a changed label from 0.5.
    """

    row: int
    where: str
    label: Label
    before: Label
    after: Label
    margin: float

    @property
    def decisions(self) -> int:
        """How many decisions changed: one, in multi-label one for each label that came or went."""
        if isinstance(self.before, tuple) and isinstance(self.after, tuple):
            return len(set(self.before) ^ set(self.after))
        return 1


@dataclass(frozen=True)
class Comparison:
    """What a model lost against another on one split.

    Args:
        split: Its name.
        rows: How many rows it has.
        metric: The main metric.
        before: Metrics by name.
        after: Metrics by name.
        intervals: Interval of after - before by metric, of paired resamples; empty if none drawn.
        classes: Change of each class; empty in regression.
        flips: Rows answered in another way; empty in regression.
        moved: The largest change of a probability, or in regression of a score.
        choices: Decisions that a row asks for: one, in multi-label one a label.
    """

    split: str
    rows: int
    metric: str
    before: dict[str, float]
    after: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    classes: list[ClassChange] = field(default_factory=list)
    flips: list[Flip] = field(default_factory=list)
    moved: float = 0.0
    choices: int = 1

    @property
    def lost(self) -> float:
        """Points of the main metric; negative where it gained."""
        sign = -1 if self.metric in SMALLER_IS_BETTER else 1
        return 100 * sign * (self.before[self.metric] - self.after[self.metric])

    @property
    def lost_interval(self) -> tuple[float, float] | None:
        """95 % interval of `lost`."""
        if self.metric not in self.intervals:
            return None
        low, high = (100 * end for end in self.intervals[self.metric])
        return (low, high) if self.metric in SMALLER_IS_BETTER else (-high, -low)

    @property
    def changed(self) -> int:
        """How many decisions changed: rows, in multi-label labels of rows."""
        return sum(flip.decisions for flip in self.flips)

    @property
    def decisions(self) -> int:
        """How many decisions there are: rows, in multi-label rows x labels."""
        return self.rows * self.choices

    @property
    def flipped(self) -> float:
        """Share of the decisions that changed."""
        return self.changed / self.decisions


def compare(
    labels: LabelSet,
    targets: NDArray[np.generic],
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    *,
    metric: str,
    split: str,
    where_of: WhereOf = str,
    resamples: int = 0,
) -> Comparison:
    """Compare two models on the same rows.

    Args:
        labels: The label set; its order is that of the score columns.
        targets: [rows] class indices, or numbers in regression; [rows, labels] 0/1 in multi-label.
        before: Probabilities [rows, classes], or scores [rows], of the one …
        after: … and of the other.
        metric: The main metric.
        split: Name of the split.
        where_of: Gives the place of a row in its source.
        resamples: Bootstrap resamples of the intervals; 0 gives none.

    Raises:
        DataError: if shapes do not agree, or a score is not finite.
    """
    positive = labels.positive_index if labels.kind == "binary" else 1
    first, second = (
        Predictions(labels.kind, targets, np.asarray(scores, np.float64), positive=positive)
        for scores in (before, after)
    )
    return Comparison(
        split=split,
        rows=first.rows,
        metric=metric,
        before=values(first),
        after=values(second),
        intervals=differences(first, second, resamples=resamples) if resamples else {},
        classes=_classes(labels, first, second, resamples),
        flips=_flips(labels, first, second, where_of),
        moved=float(np.abs(second.scores - first.scores).max()),
        choices=len(labels.names) if labels.kind == "multilabel" else 1,
    )


def _classes(
    labels: LabelSet, before: Predictions, after: Predictions, resamples: int
) -> list[ClassChange]:
    if labels.kind == "regression":
        return []
    weights = once(before.rows)
    first, second = (Counts.of(each, weights) for each in (before, after))
    found = _class_intervals(before, after, resamples) if resamples else [None] * len(labels.names)
    return [
        ClassChange(
            name,
            float(first.f1[at, 0]),
            float(second.f1[at, 0]),
            int(first.support[at, 0]),
            found[at],
        )
        for at, name in enumerate(labels.names)
    ]


def _class_intervals(
    before: Predictions, after: Predictions, resamples: int
) -> list[tuple[float, float] | None]:
    """Return the interval of each class's change of F1, of paired resamples of the rows."""
    generator = np.random.default_rng(0)
    changes = []
    for _ in range(0, resamples, 50):
        drawn = generator.multinomial(before.rows, np.full(before.rows, 1 / before.rows), size=50)
        weights = np.ascontiguousarray(drawn.T, dtype=np.float32)
        changes.append(Counts.of(after, weights).f1 - Counts.of(before, weights).f1)
    low, high = np.percentile(np.concatenate(changes, axis=1), [2.5, 97.5], axis=1)
    return [(float(one), float(other)) for one, other in zip(low, high, strict=True)]


def _flips(
    labels: LabelSet, before: Predictions, after: Predictions, where_of: WhereOf
) -> list[Flip]:
    if labels.kind == "regression":
        return []
    changed = np.flatnonzero((before.answers != after.answers).any(axis=1))
    return [
        Flip(
            row=int(row),
            where=where_of(int(row)),
            label=_named(labels, before.truth[row]),
            before=_named(labels, before.answers[row]),
            after=_named(labels, after.answers[row]),
            margin=_margin(labels, before, after, int(row)),
        )
        for row in changed
    ]


def _named(labels: LabelSet, marks: NDArray[np.float32]) -> Label:
    names = tuple(name for name, mark in zip(labels.names, marks, strict=True) if mark)
    return names if labels.kind == "multilabel" else names[0]


def _margin(labels: LabelSet, before: Predictions, after: Predictions, row: int) -> float:
    scores = before.scores[row]
    if labels.kind == "multilabel":
        changed = before.answers[row] != after.answers[row]
        return float(np.abs(scores[changed] - 0.5).min())
    highest = np.sort(scores)[-2:]
    return float(highest[1] - highest[0])
