"""Redaction as a row-wise step. What it finds is counted and nowhere else told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from lightning_tune.prepare.privacy import PrivacySettings, Redactor
from lightning_tune.prepare.rows import Outcome

STEP = "privacy"


@dataclass(frozen=True)
class RedactStep:
    """Redacts some rows; works on each row alone.

    Its counts are `rows`, the texts that changed, and the items of each kind.

    Args:
        settings: What is redacted, and what stands in its place.
    """

    settings: PrivacySettings

    def __call__(self, table: pa.Table) -> Outcome:
        """Return the rows, redacted."""
        redactor = redactor_of(self.settings)
        counts: Counter[str] = Counter(rows=0)
        for name in ("text", "text_pair"):
            if name in table.column_names:
                redacted = redactor(table[name].to_pylist())
                counts.update({"rows": redacted.rows, **redacted.counts})
                at = table.column_names.index(name)
                table = table.set_column(at, name, pa.array(redacted.texts, pa.string()))
        return Outcome(table, counts=dict(counts))


@lru_cache(maxsize=1)
def redactor_of(settings: PrivacySettings) -> Redactor:
    """Return the redactor of this process, made once.

    Raises:
        ConfigError: if the secret key is missing or too short, or a package is missing.
    """
    return Redactor(settings)
