"""The rows of the stage, one Arrow table, and how a step tells which of them it dropped.

The columns, in this order, where they exist: `text`, `text_pair`, `label` (string, list<string> or
double), `weight`, `group`, `time` (int64 or timestamp), `split` (where the user named a file for
it), `source`, `line` and `augmented`. A row is known by its source, as the user wrote it, and its
line there; an edited copy has those of the row it was made of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lightning_tune.schema import Label

AUGMENTED = "augmented"
"""Column that names the edit a copy was made by; null in rows that were read."""
ORDER = (
    *("text", "text_pair", "label", "weight", "group", "time", "split", "source", "line"),
    AUGMENTED,
)
ANSWER = "answer:"
"""Begins the name of a column of one annotator's labels, until the folder is written."""
KEY = "key"
"""Column of the content key, uint64, until the folder is written."""
RAW_KEY = "raw_key"
"""Column of the key of the text as it was read, uint64; 0 where it was missing."""

DROPPED = pa.schema(
    [("source", pa.string()), ("line", pa.int64()), ("step", pa.string()), ("reason", pa.string())]
)
"""What is kept of a row that goes: where it stood, which step dropped it, and why. No text."""

KEPT = -1
"""The code of a row that stays."""


@dataclass(frozen=True)
class Outcome:
    """What a step made of some rows.

    Args:
        table: The rows that stay, in their order.
        dropped: Those that go, as `DROPPED`.
        counts: What was done, by the names that the report uses.
    """

    table: pa.Table
    dropped: pa.Table = field(default_factory=DROPPED.empty_table)
    counts: Mapping[str, int] = field(default_factory=dict)


def drop(
    table: pa.Table, codes: NDArray[np.integer[Any]], reasons: Sequence[str], *, step: str
) -> tuple[pa.Table, pa.Table]:
    """Divide rows into those that stay and those that go.

    Args:
        table: The rows.
        codes: [n]: the index of the reason to drop a row, KEPT where it stays.
        reasons: In words that hold nothing of a text.
        step: Name of the step.

    Returns:
        The rows that stay, and a table as `DROPPED` of those that go, both in order.
    """
    goes = codes != KEPT
    if not goes.any():
        return table, DROPPED.empty_table()
    gone = table.filter(pa.array(goes))
    why = pa.array(reasons, pa.string()).take(pa.array(codes[goes]))
    told = pa.table(
        {
            "source": gone["source"].cast(pa.string()),
            "line": gone["line"],
            "step": pa.array([step] * gone.num_rows, pa.string()),
            "reason": why,
        },
        schema=DROPPED,
    )
    return table.filter(pa.array(~goes)), told


def reason_counts(dropped: pa.Table) -> dict[str, int]:
    """Return how many rows were dropped by reason, the most frequent first."""
    counted = {one["values"]: one["counts"] for one in dropped["reason"].value_counts().to_pylist()}
    return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))


def added(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Add up counts by name.

    >>> added([{"a": 1}, {"a": 2, "b": 1}])
    {'a': 3, 'b': 1}
    """
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return total


def joined(tables: Sequence[pa.Table], schema: pa.Schema | None = None) -> pa.Table:
    """Return the rows of several tables, one after the other; a column may be missing in some."""
    if not tables:
        return (schema or DROPPED).empty_table()
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries()


def ordered(table: pa.Table) -> pa.Table:
    """Return the columns of the stage in their order, without those that only the steps need."""
    return table.select([name for name in ORDER if name in table.column_names])


def numbers(table: pa.Table, name: str) -> NDArray[Any]:
    """Return a numeric column as an array."""
    values: NDArray[Any] = table[name].to_numpy()
    return values


def pairs_of(table: pa.Table) -> list[str | None] | None:
    """Return the second texts, or None without such a column."""
    return table["text_pair"].to_pylist() if "text_pair" in table.column_names else None


def single_texts(table: pa.Table) -> list[str]:
    """Return what reads one text a row is given: the text, of a pair both, one a line."""
    texts: list[str] = table["text"].to_pylist()
    pairs = pairs_of(table)
    if pairs is None:
        return texts
    return [f"{text}\n{pair}" for text, pair in zip(texts, pairs, strict=True)]


def originals(table: pa.Table) -> NDArray[np.int64]:
    """Return the places of the rows that were read, ascending: all but edited copies."""
    if AUGMENTED not in table.column_names:
        return np.arange(table.num_rows)
    places: NDArray[np.int64] = np.flatnonzero(table[AUGMENTED].is_null().to_numpy())
    return places


def labels_of(table: pa.Table) -> list[Label]:
    """Return the labels: names, numbers, or in multi-label data tuples of names."""
    return [tuple(one) if isinstance(one, list) else one for one in table["label"].to_pylist()]


def slices(table: pa.Table, rows: int) -> Iterator[pa.Table]:
    """Yield a table in pieces of at most so many rows."""
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)
