"""Redaction as a row-wise step. What it finds is counted and nowhere else told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

from lightning_tune.prepare.rows import Outcome

STEP = "privacy"


@dataclass(frozen=True)
class RedactStep:
    """Redacts some rows; works on each row alone.

    Its counts are `rows`, the texts that changed, and the items of each kind.

    Args:
        settings: What is redacted, and what stands in its place.
    """

    settings: Any

    def __call__(self, table: pa.Table) -> Outcome:
        """Return the rows, redacted."""
        redactor = _redactor(self.settings)
        counts: Counter[str] = Counter(rows=0)
        for name in ("text", "text_pair"):
            if name in table.column_names:
                redacted = redactor(table[name].to_pylist())
                counts.update({"rows": redacted.rows, **redacted.counts})
                at = table.column_names.index(name)
                table = table.set_column(at, name, pa.array(redacted.texts, pa.string()))
        return Outcome(table, counts=dict(counts))


@lru_cache(maxsize=1)
def _redactor(settings: Any) -> Any:
    """Return the redactor of this process, made once."""
    from lightning_tune.prepare.privacy import Redactor

    return Redactor(settings)
