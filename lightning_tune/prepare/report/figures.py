"""Figures of a table of rows: how long its texts are, and how lengths and scores are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lightning_tune.reports.axes import span, ticks

Histogram = Mapping[str, Sequence[float]]
"""`edges` of the bins, one more than bins, and the rows in each bin by column."""

_BINS = 30


def measure(table: pa.Table) -> dict[str, NDArray[np.int32]]:
    """Return characters and words of each text, a missing one as 0, [n] each.

    Words are what stands between spaces; a text in a script without spaces has few.
    """
    text = pc.fill_null(table["text"], "")
    blanks = pc.count_substring(pc.utf8_trim_whitespace(text), " ")
    words = pc.if_else(pc.equal(text, ""), 0, pc.add(blanks, 1))
    found = {"characters": pc.utf8_length(text), "words": words}
    if "text_pair" in table.column_names:
        other = measure(table.select(["text_pair"]).rename_columns(["text"]))
        return {name: values.to_numpy() + other[name] for name, values in found.items()}
    return {name: values.to_numpy().astype(np.int32) for name, values in found.items()}


def quantiles(values: NDArray[Any]) -> dict[str, int]:
    """Return median, 95th percentile and maximum."""
    ordered = np.sort(values)
    return {"p50": _at(ordered, 0.5), "p95": _at(ordered, 0.95), "max": _at(ordered, 1.0)}


def _at(values: NDArray[Any], share: float) -> int:
    """Return the value that so large a share of the others does not exceed; 0 without any."""
    if not len(values):
        return 0
    return int(values[min(len(values) - 1, int(share * len(values)))])


def lengths_histogram(columns: Mapping[str, NDArray[np.integer[Any]]]) -> Histogram:
    """Count lengths in bins of equal width; the last holds the longest hundredth as well.

    Args:
        columns: Lengths by column, such as `before` and `train`.

    >>> lengths_histogram({"train": np.array([0, 1, 1, 2])})
    {'edges': [0, 1, 2, 3], 'train': [1, 2, 1]}
    """
    ordered = np.sort(np.concatenate([np.asarray(values) for values in columns.values()]))
    usual, longest = _at(ordered, 0.99), _at(ordered, 1.0)
    step = _whole_step((usual + 1) / _BINS)
    edges = list(range(0, usual + 1 + step, step))
    if longest >= edges[-1]:
        edges.append(longest + 1)
    return {"edges": edges, **_binned(columns, edges)}


def scores_histogram(columns: Mapping[str, NDArray[np.float64]]) -> Histogram:
    """Count scores in about twenty bins of equal, round width.

    >>> scores_histogram({"train": np.array([0.0, 1.0, 1.0])})["edges"][:3]
    [0.0, 0.05, 0.1]
    """
    together = np.concatenate(list(columns.values())).tolist()
    edges = ticks(*span(together, count=20), 20)
    return {"edges": edges, **_binned(columns, edges)}


def _binned(columns: Mapping[str, NDArray[Any]], edges: Sequence[float]) -> dict[str, list[int]]:
    return {name: np.histogram(values, edges)[0].tolist() for name, values in columns.items()}


def _whole_step(least: float) -> int:
    """Return the first of 1, 2, 5, 10, 20, 50 … that is not below.

    >>> _whole_step(0.3), _whole_step(3), _whole_step(60)
    (1, 5, 100)
    """
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power >= least:
                return factor * power
        power *= 10
