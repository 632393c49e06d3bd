"""Figures of a table of rows: how long its texts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Lengths = Mapping[str, Mapping[str, int]]
"""Of `characters` and `words`: p50, p95 and max."""


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


def summary(measured: Sequence[Mapping[str, NDArray[np.int32]]]) -> dict[str, dict[str, int]]:
    """Return median, 95th percentile and maximum of what was measured in parts.

    >>> summary([{"words": np.array([1, 2]), "characters": np.array([3, 9])}])["words"]
    {'p50': 2, 'p95': 2, 'max': 2}
    """
    result = {}
    for name in ("characters", "words"):
        parts = [each[name] for each in measured]
        result[name] = quantiles(np.concatenate(parts) if parts else np.zeros(0, np.int32))
    return result


def quantiles(values: NDArray[Any]) -> dict[str, int]:
    """Return median, 95th percentile and maximum."""
    ordered = np.sort(values)
    return {"p50": _at(ordered, 0.5), "p95": _at(ordered, 0.95), "max": _at(ordered, 1.0)}


def _at(values: NDArray[Any], share: float) -> int:
    """Return the value that so large a share of the others does not exceed; 0 without any."""
    if not len(values):
        return 0
    return int(values[min(len(values) - 1, int(share * len(values)))])
