"""The record of what `prepare` did: plain values, the same for the same input and recipe.

It holds no text of the data, no time and nothing of the machine. docs/prepare.md says what each key
means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lightning_tune.prepare.limits import Check, Verdict, worst
from lightning_tune.prepare.report.figures import Histogram
from lightning_tune.schema import Split, TaskKind

SCHEMA = 1

KNOWN = frozenset(
    {
        *("schema", "verdict", "task", "labels", "rows", "steps", "sources", "classes", "lengths"),
        *("histograms", "languages", "truncation", "duplicates", "leaks", "privacy", "split"),
        *("checks", "recipe", "notes"),
    }
)
"""Keys that the renderings have sections of their own for; any other is listed as it is."""


@dataclass(frozen=True)
class StepRecord:
    """What one step did.

    Args:
        name: The step.
        rows_in: Rows that came in, of all splits.
        rows_out: Rows that were left.
        counts: What it did, by name.
        reasons: Dropped rows by reason.
    """

    name: str
    rows_in: int
    rows_out: int
    counts: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def gone(self) -> int:
        """How many rows it dropped; a step that adds rows drops none."""
        return max(0, self.rows_in - self.rows_out)


@dataclass(frozen=True)
class SourceRecord:
    """What came of one input.

    Args:
        name: As the user wrote it.
        split: What it is for.
        read: Its rows, those that could not be read among them.
        kept: Rows of it in the prepared folder.
        share: `kept` as a share of all rows there, in [0, 1].
    """

    name: str
    split: Split
    read: int
    kept: int
    share: float


@dataclass(frozen=True)
class PrepareReport:
    """All that is reported.

    Args:
        task: The task kind; None without labels.
        labels: Names of the classes.
        rows: `read`, `kept`, `dropped`, `for_train` (shares of duplicates are of these), and the
            rows of each split; edited copies are no rows.
        steps: What each step did, in order.
        sources: What came of each input.
        classes: Rows of each class `before` anything was done, and by split.
        lengths: Characters and words of a text, `before` and by split: p50, p95, max; tokens too
            where a tokenizer is named.
        histograms: The same lengths by bin, and the scores of a regression, as
            `figures.Histogram`.
        languages: Rows in each language; None: not looked at.
        truncation: `max_length`, longer `rows` by split, their `share`; None: not measured.
        duplicates: `exact_text`, `exact_raw`, `conflicting_texts`, `conflicting_rows`, `near` …
        leaks: Texts in two splits: `found`, `raw`, `near`, `removed`, `left`.
        privacy: What was redacted: `rows`, `items` by kind; None: nothing was looked for.
        split: `tied`, `class_gap`.
        checks: The figures that have limits.
        recipe: All settings of the recipe.
        notes: What a reader should know.
        agreement: How far annotators agree: `alpha`, `rows`, `unanimous`, `by_annotator`,
            `confused`; None: none were named.
        suspects: What was found out about labels and texts of train: `mode`, `rows`, `of`, `found`,
            `share`, `noise`, `classes`, `outliers` …; None: nothing was looked for.
        augmentation: Edited copies of train: `copies`, `edits`, `classes`, `label_kept` …; None:
            there are none.
    """

    task: TaskKind | None
    labels: Sequence[str]
    rows: Mapping[str, int]
    steps: Sequence[StepRecord]
    sources: Sequence[SourceRecord]
    classes: Mapping[str, Mapping[str, int]]
    lengths: Mapping[str, Mapping[str, Mapping[str, int]]]
    histograms: Mapping[str, Histogram]
    languages: Mapping[str, int] | None
    truncation: Mapping[str, Any] | None
    duplicates: Mapping[str, int | None]
    leaks: Mapping[str, Any]
    privacy: Mapping[str, Any] | None
    split: Mapping[str, float]
    checks: Sequence[Check]
    recipe: Mapping[str, Any]
    notes: Sequence[str] = ()
    agreement: Mapping[str, Any] | None = None
    suspects: Mapping[str, Any] | None = None
    augmentation: Mapping[str, Any] | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst of all checks."""
        return worst(self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as report.json holds them."""
        return {"schema": SCHEMA, "verdict": self.verdict, **asdict(self)}

    def others(self) -> dict[str, Mapping[str, Any]]:
        """Return the parts that no section of the renderings is for, those that hold something."""
        return {
            name: values
            for name, values in self.to_dict().items()
            if name not in KNOWN and isinstance(values, Mapping) and values
        }
