"""What the user names as input, opened: each a table, with a name for its rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lightning_tune.data.hub import HubSource
from lightning_tune.data.prepared import is_prepared
from lightning_tune.data.sources import FileSource, open_source
from lightning_tune.errors import ConfigError, without_password
from lightning_tune.prepare.collect.columns import Columns, present
from lightning_tune.prepare.collect.database import is_database, open_query
from lightning_tune.prepare.collect.folder import TextFolder
from lightning_tune.prepare.rows import AUGMENTED
from lightning_tune.schema import Split
from lightning_tune.tables import Fields, TableFormat, digest, open_table
from lightning_tune.tables.records import Table

OPTIONAL = ("weight", "group", "time", "annotators")
"""Columns that the user's own validation and test files may lack."""


@dataclass(frozen=True)
class Input:
    """One input of several, with what differs from the command's own settings.

    Args:
        path: A file, a glob, a folder of text files by class, an fsspec URL, a database's URL,
            builtin:NAME, hub:NAME[:CONFIG], or a folder that prepare wrote.
        query: What to ask a database: a SELECT.
        text: Column of the text.
        text_pair: Column of the second text.
        label: Column of the label.
        weight: Column of the sample weight.
        group: Column of what rows belong to.
        time: Column of when a row came to be.
        columns: Names of the columns, where a csv or tsv file has no header line.
        format: How its files are written.
    """

    path: str
    query: str | None = None
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    columns: tuple[str, ...] | None = None
    format: TableFormat | None = None


@dataclass(frozen=True)
class Reading:
    """How inputs are read.

    Args:
        columns: Which columns mean what.
        names: Names of the columns, where a csv or tsv file has no header line.
        format: How files are written.
        label_separator: What stands between the names in one string of a multi-label row.
        on_bad_rows: Whether a row that cannot be read stops the command or is dropped.
    """

    columns: Columns = Columns()  # noqa: RUF009  # frozen
    names: tuple[str, ...] | None = None
    format: TableFormat = TableFormat()  # noqa: RUF009  # frozen
    label_separator: str | None = None
    on_bad_rows: Literal["refuse", "skip"] = "refuse"


@dataclass(frozen=True)
class Opened:
    """A table to read.

    Args:
        name: What its rows have as source: a file, or the input where that is no file.
        input: The input it belongs to, as the user wrote it, without a password.
        split: Which split it is for; rows of "train" are divided later.
        table: The table.
        columns: Which of its columns mean what.
        file: Its file, where it is one.
        copies: Column that is null in rows that were read and names an edit in copies of them,
            where a prepared folder has one; copies are left out, as they could come to stand on
            another side of the split than their rows.
    """

    name: str
    input: str
    split: Split
    table: Table = field(repr=False)
    columns: Columns
    file: str | None = None
    copies: str | None = None

    def digest(self) -> str | None:
        """Return the sha256 of its file, where it is one."""
        return None if self.file is None else digest(self.file)


def open_inputs(inputs: Sequence[Input], reading: Reading, split: Split) -> list[Opened]:
    """Open the inputs of a split; nothing but names of columns is read yet.

    Raises:
        DataError: if one means no data, or lacks a column.
        ConfigError: if one is named twice, or needs a setting or a package that is missing.
    """
    opened = [one for each in inputs for one in _open(each, reading, split)]
    seen: set[str] = set()
    for one in opened:
        if one.name in seen:
            raise ConfigError(f"input={one.name!r} is named twice; name it once.")
        seen.add(one.name)
    return opened


def _open(wanted: Input, reading: Reading, split: Split) -> Iterator[Opened]:
    columns = _overridden(reading.columns, wanted)
    format = wanted.format or reading.format
    optional: Collection[str] = () if split == "train" else OPTIONAL
    if wanted.query is not None or is_database(wanted.path):
        if wanted.query is None:
            raise ConfigError(
                f"input={without_password(wanted.path)!r} is a database; give --query 'SELECT …'."
            )
        if not is_database(wanted.path):
            raise ConfigError(f"input={wanted.path!r} is no database; leave out --query.")
        table: Table = open_query(wanted.path, wanted.query)
        yield _opened(wanted, split, table, columns, optional)
    elif "://" not in wanted.path and Path(wanted.path).is_dir() and not is_prepared(wanted.path):
        folder = TextFolder(wanted.path, encoding=format.encoding)
        yield _opened(wanted, split, folder, columns, optional)
    else:
        yield from _open_source(wanted, reading, columns, format, split, optional)


def _open_source(
    wanted: Input,
    reading: Reading,
    columns: Columns,
    format: TableFormat,
    split: Split,
    optional: Collection[str],
) -> Iterator[Opened]:
    names = wanted.columns or reading.names
    fields = Fields(columns.text, columns.text_pair, columns.label, columns.weight, names)
    source = open_source(wanted.path, split, fields, format)
    if isinstance(source, HubSource):
        yield _opened(wanted, split, source.table(), columns, optional)
    elif isinstance(source, FileSource):
        stated = source.fields  # those of a prepared folder fill what the user left out
        columns = replace(
            columns,
            text=stated.text,
            text_pair=stated.text_pair,
            label=stated.label,
            weight=stated.weight,
        )
        for file in source.files:
            table = open_table(file, source.format, stated.columns)
            several = len(source.files) > 1
            yield _opened(wanted, split, table, columns, optional, file=file, several=several)


def _opened(
    wanted: Input,
    split: Split,
    table: Table,
    columns: Columns,
    optional: Collection[str],
    *,
    file: str | None = None,
    several: bool = False,
) -> Opened:
    shown = without_password(wanted.path)
    name = without_password(file) if several and file is not None else shown
    if _has_splits(wanted.path) and split != "train":
        name = f"{name} ({split})"
    columns = present(columns, table.names, name, optional=optional)
    copies = AUGMENTED if is_prepared(wanted.path) and AUGMENTED in table.names else None
    return Opened(name, shown, split, table, columns, file, copies)


def _has_splits(path: str) -> bool:
    return path.startswith(("builtin:", "hub:")) or is_prepared(path)


def _overridden(columns: Columns, wanted: Input) -> Columns:
    """Return the columns of an input: its own where it names them."""
    return replace(
        columns,
        text=wanted.text or columns.text,
        text_pair=wanted.text_pair or columns.text_pair,
        label=wanted.label or columns.label,
        weight=wanted.weight or columns.weight,
        group=wanted.group or columns.group,
        time=wanted.time or columns.time,
    )
