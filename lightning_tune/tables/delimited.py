"""CSV and TSV: RFC 4180, strictly, where fields are quoted; plain splitting where they are not.

The csv module accepts quotes inside unquoted fields, forgets on which line a record starts once a
quote is left open, and limits a field to 128 KiB; so regular expressions do its work, as fast.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from lightning_tune.errors import DataError
from lightning_tune.tables.blocks import Block, read_blocks
from lightning_tune.tables.records import Records, shorten

RECORD_LIMIT = 1 << 24
"""Characters after which a quote that was opened and never closed counts as broken."""


@dataclass
class _Rows:
    """Consecutive records, split into fields; a fault stands at a position whose fields are []."""

    lines: Sequence[int]
    rows: list[list[str]]
    faults: dict[int, str]


class DelimitedTable:
    """A CSV or TSV file.

    Args:
        source: A path or URL.
        delimiter: One character.
        quoted: Whether fields may be quoted.
        encoding: The text encoding.
        columns: Names of the columns, where there is no header line.
    """

    def __init__(
        self,
        source: str,
        *,
        delimiter: str,
        quoted: bool,
        encoding: str,
        columns: Sequence[str] | None,
    ) -> None:
        self.source = source
        self.delimiter = delimiter
        self.quoted = quoted
        self.encoding = encoding
        self.has_header = columns is None
        self.names = self._header() if columns is None else list(columns)

    def _header(self) -> list[str]:
        first = next(self._rows(), None)
        if first is None:
            raise DataError(f"{self.source} is empty; it needs a header line and rows.")
        if 0 in first.faults:
            raise DataError(
                f"{self.source}:1: {first.faults[0]}; the first line must name the columns."
            )
        return first.rows[0]

    def records(self, wanted: Sequence[str]) -> Iterator[Records]:
        """Read the wanted columns from the start."""
        indices = [(name, self.names.index(name)) for name in wanted]
        for number, chunk in enumerate(self._rows()):
            if number == 0 and self.has_header:
                chunk = _without_first(chunk)
            elif number == 0 and chunk.rows[0] == self.names:
                raise DataError(
                    f"{self.source}:1: the first line holds the names in data.columns; "
                    "drop data.columns, the file has a header line."
                )
            self._check_widths(chunk)
            yield Records(
                chunk.lines,
                {name: [row[i] for row in chunk.rows] for name, i in indices},
                chunk.faults,
            )

    def _check_widths(self, chunk: _Rows) -> None:
        width = len(self.names)
        if set(map(len, chunk.rows)) <= {width}:
            return
        for position, row in enumerate(chunk.rows):
            if len(row) != width:
                chunk.rows[position] = [""] * width
                chunk.faults.setdefault(position, self._width_fault(row, width))

    def _width_fault(self, row: list[str], width: int) -> str:
        if row == [""]:
            return "the line is blank"
        named = "the header names" if self.has_header else "data.columns names"
        fields = f"{len(row)} field" + ("s" if len(row) != 1 else "")
        last = f", the last {shorten(row[-1])}" if len(row) > width else ""
        return f"{fields}{last}, where {named} {width}"

    def _rows(self) -> Iterator[_Rows]:
        blocks = read_blocks(self.source, self.encoding)
        return (
            _split_quoted(blocks, self.delimiter)
            if self.quoted
            else _split_plain(blocks, self.delimiter)
        )


def _without_first(chunk: _Rows) -> _Rows:
    faults = {position - 1: reason for position, reason in chunk.faults.items()}
    return _Rows(chunk.lines[1:], chunk.rows[1:], faults)


def _split_plain(blocks: Iterator[Block], delimiter: str) -> Iterator[_Rows]:
    for block in blocks:
        rows = _split_lines(block.text, delimiter)
        faults = {line - block.line: reason for line, reason in block.faults.items()}
        yield _Rows(range(block.line, block.line + len(rows)), rows, faults)


def _split_lines(text: str, delimiter: str) -> list[list[str]]:
    lines = text.replace("\r\n", "\n")[:-1].split("\n")
    return [line.split(delimiter) for line in lines]


class _Grammar:
    """RFC 4180 with one delimiter, as regular expressions that never backtrack."""

    def __init__(self, delimiter: str) -> None:
        mark = re.escape(delimiter)
        plain = rf'[^"{mark}\r\n]*+'
        inside = r'(?:[^"]++|"")*+'
        any_field = rf'(?:"{inside}"|{plain})'
        self.delimiter = delimiter
        self.records = re.compile(rf"(?:{any_field}(?:{mark}{any_field})*+\r?\n)*+")
        self.field = re.compile(rf'(?:"({inside})"|({plain}))({mark}|\r?\n)')
        self.open_quote = re.compile(rf'(?:{any_field}{mark})*+"{inside}\Z')
        self.good_fields = re.compile(rf"(?:{any_field}{mark})*+")
        self.closed = re.compile(rf'"{inside}"')

    def split(self, text: str) -> list[list[str]]:
        """Split whole valid records into fields."""
        rows: list[list[str]] = []
        row: list[str] = []
        for quoted, plain, end in self.field.findall(text):
            row.append(quoted.replace('""', '"') if quoted else plain)
            if end != self.delimiter:
                rows.append(row)
                row = []
        return rows

    def fault(self, text: str, start: int) -> str:
        """Say why the record at `start` is not valid."""
        good = self.good_fields.match(text, start)
        assert good is not None  # it matches the empty string
        field = f"field {len(self.field.findall(good.group())) + 1}"
        at = good.end()
        if text[at] != '"':
            content = text[at : text.index("\n", at)]
            if '"' not in content.split(self.delimiter)[0]:
                return f"{field} holds a carriage return outside quotes"
            return f"broken quotes: {field} {shorten(content)} holds a quote and is not quoted"
        closed = self.closed.match(text, at)
        if closed is None:
            return f"broken quotes: the quote that opens {field} is never closed"
        rest = text[closed.end() : text.index("\n", closed.end())]
        return f"broken quotes: {shorten(rest)} follows the closing quote of {field}"


def _split_quoted(blocks: Iterator[Block], delimiter: str) -> Iterator[_Rows]:
    grammar = _Grammar(delimiter)
    held, line = "", 1
    faults: dict[int, str] = {}
    for block in blocks:
        faults.update(block.faults)
        if not held and '"' not in block.text and "\r" not in block.text.replace("\r\n", ""):
            rows = _split_lines(block.text, delimiter)
            yield _marked(range(line, line + len(rows)), rows, faults)
            line += len(rows)
        else:
            held, line = yield from _split_records(
                grammar, held + block.text, line, faults, last=False
            )
        faults = {number: reason for number, reason in faults.items() if number >= line}
    if held:
        yield from _split_records(grammar, held, line, faults, last=True)


def _split_records(
    grammar: _Grammar, text: str, line: int, faults: dict[int, str], *, last: bool
) -> Generator[_Rows, None, tuple[str, int]]:
    """Yield the records of `text`; return what is left, inside an open quote, and its line."""
    at = 0
    while at < len(text):
        whole = grammar.records.match(text, at)
        assert whole is not None  # it matches the empty string
        if whole.end() > at:
            rows = grammar.split(whole.group())
            lines = _starts(rows, line, text.count("\n", at, whole.end()))
            yield _marked(lines, rows, faults)
            line += text.count("\n", at, whole.end())
            at = whole.end()
            continue
        may_close = not last and len(text) - at < RECORD_LIMIT
        if may_close and grammar.open_quote.match(text, at):
            break
        yield _Rows([line], [[]], {0: faults.get(line, grammar.fault(text, at))})
        at = text.index("\n", at) + 1
        line += 1
    return text[at:], line


def _starts(rows: list[list[str]], line: int, lines: int) -> Sequence[int]:
    if len(rows) == lines:
        return range(line, line + lines)
    starts = []
    for row in rows:
        starts.append(line)
        line += 1 + sum(field.count("\n") for field in row)
    return starts


def _marked(lines: Sequence[int], rows: list[list[str]], faults: dict[int, str]) -> _Rows:
    """Put the faults of lines to the records that these lines belong to."""
    marked: dict[int, str] = {}
    if faults:
        for position, start in enumerate(lines):
            end = (
                lines[position + 1]
                if position + 1 < len(lines)
                else start + 1 + sum(field.count("\n") for field in rows[position])
            )
            reason = next(
                (faults[number] for number in range(start, end) if number in faults), None
            )
            if reason is not None:
                marked[position] = reason
    return _Rows(lines, rows, marked)
