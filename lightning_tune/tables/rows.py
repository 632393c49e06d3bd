"""Rows as the rest of the package wants them: checked texts, labels and weights, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from lightning_tune.errors import ConfigError, DataError, nearest
from lightning_tune.schema import Label
from lightning_tune.tables.delimited import DelimitedTable
from lightning_tune.tables.formats import (
    Fields,
    TableFormat,
    delimiter_hint,
    delimiter_of,
    is_quoted,
    kind_of,
)
from lightning_tune.tables.jsonl import JsonLinesTable
from lightning_tune.tables.parquet import ParquetTable
from lightning_tune.tables.records import MISSING, Records, Table, shorten
from lightning_tune.tables.values import LabelColumn, to_texts, to_weights
from lightning_tune.tables.writers import cell

BadRows = Literal["refuse", "skip", "keep"]
"""What to do with a row that cannot be used: stop, leave it out, or keep it with its reason."""

BATCH_ROWS = 4096
T = TypeVar("T")


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used, and why."""

    source: str
    line: int
    reason: str


@dataclass
class RowBatch:
    """Up to 4096 rows of one file.

    Args:
        source: The file.
        lines: The line on which each record starts, from 1; the row for Parquet and hub data.
        texts: The texts, never blank; "" where `errors` has a reason.
        pairs: The second texts; None without such a column.
        labels: The labels; None without such a column. "" where one is missing and may be.
        weights: The sample weights, at least 0; None without such a column.
        errors: Why a row cannot be used; only where bad rows are kept.
        carried: The columns that are carried along, as texts; None where a value is missing.
    """

    source: str
    lines: list[int]
    texts: list[str]
    pairs: list[str] | None
    labels: list[Label] | None
    weights: list[float] | None
    errors: list[str | None] | None
    carried: dict[str, list[str | None]] = field(default_factory=dict)


def read_header(
    source: str, format: TableFormat, columns: Sequence[str] | None = None
) -> list[str]:
    """Return the names of a file's columns: its header line, the keys of its objects, or `columns`.

    Raises:
        DataError: if the file is missing, empty or unreadable.
        ConfigError: if a setting of the format is wrong.
    """
    return open_table(source, format, columns).names


def read_rows(
    source: str,
    fields: Fields,
    *,
    format: TableFormat,
    on_bad_rows: BadRows = "refuse",
    bad: list[BadRow] | None = None,
    label_required: bool = True,
    carry: Sequence[str] = (),
) -> Iterator[RowBatch]:
    """Read one file in batches, in constant memory.

    Args:
        source: A path or an fsspec URL.
        fields: Which columns mean what.
        format: How the file is written.
        on_bad_rows: What to do with a row that cannot be used. Rows that are kept have the text "".
        bad: Collects the rows that were skipped or kept.
        label_required: Whether the columns of label and weight must be there, filled in every row.
        carry: Columns that are carried along as they are.

    Raises:
        DataError: if the file cannot be read, lacks a column or has no usable row; on the first bad
            row where these are refused.
        ConfigError: if a setting of the format is wrong.
    """
    table = open_table(source, format, fields.columns)
    yield from read_table(
        source,
        table,
        fields,
        on_bad_rows=on_bad_rows,
        bad=bad,
        label_required=label_required,
        carry=carry,
    )


def read_table(
    source: str,
    table: Table,
    fields: Fields,
    *,
    on_bad_rows: BadRows = "refuse",
    bad: list[BadRow] | None = None,
    label_required: bool = True,
    carry: Sequence[str] = (),
) -> Iterator[RowBatch]:
    """Read the rows of an open table, as `read_rows` does; `source` is its name in messages."""
    fields = _present(source, fields, table, label_required)
    for name in carry:
        _check_column(source, "keep", name, table.names)
    labels = LabelColumn(
        str(fields.label), required=label_required, may_be_empty=fields.label_may_be_empty
    )
    rows = usable = 0
    first: BadRow | None = None
    for records in table.records(list(dict.fromkeys([*_wanted(fields), *carry]))):
        batch = _convert(source, fields, records, labels)
        batch.carried = {name: _carried(records, name) for name in carry}
        found = _bad_rows(batch)
        if found and on_bad_rows == "refuse":
            raise refused(found[0])
        if bad is not None:
            bad.extend(found)
        first = first or next(iter(found), None)
        rows += len(batch.lines)
        usable += len(batch.lines) - len(found)
        yield from _slices(batch, on_bad_rows)
    if not rows:
        raise DataError(f"{source} has no rows; a data file needs at least one.")
    if not usable and on_bad_rows == "skip" and first is not None:
        raise DataError(
            f"{source}: none of its {rows} rows can be used; line {first.line}: {first.reason}; "
            "correct the file, or its data.format."
        )


def _bad_rows(batch: RowBatch) -> list[BadRow]:
    if batch.errors is None:
        return []
    return [
        BadRow(batch.source, line, reason)
        for line, reason in zip(batch.lines, batch.errors, strict=True)
        if reason is not None
    ]


