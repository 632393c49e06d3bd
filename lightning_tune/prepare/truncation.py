"""Tokens of the texts that are written, and how many do not fit into a model's sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.rows import pairs_of, slices

_AT_ONCE = 4096


@dataclass(frozen=True)
class TokenSettings:
    """What texts are measured with.

    Args:
        tokenizer: The encoder that is to be tuned: a hub name, a folder or a checkpoint.
        max_length: The most tokens of one sequence, special ones included, as `data.max_length`.
    """

    tokenizer: str
    max_length: int = 128

    def __post_init__(self) -> None:
        if self.max_length < 1:
            raise ConfigError(f"tokens.max_length={self.max_length} has to be at least 1.")


class TokenCounter:
    """Counts tokens.

    Args:
        settings: The tokenizer.

    Raises:
        ConfigError: if there is no such tokenizer.
    """

    def __init__(self, settings: TokenSettings) -> None:
        from tokenizers import Tokenizer

        from lightning_tune.models.backbones import load_tokenizer

        self.settings = settings
        self._tokenizer: Any = Tokenizer.from_str(load_tokenizer(settings.tokenizer).json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def __call__(self, table: pa.Table) -> NDArray[np.int64]:
        """Return the tokens of each text or pair, special ones included, [n]."""
        counts: list[int] = []
        for some in slices(table, _AT_ONCE):
            texts, pairs = some["text"].to_pylist(), pairs_of(some)
            given = texts if pairs is None else list(zip(texts, pairs, strict=True))
            counts += [len(one.ids) for one in self._tokenizer.encode_batch_fast(given)]
        return np.array(counts, np.int64)


def truncation(
    counts: Mapping[str, NDArray[np.int64]], settings: TokenSettings
) -> dict[str, object]:
    """Say how many rows of each split are longer than the sequence.

    Args:
        counts: Tokens of each row by split.
        settings: The length.
    """
    longer = {split: int((each > settings.max_length).sum()) for split, each in counts.items()}
    rows = sum(map(len, counts.values()))
    share = round(sum(longer.values()) / rows, 6) if rows else 0.0
    return {"max_length": settings.max_length, "rows": longer, "share": share}
