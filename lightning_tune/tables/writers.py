"""How each format takes rows, some at a time: CSV, TSV, JSON Lines, Parquet."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np

from lightning_tune.errors import DataError

Values = Sequence[Any] | np.ndarray
Columns = Mapping[str, Values]
Kind = Literal["text", "whole", "number"]
"""What a column holds; each value may be None."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_SPECIAL = re.compile(r'[",\r\n]')
T = TypeVar("T")


class Writer(Protocol):
    """An open file that takes rows."""

    def append(self, columns: Columns) -> None:
        """Write some rows: columns of equal length, the same in every call."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class _Lines(ABC):
    """Writes a text file; subclasses say what a row looks like."""

    def __init__(self, path: Path, kinds: Mapping[str, Kind] | None) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = 0

    def append(self, columns: Columns) -> None:
        if not self._rows:
            self._file.write(self.header(columns))
        for row in _records(columns, self.convert):
            self._rows += 1
            self._file.write(self.line(columns, row))

    def close(self) -> None:
        self._file.close()

    @abstractmethod
    def header(self, columns: Columns) -> str: ...

    @abstractmethod
    def line(self, columns: Columns, row: list[Any]) -> str: ...

    def convert(self, value: Any) -> Any:
        return cell(value)


class _Csv(_Lines):
    def header(self, columns: Columns) -> str:
        return _csv_line(list(columns))

    def line(self, columns: Columns, row: list[Any]) -> str:
        return _csv_line(row)


class _Tsv(_Lines):
    def header(self, columns: Columns) -> str:
        return "\t".join(columns) + "\n"

    def line(self, columns: Columns, row: list[Any]) -> str:
        for name, value in zip(columns, row, strict=True):
            if "\t" in value or "\n" in value or "\r" in value:
                raise DataError(
                    f"{name!r} of row {self._rows} holds a tab or a line end, which a .tsv cannot "
                    "hold; write .csv, .jsonl or .parquet."
                )
        return "\t".join(row) + "\n"


class _JsonLines(_Lines):
    def header(self, columns: Columns) -> str:
        return ""

    def line(self, columns: Columns, row: list[Any]) -> str:
        return json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n"

    def convert(self, value: Any) -> Any:
        return clean(value)


class _Parquet:
    """Writes a row group a call, of the types that are stated or those of the first rows."""

    def __init__(self, path: Path, kinds: Mapping[str, Kind] | None) -> None:
        self._path = path
        self._kinds = kinds
        self._writer: Any = None

    def append(self, columns: Columns) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"text": pa.string(), "whole": pa.int64(), "number": pa.float64()}
        arrays = {}
        for name, values in columns.items():
            kind = None if self._kinds is None else types[self._kinds[name]]
            if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
                arrays[name] = pa.array(values if values.ndim == 1 else list(values), kind)
            else:
                arrays[name] = pa.array([clean(value) for value in _plain(values)], kind)
        table = pa.table(arrays)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


WRITERS: dict[str, Callable[[Path, Mapping[str, Kind] | None], Writer]] = {
    ".parquet": _Parquet,
    ".csv": _Csv,
    ".tsv": _Tsv,
    ".jsonl": _JsonLines,
}
"""What writes the files of each extension."""


def _csv_line(row: Sequence[str]) -> str:
    """Return a record of RFC 4180; the csv module leaves a lone carriage return unquoted."""
    if list(row) == [""]:
        return '""\n'
    cells = ('"' + one.replace('"', '""') + '"' if _SPECIAL.search(one) else one for one in row)
    return ",".join(cells) + "\n"


def _records(columns: Columns, convert: Callable[[Any], T]) -> Iterator[list[T]]:
    for row in zip(*(_plain(values) for values in columns.values()), strict=True):
        yield [convert(value) for value in row]


def _plain(values: Values) -> Iterable[Any]:
    if not isinstance(values, np.ndarray):
        return values
    if values.dtype == np.float32:  # the shortest text that reads back as the same float32
        values = values.astype(str).astype(float)
    plain: list[Any] = values.tolist()
    return plain


def clean(value: Any) -> Any:
    """Replace lone surrogates, which no UTF-8 file can hold, in a value and in its parts."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    return [clean(part) for part in value] if isinstance(value, list | tuple) else value


def cell(value: Any) -> str:
    """Return a value as a file of plain text holds it: None as "", lists as JSON.

    >>> cell(None), cell(1.5), cell(("a", "b"))
    ('', '1.5', '["a", "b"]')
    """
    if value is None:
        return ""
    value = clean(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
