"""Exact duplicates, and texts that stand under several labels: global, over all rows of train.

Two rows are duplicates where their content keys are equal: case, spacing and compatibility forms of
Unicode make no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lightning_tune.errors import DataError
from lightning_tune.prepare.labels import label_codes
from lightning_tune.prepare.rows import KEPT, KEY, RAW_KEY, Outcome, drop, numbers

STEP = "duplicates"
REASONS = (
    "the text stands earlier",
    "the text stands under several labels",
    "the text stands under several labels, and more rows say another",
)
REPEATED, CONFLICTING, OUTVOTED = range(len(REASONS))


@dataclass(frozen=True)
class DuplicateSettings:
    """What becomes of texts that stand several times in train.

    Args:
        exact: Whether the later ones are dropped, or kept on one side of the split.
        conflicts: What becomes of a text under several labels: `drop` all its rows; `vote`: keep
            the label of most rows, drop where none has most (of scores the middle one stays);
            `stop` the command.
    """

    exact: Literal["drop", "keep"] = "drop"
    conflicts: Literal["drop", "vote", "stop"] = "drop"


def exact_duplicates(table: pa.Table, settings: DuplicateSettings) -> Outcome:
    """Drop rows whose text stands earlier, and settle texts under several labels.

    Global: it needs all rows of train at once. Its counts, of the rows as they come in:

    - `exact_text`: rows whose text stands earlier;
    - `exact_raw`: the same, of texts exactly as they were read;
    - `conflicting_texts`, `conflicting_rows`: texts under several labels, and their rows;
    - `dropped`.

    Raises:
        DataError: if a text stands under several labels and the settings say stop.
    """
    keys = numbers(table, KEY)
    group = _groups(keys)
    labels = label_codes(table)
    conflicting = _conflicting(group, labels)
    first = _first_rows(group)
    counts = {
        "exact_text": len(keys) - len(first),
        "exact_raw": repeats(numbers(table, RAW_KEY)),
        "conflicting_texts": int(conflicting.sum()),
        "conflicting_rows": int(conflicting[group].sum()),
    }
    if settings.conflicts == "stop" and conflicting.any():
        raise _stopped(table, group, conflicting)
    codes = np.full(len(keys), KEPT, np.int8)
    codes[conflicting[group]] = CONFLICTING
    if settings.conflicts == "vote":
        _vote(table, group, labels, conflicting, codes)
    if settings.exact == "drop":
        stays = np.flatnonzero(codes == KEPT)
        repeated = np.ones(len(stays), np.bool_)
        repeated[np.unique(group[stays], return_index=True)[1]] = False
        codes[stays[repeated]] = REPEATED
    kept, dropped = drop(table, codes, REASONS, step=STEP)
    return Outcome(kept, dropped, {**counts, "dropped": dropped.num_rows})


def repeats(keys: NDArray[np.uint64]) -> int:
    """Return how many rows have the key of an earlier one.

    >>> repeats(np.array([5, 7, 5, 5], np.uint64))
    2
    """
    return len(keys) - len(np.unique(keys))


def _groups(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number the distinct keys; [n] int64: the number of each row's."""
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def _first_rows(group: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(group, return_index=True)[1]


def _conflicting(group: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return for each group whether its rows have several labels."""
    if not len(group):
        return np.zeros(0, np.bool_)
    low = np.full(group.max() + 1, np.iinfo(np.int64).max)
    high = np.full(group.max() + 1, -1)
    np.minimum.at(low, group, labels)
    np.maximum.at(high, group, labels)
    found: NDArray[np.bool_] = low != high
    return found


def _stopped(
    table: pa.Table, group: NDArray[np.int64], conflicting: NDArray[np.bool_]
) -> DataError:
    rows = np.flatnonzero(conflicting[group])
    same = rows[group[rows] == group[rows[0]]][:2]
    one, other = (f"{table['source'][int(at)]}:{table['line'][int(at)]}" for at in same)
    return DataError(
        f"{int(conflicting.sum())} texts stand under several labels, the first in {one} and "
        f"{other}; correct them, or set recipe.duplicates.conflicts to drop or vote."
    )


def _vote(
    table: pa.Table,
    group: NDArray[np.int64],
    labels: NDArray[np.int64],
    conflicting: NDArray[np.bool_],
    codes: NDArray[np.int8],
) -> None:
    """Keep the rows of each conflicting text that have its winning label."""
    rows = np.flatnonzero(conflicting[group])
    rows = rows[np.argsort(group[rows], kind="stable")]
    scores = pa.types.is_floating(table["label"].type)
    values: NDArray[Any] = numbers(table, "label") if scores else labels
    for text in np.split(rows, np.flatnonzero(np.diff(group[rows])) + 1):
        winner = _middle(values[text]) if scores else _most(labels[text])
        if winner is not None:
            codes[text] = np.where(values[text] == winner, KEPT, OUTVOTED)


def _most(labels: NDArray[np.int64]) -> int | None:
    """Return the label that most rows have, None if two have as many."""
    names, counts = np.unique(labels, return_counts=True)
    best = np.flatnonzero(counts == counts.max())
    return int(names[best[0]]) if len(best) == 1 else None


def _middle(scores: NDArray[np.float64]) -> float:
    """Return the lower median, so that a score which somebody gave stays."""
    return float(np.sort(scores)[(len(scores) - 1) // 2])
