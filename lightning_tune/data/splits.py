"""The tokenized examples of one split: to look at, to count, and to make batches of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lightning_tune.data.collation import CollateSettings, collate
from lightning_tune.data.tokens import TokenStore
from lightning_tune.schema import Split


class TokenizedSplit:
    """Some rows of a token store, with the targets of their labels.

    Args:
        name: Which split it is.
        store: The tokenized rows.
        rows: The rows that belong to the split, in order; all unless given.
        targets: The target of each label code (see `encode_labels`); None without labels.
    """

    def __init__(
        self,
        name: Split,
        store: TokenStore,
        *,
        rows: NDArray[np.int64] | None = None,
        targets: NDArray[Any] | None = None,
    ) -> None:
        self.name = name
        self.store = store
        self.rows = np.arange(len(store), dtype=np.int64) if rows is None else rows
        self.targets = targets

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one example as plain values.

        Its `input_ids` is a list, or a list of lists where the text was cut into windows. `label`
        is as it stands in the source; `target` is what a loss compares with.

        Raises:
            IndexError: if there is no such example.
        """
        row = int(self.rows[index])
        store = self.store
        text, text_pair = store.text(row)
        ids = [sequence.tolist() for sequence in store.sequences(row)]
        example = {
            "text": text,
            "text_pair": text_pair,
            "label": store.label(row),
            "input_ids": ids[0] if len(ids) == 1 else ids,
            "truncated": bool(store.truncated[row]),
            "source": store.where(row),
        }
        if self.targets is not None:
            example["target"] = self.targets[store.label_codes[row]].tolist()
        if store.weights is not None:
            example["weight"] = float(store.weights[row])
        return example

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of each example, of all its windows, [n] int32."""
        return self.store.lengths[self.rows]

    @property
    def longest(self) -> NDArray[np.int32]:
        """Tokens of each example's longest sequence, [n] int32."""
        return self.store.longest[self.rows]

    @property
    def windows(self) -> NDArray[np.int64]:
        """Sequences of each example, [n] int64."""
        return self.store.windows[self.rows]

    @property
    def label_codes(self) -> NDArray[np.int32]:
        """Index of each example's label among the store's, [n] int32."""
        return self.store.label_codes[self.rows]

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """Hash of each example's text, [n] uint64."""
        return self.store.hashes[self.rows]

    def text(self, row: int) -> tuple[str, str | None]:
        """Return the text and second text of a row, numbered as `index` in a batch."""
        return self.store.text(row)

    def error(self, row: int) -> str | None:
        """Return why a row, numbered as `index` in a batch, cannot be used; only in predict."""
        return self.store.errors.get(row)


class Batches(Dataset[dict[str, Tensor]]):
    """Batches of a split: indexed by lists of examples, as `BucketSampler` yields them."""

    def __init__(self, split: TokenizedSplit, settings: CollateSettings) -> None:
        self._split = split
        self._settings = settings

    def __len__(self) -> int:
        return len(self._split)

    def __getitem__(self, examples: int | list[int]) -> dict[str, Tensor]:
        """Return the batch of these examples; of one for an index, as `overfit_batches` asks."""
        rows = self._split.rows[np.atleast_1d(examples)]
        return collate(self._split.store, rows, self._settings, self._split.targets)
