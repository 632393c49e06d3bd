"""From encoded texts to rectangles of token ids: padding, types, windows, batches by length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightning_tune.serving.encoding import Encoded

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class CollateSettings:
    """How sequences become a rectangle.

    Args:
        pad_id: Token id that fills up shorter sequences.
        with_types: Whether `token_type_ids` are wanted.
        with_windows: Whether a row may have several sequences, so `window_of` is wanted.
        pad_multiple: The width is rounded up to a multiple of this, at least 1 …
        max_length: … but not beyond this, in tokens.
    """

    pad_id: int
    with_types: bool
    with_windows: bool
    pad_multiple: int
    max_length: int


class Sequences(Protocol):
    """Encoded rows, wherever they are."""

    @property
    def ids(self) -> NDArray[np.unsignedinteger]:
        """Token ids of all sequences, flat."""

    @property
    def sequence_offsets(self) -> NDArray[np.int64]:
        """Where each sequence starts in `ids`, and the end."""

    @property
    def row_offsets(self) -> NDArray[np.int64]:
        """Index of each row's first sequence, and the end."""

    @property
    def second(self) -> NDArray[np.int32] | None:
        """Position of the first token of type 1 in each sequence."""


@dataclass(frozen=True)
class EncodedRows:
    """What a `TextEncoder` returned, with offsets in place of lengths."""

    ids: NDArray[np.unsignedinteger]
    sequence_offsets: NDArray[np.int64]
    row_offsets: NDArray[np.int64]
    second: NDArray[np.int32] | None

    @classmethod
    def of(cls, encoded: Encoded) -> EncodedRows:
        """Take what a `TextEncoder` returned."""
        return cls(
            ids=encoded.ids,
            sequence_offsets=offsets(encoded.lengths),
            row_offsets=offsets(encoded.windows),
            second=encoded.second,
        )

    @property
    def longest(self) -> NDArray[np.int64]:
        """Tokens of each row's longest sequence, [rows] int64."""
        return np.maximum.reduceat(np.diff(self.sequence_offsets), self.row_offsets[:-1])


def rectangle(store: Sequences, rows: NDArray[np.integer], settings: CollateSettings) -> Arrays:
    """Build the inputs of some rows, padded to their longest sequence.

    Args:
        store: The rows.
        rows: Which rows, [n].
        settings: Padding, and which arrays are wanted.

    Returns:
        `input_ids`, `attention_mask` and, if wanted, `token_type_ids`, [sequences, longest] int64;
        if wanted, `window_of`, the place in `rows` of the row to which a sequence belongs,
        [sequences] int64.
    """
    counts = store.row_offsets[rows + 1] - store.row_offsets[rows]
    window_of = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(window_of)) - np.repeat(np.cumsum(counts) - counts, counts)
    sequences = store.row_offsets[rows][window_of] + within
    starts = store.sequence_offsets[sequences][:, None]
    ends = store.sequence_offsets[sequences + 1][:, None]
    positions = np.arange(_width(int((ends - starts).max()), settings))  # [longest]
    mask = positions < ends - starts  # [sequences, longest]
    input_ids = np.full(mask.shape, settings.pad_id, np.int64)
    input_ids[mask] = store.ids[(starts + positions)[mask]]
    batch: Arrays = {"input_ids": input_ids, "attention_mask": mask.astype(np.int64)}
    if settings.with_types:
        second = ends - starts if store.second is None else store.second[sequences][:, None]
        batch["token_type_ids"] = (mask & (positions >= second)).astype(np.int64)
    if settings.with_windows:
        batch["window_of"] = window_of
    return batch


def by_length(
    lengths: NDArray[np.integer], sequences: NDArray[np.integer], tokens: int
) -> list[NDArray[np.intp]]:
    """Cut rows into batches of at most so many tokens, padding included, the longest rows first.

    Args:
        lengths: Tokens of each row's longest sequence, [rows].
        sequences: Sequences of each row, [rows].
        tokens: The budget; a row that is longer is a batch of its own.

    >>> [rows.tolist() for rows in by_length(np.array([2, 5, 3]), np.array([1, 1, 1]), 6)]
    [[1], [2, 0]]
    """
    order = np.lexsort((-sequences, -lengths))
    ends = np.cumsum(sequences[order])
    batches = []
    start = taken = 0
    while start < len(order):
        fits = taken + tokens // max(1, int(lengths[order[start]]))
        end = max(start + 1, int(np.searchsorted(ends, fits, side="right")))
        batches.append(order[start:end])
        start, taken = end, int(ends[end - 1])
    return batches


def pool(logits: NDArray[np.float32], window_of: NDArray[np.integer]) -> NDArray[np.float32]:
    """Average the logits of each row's windows.

    Args:
        logits: [sequences, outputs].
        window_of: [sequences], non-decreasing, without gaps.

    Returns:
        [rows, outputs].

    >>> pool(np.array([[1.0], [3.0], [5.0]], np.float32), np.array([0, 0, 1])).tolist()
    [[2.0], [5.0]]
    """
    counts = np.bincount(window_of)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    sums: NDArray[np.float32] = np.add.reduceat(logits, starts, axis=0)
    shares: NDArray[np.float32] = counts[:, None].astype(np.float32)
    return np.divide(sums, shares)


def offsets(lengths: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return where each part starts, and the end.

    >>> offsets(np.array([2, 3])).tolist()
    [0, 2, 5]
    """
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def _width(longest: int, settings: CollateSettings) -> int:
    rounded = -(-longest // settings.pad_multiple) * settings.pad_multiple
    return max(longest, min(rounded, settings.max_length))