def refused(row: BadRow) -> DataError:
    """Return the error for a bad row where these are refused."""
    return DataError(
        f"{row.source}:{row.line}: {row.reason}; correct the row, or set data.on_bad_rows to skip."
    )


def open_table(source: str, format: TableFormat, columns: Sequence[str] | None) -> Table:
    """Open a file for reading its columns.

    Raises:
        DataError: if the file is missing, empty or unreadable.
        ConfigError: if a setting of the format is wrong.
    """
    kind = kind_of(source, format)
    if kind in ("csv", "tsv"):
        return DelimitedTable(
            source,
            delimiter=delimiter_of(kind, format),
            quoted=is_quoted(kind, format),
            encoding=format.encoding,
            columns=columns,
        )
    if columns is not None:
        raise ConfigError(
            f"data.columns={list(columns)} is for csv and tsv files without a header line; "
            f"{source} is {kind}, which names its own columns: drop data.columns."
        )
    return (
        JsonLinesTable(source, encoding=format.encoding)
        if kind == "jsonl"
        else ParquetTable(source)
    )


def _present(source: str, fields: Fields, table: Table, label_required: bool) -> Fields:
    """Check that the columns are there; drop those of label and weight where they may be absent."""
    if not label_required:
        fields = replace(
            fields,
            label=fields.label if fields.label in table.names else None,
            weight=fields.weight if fields.weight in table.names else None,
        )
    for setting in ("text", "text_pair", "label", "weight"):
        name = getattr(fields, setting)
        if name is not None:
            _check_column(source, setting, name, table.names)
    return fields


def _check_column(source: str, setting: str, name: str, names: Sequence[str]) -> None:
    if names.count(name) != 1:
        raise _wrong_column(source, setting, name, names)


def _wrong_column(source: str, setting: str, name: str, names: Sequence[str]) -> DataError:
    if name in names:
        return DataError(
            f"{source}: the column {name!r} (data.{setting}) stands there twice; rename one."
        )
    shown = ", ".join(shorten(each) for each in names[:12])
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return DataError(
        f"{source} has no column {name!r} (data.{setting}); it has {shown}{more}."
        + (
            delimiter_hint(names)
            or nearest(name, names)
            or " Name one of them, or set data.columns where there is no header line."
        )
    )


def _wanted(fields: Fields) -> list[str]:
    names = (fields.text, fields.text_pair, fields.label, fields.weight)
    return list(dict.fromkeys(name for name in names if name is not None))


def _convert(source: str, fields: Fields, records: Records, label_column: LabelColumn) -> RowBatch:
    columns, faults = records.columns, dict(records.faults)
    texts = to_texts(columns[fields.text], fields.text, faults)
    pairs = labels = weights = None
    if fields.text_pair is not None:
        pairs = to_texts(columns[fields.text_pair], fields.text_pair, faults)
    if fields.label is not None:
        labels = label_column.read(columns[fields.label], records.lines, faults)
    if fields.weight is not None:
        weights = to_weights(
            columns[fields.weight], fields.weight, faults, required=label_column.required
        )
    for position in faults:
        texts[position] = ""
        if pairs is not None:
            pairs[position] = ""
    errors = [faults.get(position) for position in range(len(texts))] if faults else None
    return RowBatch(source, list(records.lines), texts, pairs, labels, weights, errors)


def _carried(records: Records, name: str) -> list[str | None]:
    """Return the values of a column as texts; None in rows that cannot be read."""
    return [
        None if at in records.faults or value is None or value is MISSING else cell(value)
        for at, value in enumerate(records.columns[name])
    ]


def _slices(batch: RowBatch, on_bad_rows: BadRows) -> Iterator[RowBatch]:
    """Cut a batch into pieces of at most BATCH_ROWS rows, bad rows left out where skipped."""
    if on_bad_rows == "skip" and batch.errors is not None:
        good = [position for position, error in enumerate(batch.errors) if error is None]
        batch = _select(batch, good)
    for start in range(0, len(batch.lines), BATCH_ROWS):
        piece = _select(batch, range(start, min(start + BATCH_ROWS, len(batch.lines))))
        if on_bad_rows != "keep":
            piece.errors = None
        elif piece.errors is None:
            piece.errors = [None] * len(piece.lines)
        yield piece


def _select(batch: RowBatch, positions: Sequence[int]) -> RowBatch:
    def pick(values: list[T] | None) -> list[T] | None:
        return None if values is None else [values[position] for position in positions]

    return RowBatch(
        batch.source,
        [batch.lines[position] for position in positions],
        [batch.texts[position] for position in positions],
        pick(batch.pairs),
        pick(batch.labels),
        pick(batch.weights),
        pick(batch.errors),
        {name: [values[at] for at in positions] for name, values in batch.carried.items()},
    )
