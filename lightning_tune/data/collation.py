"""From row numbers to the tensors of one batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_tune.serving.encoding import Encoded


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


class Rows(Protocol):
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

    @property
    def label_codes(self) -> NDArray[np.int32]:
        """Index of each row's label, -1 where it has none."""

    @property
    def weights(self) -> NDArray[np.float32] | None:
        """Weight of each row."""


@dataclass(frozen=True)
class InMemoryRows:
    """Encoded rows without labels that were never in a file."""

    ids: NDArray[np.unsignedinteger]
    sequence_offsets: NDArray[np.int64]
    row_offsets: NDArray[np.int64]
    second: NDArray[np.int32] | None
    label_codes: NDArray[np.int32]
    weights: None = None

    @classmethod
    def of(cls, encoded: Encoded) -> InMemoryRows:
        """Take what a `TextEncoder` returned."""
        return cls(
            ids=encoded.ids,
            sequence_offsets=_offsets(encoded.lengths),
            row_offsets=_offsets(encoded.windows),
            second=encoded.second,
            label_codes=np.full(len(encoded.windows), -1, np.int32),
        )

    @property
    def longest(self) -> NDArray[np.int64]:
        """Tokens of each row's longest sequence, [rows] int64."""
        return np.maximum.reduceat(np.diff(self.sequence_offsets), self.row_offsets[:-1])


def collate(
    store: Rows,
    rows: NDArray[np.integer],
    settings: CollateSettings,
    targets: NDArray[Any] | None,
) -> dict[str, Tensor]:
    """Build the batch of some rows, padded to its longest sequence.

    Args:
        store: The rows.
        rows: Which rows, [n].
        settings: Padding, and which tensors are wanted.
        targets: The target of each label code, [codes] int64 or float32, or [codes, labels]
            float32; None for a batch without labels.

    Returns:
        `input_ids`, `attention_mask` and, if wanted, `token_type_ids`, [sequences, longest] int64;
        `index`, the row numbers, [n] int64; if wanted, `window_of`, the place in `index` of the row
        to which a sequence belongs, [sequences] int64; `labels`, [n, …] like the targets;
        `weights`, [n] float32, if the source has such a column.
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
    batch = {"input_ids": input_ids, "attention_mask": mask.astype(np.int64)}
    if settings.with_types:
        second = ends - starts if store.second is None else store.second[sequences][:, None]
        batch["token_type_ids"] = (mask & (positions >= second)).astype(np.int64)
    if settings.with_windows:
        batch["window_of"] = window_of
    if targets is not None:
        batch["labels"] = targets[store.label_codes[rows]]
    if store.weights is not None:
        batch["weights"] = store.weights[rows]
    batch["index"] = np.asarray(rows, np.int64)
    return {name: torch.from_numpy(values) for name, values in batch.items()}


def _width(longest: int, settings: CollateSettings) -> int:
    rounded = -(-longest // settings.pad_multiple) * settings.pad_multiple
    return max(longest, min(rounded, settings.max_length))


def _offsets(lengths: NDArray[np.int32]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
