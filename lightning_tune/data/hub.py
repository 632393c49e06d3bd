"""Data sets of the Hugging Face hub, by name, through the `datasets` library (extra `hub`)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.schema import Split
from lightning_tune.tables import BadRow, BadRows, Fields, RowBatch
from lightning_tune.tables.records import Records, Table
from lightning_tune.tables.rows import BATCH_ROWS, read_table

_NAMES: Mapping[Split, Sequence[str]] = {
    "train": ("train",),
    "val": ("validation", "val", "dev", "valid"),
    "test": ("test",),
    "predict": ("test",),
}
"""What the hub's data sets call a split, the most usual name first."""


def hub_splits(name: str, rest: str) -> list[Split]:
    """Return the splits that a hub data set has, in this package's words."""
    there = _load(name, rest)
    return [split for split, names in _NAMES.items() if any(each in there for each in names)]


@dataclass
class HubSource:
    """One split of a hub data set, memory-mapped from the library's local cache.

    Args:
        name: As the user wrote it.
        rest: NAME or NAME:CONFIG.
        split: Which split.
        fields: Which columns mean what. Labels that the data set numbers are read as their names.
        label_required: Whether each row needs a label.
    """

    name: str
    rest: str
    split: Split
    fields: Fields
    label_required: bool

    def digest(self) -> str:
        """Return a sha256 of the content and of what the columns mean."""
        hashed = hashlib.sha256(repr(self.fields).encode())
        for table in self._dataset().with_format("arrow").iter(batch_size=BATCH_ROWS):
            hashed.update(",".join(table.column_names).encode())
            for batch in table.combine_chunks().to_batches():
                hashed.update(batch.serialize())
        return hashed.hexdigest()

    def rows(self, on_bad_rows: BadRows, bad: list[BadRow] | None = None) -> Iterator[RowBatch]:
        """Read the rows in batches."""
        yield from read_table(
            self.name,
            self.table(),
            self.fields,
            on_bad_rows=on_bad_rows,
            bad=bad,
            label_required=self.label_required,
        )

    def table(self) -> Table:
        """Return the split as a table with named labels; a record's line is its row, from 1."""
        return _HubTable(self._dataset())

    def _dataset(self) -> Any:
        splits = _load(self.name, self.rest)
        for each in _NAMES[self.split]:
            if each in splits:
                return splits[each]
        raise DataError(f"{self.name} has no {self.split} split; it has {', '.join(splits)}.")


def _load(name: str, rest: str) -> Any:
    try:
        import datasets
    except ImportError as err:
        raise ConfigError(
            f"{name} needs the datasets library; pip install 'lightning-tune[hub]'."
        ) from err
    path, _, config = rest.partition(":")
    try:
        return datasets.load_dataset(path, config or None)
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as err:
        reason = str(err).splitlines()[0].rstrip(".") if str(err) else type(err).__name__
        raise DataError(
            f"{name} cannot be loaded: {reason}; check the name and the network."
        ) from err


class _HubTable:
    """A loaded split as a table; a record's line is its row, from 1."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.names: list[str] = list(dataset.column_names)

    def records(self, wanted: Sequence[str]) -> Iterator[Records]:
        row = 1
        namers = {name: _namer(self.dataset.features[name]) for name in wanted}
        chosen = self.dataset.select_columns(list(wanted)).with_format("arrow")
        for table in chosen.iter(batch_size=BATCH_ROWS):
            columns = {
                name: [namers[name](value) for value in table.column(name).to_pylist()]
                for name in wanted
            }
            yield Records(range(row, row + table.num_rows), columns)
            row += table.num_rows


def _namer(feature: Any) -> Any:
    """Return what turns a stored value into one with class names; -1 is the hub's "no label"."""
    import datasets

    inner = getattr(feature, "feature", None)
    if inner is not None and isinstance(inner, datasets.ClassLabel):
        return lambda values: None if values is None else [inner.names[value] for value in values]
    if isinstance(feature, datasets.ClassLabel):
        return lambda value: None if value is None or value < 0 else feature.names[value]
    return lambda value: value
