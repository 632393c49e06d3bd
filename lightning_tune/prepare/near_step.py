"""Near duplicates taken out: of an earlier row of train, or of a row of a more precious split.

Global: it compares all rows. Clusters of near duplicates are chains, in which the ends may be far
apart; so inside each, in the order of the input, a row goes only if it is near to one that stays.
What a later row is like can then never take out an earlier one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from lightning_tune.prepare.labels import label_codes
from lightning_tune.prepare.leaks import PRECIOUS
from lightning_tune.prepare.near import NearFound, NearSettings
from lightning_tune.prepare.near.search import plain_text
from lightning_tune.prepare.rows import KEPT, KEY, drop, joined, numbers, single_texts
from lightning_tune.schema import Split

STEP = "near"
EARLIER = "the text is a near duplicate of an earlier one"
_LEADERS = 64
"""Rows of a cluster that stay, at most; what is near none of so many goes too."""

Compare = Callable[[int, Sequence[int]], NDArray[np.bool_]]
"""Which of several rows are near to one row."""


@dataclass(frozen=True)
class NearOutcome:
    """What was found.

    Args:
        splits: The rows that stay.
        dropped: Those that go.
        counts: `near`: rows of train that are near to an earlier one; `near_other_label`: those of
            them with another label; `dropped`.
        leaks: Rows that were near to one of a more precious split, as `train_near_test`.
        ties: For each row that was near to several which stay, the content keys of these.
    """

    splits: Mapping[Split, pa.Table]
    dropped: pa.Table
    counts: Mapping[str, int]
    leaks: Mapping[str, int]
    ties: Sequence[tuple[int, ...]]


def drop_near(
    splits: Mapping[Split, pa.Table], clusters: NDArray[np.int64], compare: Compare
) -> NearOutcome:
    """Take near duplicates out of train, and out of every split what is near to a more precious.

    Args:
        splits: The rows that are for each split.
        clusters: For each row the earliest of its cluster; rows stand in the order test,
            validation, train (see `texts_of`).
        compare: Tells which rows are near.
    """
    there = [split for split in PRECIOUS if split in splits]
    sizes = [splits[split].num_rows for split in there]
    starts = np.cumsum([0, *sizes]).tolist()
    near = _near_to(clusters, starts, is_train_last="train" in there, compare=compare)
    keys = np.concatenate([numbers(splits[split], KEY) for split in there])
    labels = label_codes(joined([_labels(splits[split]) for split in there]))
    kept, gone = dict(splits), []
    leaks: dict[str, int] = {}
    for at, split in enumerate(there):
        codes = np.full(sizes[at], KEPT, np.int8)
        for row, others in near.items():
            if starts[at] <= row < starts[at + 1]:
                codes[row - starts[at]] = bisect_right(starts, others[0]) - 1
        reasons = [f"the text is a near duplicate of one in {each}" for each in there[:at]]
        kept[split], dropped = drop(splits[split], codes, [*reasons, EARLIER], step=STEP)
        gone.append(dropped)
        leaks |= {f"{split}_near_{there[each]}": int((codes == each).sum()) for each in range(at)}
    earlier = [(row, others) for row, others in near.items() if others[0] >= starts[-2]]
    counts = {
        "near": len(earlier),
        "near_other_label": sum(bool(labels[row] != labels[others[0]]) for row, others in earlier),
        "dropped": len(near),
    }
    ties = [tuple(keys[list(others)].tolist()) for _, others in earlier if len(others) > 1]
    return NearOutcome(kept, pa.concat_tables(gone), counts, leaks, ties)


def texts_of(splits: Mapping[Split, pa.Table]) -> list[str]:
    """Return the texts of all rows in the order test, validation, train; pairs as one text."""
    texts: list[str] = []
    for split in PRECIOUS:
        if split in splits:
            texts += single_texts(splits[split])
    return texts


def _labels(table: pa.Table) -> pa.Table:
    return table.select([name for name in ("line", "label") if name in table.column_names])


def _near_to(
    clusters: NDArray[np.int64], starts: Sequence[int], *, is_train_last: bool, compare: Compare
) -> dict[int, tuple[int, ...]]:
    """Return for each row that goes the rows that it is near to and that stay, in order."""
    train = starts[-2] if is_train_last else starts[-1]
    near: dict[int, tuple[int, ...]] = {}
    for members in _members(clusters):
        stay: list[int] = []
        for row in members:
            above = row if row >= train else starts[bisect_right(starts, row) - 1]
            others = [each for each in stay if each < above]
            found = others if len(members) == 2 else _found(row, others, compare)
            if not found and row >= train and len(others) >= _LEADERS:
                found = others[:1]
            if found:
                near[row] = tuple(found)
            else:
                stay.append(row)
    return near


def _found(row: int, others: Sequence[int], compare: Compare) -> list[int]:
    if not others:
        return []
    are_near = compare(row, others)
    return [other for other, is_near in zip(others, are_near, strict=True) if is_near]


def _members(clusters: NDArray[np.int64]) -> list[list[int]]:
    """Return the rows of each cluster of several, ascending."""
    order = np.argsort(clusters, kind="stable")
    ends = np.flatnonzero(np.diff(clusters[order])) + 1
    return [rows.tolist() for rows in np.split(order, ends) if len(rows) > 1]


def comparison(
    texts: Sequence[str], settings: NearSettings, found: NearFound | None = None
) -> Compare:
    """Return what tells which rows are near to one row, by the same measure as the search.

    Args:
        texts: All texts, as `texts_of` orders them.
        settings: The `NearSettings`: `similarity`, and the `characters` that count.
        found: What the search found; pairs that it compared are not compared again.
    """

    def compare(row: int, others: Sequence[int]) -> NDArray[np.bool_]:
        near = np.zeros(len(others), np.bool_) if found is None else found.known(row, others)
        text = plain_text(texts[row], settings.characters)
        for at in np.flatnonzero(~near).tolist():
            other = plain_text(texts[others[at]], settings.characters)
            most = int((1 - settings.similarity) * max(len(text), len(other)) + 1e-9)
            near[at] = Levenshtein.distance(text, other, score_cutoff=most) <= most
        return near

    return compare
