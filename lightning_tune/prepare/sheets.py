"""Files that people fill in: rows that are found again, and cells that no spreadsheet runs.

A row is named `SPLIT:NUMBER:KEY`, by its place from 1 and the key of its content, so that a table
which was sorted, cut, or made for another folder is noticed. Of a text or a label that begins like
a formula the cell begins with an apostrophe, as spreadsheets would compute it:
https://owasp.org/www-community/attacks/CSV_Injection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_tune.errors import DataError, nearest
from lightning_tune.schema import Label
from lightning_tune.tables import TableFormat, open_table, other_delimiter, write_rows
from lightning_tune.tables.records import Missing, shorten

_ROW = re.compile(r"([a-z]+):([1-9]\d{0,14}):([0-9a-f]{16})")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NEVER = re.compile(r"(?!)")
_NUMBER = re.compile(r"-\d+(\.\d+)?", re.ASCII)  # a spreadsheet keeps such a label as it is
_INERT = {"text": _NEVER, "text_pair": _NEVER, "label": _NUMBER, "suggestion": _NUMBER}
_YES = frozenset({"1", "x", "y", "yes", "true"})
_NO = frozenset({"", "0", "n", "no", "false"})


@dataclass(frozen=True)
class RowName:
    """Which row a line of a sheet is about.

    Args:
        split: The split, or "pool".
        number: Its place there, from 1.
        key: The key of its content.
    """

    split: str
    number: int
    key: str

    def __str__(self) -> str:
        return f"{self.split}:{self.number}:{self.key}"

    @classmethod
    def parse(cls, text: object, where: str) -> RowName:
        """Read a name.

        Raises:
            DataError: if it is none.
        """
        match = _ROW.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise DataError(
                f"{where}: row={shorten(text)} does not name a row as SPLIT:NUMBER:KEY; leave that "
                "column as it was written."
            )
        return cls(match[1], int(match[2]), match[3])


@dataclass(frozen=True)
class Sheet:
    """The lines of a filled-in file.

    Args:
        source: The file.
        lines: The line on which each row stands.
        columns: The values of each wanted column that is there.
    """

    source: str
    lines: Sequence[int]
    columns: dict[str, list[Any]]

    def where(self, at: int) -> str:
        """Return file and line of a row, for messages."""
        return f"{self.source}:{self.lines[at]}"


def read_sheet(
    source: str, needed: Sequence[str], *, optional: Sequence[str] = (), format: TableFormat
) -> Sheet:
    """Read a filled-in file; its delimiter is the one that its header line shows.

    Raises:
        DataError: if it is damaged, or a column is missing.
        ConfigError: if the format is wrong.
    """
    table = open_table(source, as_written(source, format), None)
    for name in needed:
        if name not in table.names:
            there = ", ".join(map(shorten, table.names[:12]))
            raise DataError(
                f"{source} has no column {name!r}; it has {there}." + nearest(name, table.names)
            )
    wanted = [*needed, *(name for name in optional if name in table.names)]
    sheet = Sheet(source, [], {name: [] for name in wanted})
    lines: list[int] = []
    for records in table.records(wanted):
        if records.faults:
            at = min(records.faults)
            raise DataError(f"{source}:{records.lines[at]}: {records.faults[at]}.")
        lines += records.lines
        for name in wanted:
            sheet.columns[name] += [
                None if isinstance(value, Missing) else value for value in records.columns[name]
            ]
    return Sheet(source, lines, sheet.columns)


def as_written(source: str, format: TableFormat) -> TableFormat:
    """Return the format with the delimiter that the header line shows, if it is another.

    A spreadsheet saves with that of its country, whatever the files beside it have.

    Raises:
        DataError: if the file is missing, empty or unreadable.
        ConfigError: if the format is wrong.
    """
    mark = other_delimiter(open_table(source, format, None).names)
    return format if mark is None else replace(format, delimiter=mark)


def write_sheet(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write a file to fill in; only its owner may read it.

    Args:
        path: A .csv, .tsv, .jsonl or .parquet file. A .tsv has spaces where texts have tabs or
            line ends, as it cannot hold these.
        columns: The values by name.
    """
    if path.suffix in (".csv", ".tsv"):
        columns = {
            name: [_inert(value, path.suffix, keep=_INERT[name]) for value in values]
            if name in _INERT
            else values
            for name, values in columns.items()
        }
    write_rows(path, columns)


def _inert(value: Any, suffix: str, *, keep: re.Pattern[str]) -> Any:
    if not isinstance(value, str):
        return value
    if suffix == ".tsv":
        value = re.sub(r"[\t\r\n]+", " ", value)
    return f"'{value}" if _FORMULA.match(value) and not keep.fullmatch(value) else value


def label_of(value: Any, *, several: bool) -> Label | None:
    """Return the label that a cell holds, None if it is empty.

    Args:
        value: What was read.
        several: Whether the task is multi-label; labels then are a list, in text files as JSON. A
            cell that is no list is one label.

    >>> label_of('["joy", "fear"]', several=True), label_of(" joy ", several=True)
    (('fear', 'joy'), ('joy',))
    >>> label_of("", several=False), label_of("3", several=False), label_of("'=x", several=False)
    (None, '3', '=x')
    """
    if isinstance(value, str):
        value = value.strip()
        if value.startswith("'") and _FORMULA.match(value):  # as `write_sheet` wrote it
            value = value[1:]
        if several and value.startswith("["):
            value = _parsed(value)
    if value is None or value == "":
        return None
    if isinstance(value, list | tuple):
        return tuple(sorted({str(one).strip() for one in value}))
    return (str(value),) if several else str(value)


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def is_ticked(value: Any, where: str) -> bool:
    """Whether a cell says yes.

    Raises:
        DataError: if it says neither yes nor no.
    """
    said = "" if value is None else str(value).strip().casefold()
    if said not in _YES | _NO:
        raise DataError(
            f"{where}: drop={shorten(value)} is neither yes nor no; write x, or nothing."
        )
    return said in _YES
