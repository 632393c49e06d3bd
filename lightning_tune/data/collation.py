"""From row numbers to the tensors of one batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_tune.serving.batches import (
    CollateSettings,
    EncodedRows,
    Sequences,
    offsets,
    rectangle,
)
from lightning_tune.serving.encoding import Encoded

__all__ = ["CollateSettings", "InMemoryRows", "Rows", "collate"]


class Rows(Sequences, Protocol):
    """Encoded rows with labels, wherever they are."""

    @property
    def label_codes(self) -> NDArray[np.int32]:
        """Index of each row's label, -1 where it has none."""

    @property
    def weights(self) -> NDArray[np.float32] | None:
        """Weight of each row."""


@dataclass(frozen=True)
class InMemoryRows(EncodedRows):
    """Encoded rows without labels that were never in a file."""

    label_codes: NDArray[np.int32]
    weights: None = None

    @classmethod
    def of(cls, encoded: Encoded) -> InMemoryRows:
        """Take what a `TextEncoder` returned."""
        return cls(
            ids=encoded.ids,
            sequence_offsets=offsets(encoded.lengths),
            row_offsets=offsets(encoded.windows),
            second=encoded.second,
            label_codes=np.full(len(encoded.windows), -1, np.int32),
        )


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
        The inputs, as `serving.batches.rectangle` makes them; `index`, the row numbers, [n] int64;
        `labels`, [n, …] like the targets; `weights`, [n] float32, if the source has such a column.
    """
    batch = rectangle(store, rows, settings)
    if targets is not None:
        batch["labels"] = targets[store.label_codes[rows]]
    if store.weights is not None:
        batch["weights"] = store.weights[rows]
    batch["index"] = np.asarray(rows, np.int64)
    return {name: torch.from_numpy(values) for name, values in batch.items()}
