"""The keys of texts as row-wise steps: of what was read, and of what cleaning made of it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from lightning_tune.prepare.keys import content_keys, raw_keys
from lightning_tune.prepare.rows import KEY, RAW_KEY, Outcome, pairs_of


@dataclass(frozen=True)
class RawKeyStep:
    """Adds the key of each text exactly as it was read; works on each row alone."""

    def __call__(self, table: pa.Table) -> Outcome:
        """Return the rows with one column more."""
        keys = raw_keys(table["text"].to_pylist(), pairs_of(table))
        return Outcome(table.append_column(RAW_KEY, pa.array(keys)))


@dataclass(frozen=True)
class KeyStep:
    """Adds the key of each text as it is now; works on each row alone."""

    def __call__(self, table: pa.Table) -> Outcome:
        """Return the rows with one column more."""
        pairs = pairs_of(table)
        seconds = None if pairs is None else [pair or "" for pair in pairs]
        keys = content_keys(table["text"].to_pylist(), seconds)
        return Outcome(table.append_column(KEY, pa.array(keys)))
