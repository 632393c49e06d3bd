"""A source that is a list, and token stores made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lightning_tune.data.building import build_or_open
from lightning_tune.data.tokens import TokenStore
from lightning_tune.schema import Label
from lightning_tune.serving.encoding import EncodingSettings, TextEncoder
from lightning_tune.tables import BadRow, BadRows, RowBatch


@dataclass
class ListSource:
    """Rows in memory, read two at a time; rows whose text is "BAD" cannot be used."""

    texts: list[str]
    labels: list[Label] | None = None
    pairs: list[str] | None = None
    weights: list[float] | None = None
    name: str = "rows"
    reads: list[int] = field(default_factory=list, repr=False)

    def digest(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def rows(self, on_bad_rows: BadRows, bad: list[BadRow] | None = None) -> Iterator[RowBatch]:
        self.reads.append(1)
        for start in range(0, len(self.texts), 2):
            kept = [at for at in range(start, min(start + 2, len(self.texts)))]
            failed = [at for at in kept if self.texts[at] == "BAD"]
            if bad is not None:
                bad.extend(BadRow("rows.csv", at + 2, "no text") for at in failed)
            if on_bad_rows == "skip":
                kept = [at for at in kept if at not in failed]
            keep = on_bad_rows == "keep"
            yield RowBatch(
                source="rows.csv",
                lines=[at + 2 for at in kept],
                texts=["" if at in failed else self.texts[at] for at in kept],
                pairs=self.pairs and [self.pairs[at] for at in kept],
                labels=self.labels and [self.labels[at] for at in kept],
                weights=self.weights and [self.weights[at] for at in kept],
                errors=["no text" if at in failed else None for at in kept] if keep else None,
            )


@pytest.fixture
def list_source() -> type[ListSource]:
    return ListSource


@pytest.fixture
def make_store(tiny_tokenizer, tmp_path: Path) -> Callable[..., TokenStore]:
    """Return a function that builds a store of texts; settings go to the encoder."""

    def make(
        texts: list[str],
        labels: list[Label] | None = None,
        *,
        pairs: list[str] | None = None,
        weights: list[float] | None = None,
        on_bad_rows: BadRows = "skip",
        settings: EncodingSettings = EncodingSettings(16),  # noqa: B008
        with_types: bool = True,
    ) -> TokenStore:
        return build_or_open(
            ListSource(texts, labels, pairs, weights),
            lambda: TextEncoder(tiny_tokenizer, settings, with_types=with_types),
            key_parts={"settings": repr(settings)},
            folder=tmp_path / "tokens",
            on_bad_rows=on_bad_rows,
        )

    return make
