"""A pool of texts: the unlabelled rows of files, each known by its place and its content."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from lightning_tune.errors import DataError
from lightning_tune.prepare.keys import content_key
from lightning_tune.prepare.labelling.batch import Given
from lightning_tune.prepare.sheets import RowName
from lightning_tune.schema import Label
from lightning_tune.tables import RowBatch

POOL = "pool"


@dataclass(frozen=True)
class Pool:
    """Texts in the order of their files.

    Args:
        texts: The texts.
        pairs: The second texts; None of single texts.
        rows: The name of each.
    """

    texts: list[str]
    pairs: list[str] | None
    rows: list[RowName]

    def __len__(self) -> int:
        return len(self.texts)

    def pair(self, at: int) -> str | None:
        """Return the second text of a row."""
        return None if self.pairs is None else self.pairs[at]

    def joined(self) -> list[str]:
        """Return what a model of single texts reads: the text, of a pair both, one a line."""
        if self.pairs is None:
            return self.texts
        return [f"{text}\n{pair}" for text, pair in zip(self.texts, self.pairs, strict=True)]

    def without(self, known: Collection[str]) -> Pool:
        """Return the rows whose content is not among those keys, and the first alone of equals."""
        seen = set(known)
        kept = []
        for at, row in enumerate(self.rows):
            if row.key not in seen:
                seen.add(row.key)
                kept.append(at)
        return Pool(
            [self.texts[at] for at in kept],
            None if self.pairs is None else [self.pairs[at] for at in kept],
            [self.rows[at] for at in kept],
        )


def pool_of(batches: Iterable[RowBatch]) -> Pool:
    """Collect the rows of files; they are numbered through from 1."""
    texts: list[str] = []
    pairs: list[str] | None = None
    for batch in batches:
        texts += batch.texts
        if batch.pairs is not None:
            pairs = [*(pairs or []), *batch.pairs]
    seconds = pairs if pairs is not None else [None] * len(texts)
    rows = [
        RowName(POOL, number, content_key(text, pair))
        for number, (text, pair) in enumerate(zip(texts, seconds, strict=True), 1)
    ]
    return Pool(texts, pairs, rows)


def labelled_rows(pool: Pool, given: Iterable[Given]) -> Mapping[int, Label]:
    """Return the label of each row that has one, by its position in the pool.

    Raises:
        DataError: if a label is for a row that the pool does not have.
    """
    by_key = {row.key: at for at, row in reversed(list(enumerate(pool.rows)))}
    found: dict[int, Label] = {}
    for one in given:
        at = one.row.number - 1
        if at < len(pool.rows) and pool.rows[at].key == one.row.key:
            found[at] = one.label
        elif one.row.key in by_key:
            found[by_key[one.row.key]] = one.label
        else:
            raise DataError(
                f"{one.where}: {one.row} is no row of this pool; name the files that the batch was "
                "chosen from."
            )
    return dict(sorted(found.items()))
