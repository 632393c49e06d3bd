"""What the data is, before anything is trained on it: counts, lengths, texts that stand twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_tune.data.splits import TokenizedSplit
from lightning_tune.schema import LabelSet, Split, TaskKind

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_SHOWN_LABELS = 8


@dataclass(frozen=True)
class SplitSummary:
    """Counts of one split.

    Args:
        name: Which split.
        source: Where it comes from, as the user wrote it.
        rows: Number of examples.
        labels: How many examples have each label; empty in regression and without labels.
        scores: Least, mean and greatest score; empty but in regression.
        tokens: Tokens of an example with its special tokens: median, 95th percentile, maximum.
        truncated: Examples of which tokens were dropped.
        duplicates: Examples whose text stands earlier in the same split.
        bad_rows: Rows of the source that cannot be used (shared by splits of one source).
    """

    name: Split
    source: str
    rows: int
    labels: Mapping[str, int]
    scores: Mapping[str, float]
    tokens: Mapping[str, int]
    truncated: int
    duplicates: int
    bad_rows: int


@dataclass(frozen=True)
class DataSummary:
    """Counts of all splits that were read.

    Args:
        task: The task kind; None where there are no labels.
        splits: One summary for each split.
        overlaps: For two splits, how many examples of the later have a text of the earlier.
        prepared: What the report of the folder that `prepare` wrote found; empty for other data.
    """

    task: TaskKind | None
    splits: Sequence[SplitSummary]
    overlaps: Mapping[tuple[Split, Split], int]
    prepared: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values without any text: facts, and for each split a dictionary.

        `prepared` is another, where the data is a folder that `prepare` wrote.
        """
        facts: dict[str, Any] = {"task": self.task}
        for (earlier, later), count in self.overlaps.items():
            facts[f"{later} texts also in {earlier}"] = count
        for split in self.splits:
            values = {name: _plain(value) for name, value in vars(split).items() if name != "name"}
            facts[split.name] = {name: value for name, value in values.items() if value != {}}
        return facts | ({"prepared": dict(self.prepared)} if self.prepared else {})

    def render(self, console: Console | None = None) -> None:
        """Print the summary as a table with a column for each split."""
        from rich.console import Console

        console = console or Console()
        console.print(self._table())
        for (earlier, later), count in self.overlaps.items():
            if count:
                console.print(
                    f"{count:,} texts of {later} also stand in {earlier}: "
                    "its figures will flatter the model.",
                    style="yellow",
                    markup=False,
                )
        if self.prepared:
            console.print(self._verdict(), markup=False, highlight=False, soft_wrap=True)

    def _verdict(self) -> str:
        """Return what `prepare` said of the data, in one line."""
        told = self.prepared
        missed = f" ({told['missed']})" if told["missed"] else ""
        since = f"; changed since: {told['edited']}" if "edited" in told else ""
        return f"prepared         {told['verdict']}{missed}: {told['report']}{since}"

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=f"data ({self.task or 'no labels'})", title_justify="left")
        table.add_column("")
        for split in self.splits:
            table.add_column(split.name, justify="right")
        for name, values in self._lines():
            table.add_row(Text(name), *(Text(value) for value in values))
        return table

    def _lines(self) -> list[tuple[str, list[str]]]:
        splits = self.splits
        lines = [
            ("source", [split.source for split in splits]),
            ("rows", [f"{split.rows:,}" for split in splits]),
            ("tokens p50 / p95 / max", [_joined(split.tokens.values()) for split in splits]),
            ("truncated", [_share(split.truncated, split.rows) for split in splits]),
            ("repeated texts", [_share(split.duplicates, split.rows) for split in splits]),
            ("bad rows", [f"{split.bad_rows:,}" for split in splits]),
        ]
        if any(split.scores for split in splits):
            lines.append(("score min / mean / max", [_joined(s.scores.values()) for s in splits]))
        names = list(dict.fromkeys(name for split in splits for name in split.labels))
        for name in names[:_SHOWN_LABELS]:
            counts = [split.labels.get(name) if split.labels else None for split in splits]
            shown = ["" if count is None else f"{count:,}" for count in counts]
            lines.append((f"label {name}", shown))
        if len(names) > _SHOWN_LABELS:
            lines.append((f"and {len(names) - _SHOWN_LABELS} more labels", [""] * len(splits)))
        return lines


def summarise(
    splits: Sequence[TokenizedSplit],
    label_set: LabelSet | None,
    prepared: Mapping[str, Any] | None = None,
) -> DataSummary:
    """Count the splits.

    Args:
        splits: In the order train, validation, test, predict.
        label_set: Names the targets; None where there are no labels.
        prepared: What the report of the folder that `prepare` wrote found, if they are from one.
    """
    hashes = {split.name: np.unique(split.hashes) for split in splits}
    overlaps = {
        (earlier.name, later.name): int(np.isin(later.hashes, hashes[earlier.name]).sum())
        for earlier, later in combinations(splits, 2)
    }
    return DataSummary(
        task=label_set.kind if label_set else None,
        splits=[_summarise_split(split, label_set, len(hashes[split.name])) for split in splits],
        overlaps=overlaps,
        prepared=prepared or {},
    )


def label_counts(split: TokenizedSplit, label_set: LabelSet) -> dict[str, int]:
    """Return how many examples of a split have each label; empty in regression.

    A multi-label example counts for each of its labels.
    """
    if split.targets is None or label_set.kind == "regression":
        return {}
    rows_of_code = np.bincount(split.label_codes, minlength=len(split.targets))
    if label_set.kind == "multilabel":
        counts = rows_of_code @ split.targets
    else:
        counts = np.bincount(split.targets, rows_of_code, minlength=len(label_set.names))
    return {name: int(count) for name, count in zip(label_set.names, counts, strict=True)}


def _summarise_split(
    split: TokenizedSplit, label_set: LabelSet | None, distinct: int
) -> SplitSummary:
    p50, p95, longest = np.percentile(split.lengths, [50, 95, 100])
    return SplitSummary(
        name=split.name,
        source=split.store.meta["source"],
        rows=len(split),
        labels=label_counts(split, label_set) if label_set else {},
        scores=_scores(split, label_set),
        tokens={"p50": round(p50), "p95": round(p95), "max": round(longest)},
        truncated=int(split.store.truncated[split.rows].sum()),
        duplicates=len(split) - distinct,
        bad_rows=split.store.meta["bad"]["count"],
    )


def _scores(split: TokenizedSplit, label_set: LabelSet | None) -> dict[str, float]:
    if label_set is None or label_set.kind != "regression" or split.targets is None:
        return {}
    scores = split.targets[split.label_codes]
    named = {"min": scores.min(), "mean": scores.mean(), "max": scores.max()}
    return {name: round(float(value), 4) for name, value in named.items()}


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _joined(values: Any) -> str:
    return " / ".join(f"{value:,}" for value in values)


def _share(count: int, rows: int) -> str:
    return f"{count:,} ({count / rows:.1%})" if count else "0"
