"""How a table file is written, and which of its columns mean what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, get_args

from lightning_tune.errors import ConfigError, DataError, nearest

FormatName = Literal["auto", "csv", "tsv", "jsonl", "parquet"]
"""The kinds of files; "auto" goes by the extension."""

EXTENSIONS: dict[str, FormatName] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


_A_NAME = re.compile(r"(?!.*\d{4})[\w #./:-]{1,32}")


@dataclass(frozen=True)
class TableFormat:
    """How a file is written (`data.format`).

    Args:
        kind: The format; "auto" takes it from the extension (.csv .tsv .jsonl .ndjson .parquet, the
            first four also as .gz). Any other extension needs it stated.
        delimiter: One character between fields; null: a comma for csv, a tab for tsv.
        quoting: Whether fields may be quoted as in RFC 4180, strictly; null: csv yes, tsv no.
        encoding: The text encoding; "utf-8" drops a byte order mark.
    """

    kind: FormatName = "auto"
    delimiter: str | None = None
    quoting: bool | None = None
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Fields:
    """Which columns mean what.

    Args:
        text: Column of the text.
        text_pair: Column of the second text; null for single texts.
        label: Column of the label; null where there is none.
        weight: Column of the sample weight, a number of at least 0; null: every row weighs 1.
        columns: Names of the columns, where a csv or tsv file has no header line.
        label_may_be_empty: Whether an empty label is an answer: in multi-label data it says that no
            label holds. A list in JSON Lines or Parquet may always be empty.
    """

    text: str = "text"
    text_pair: str | None = None
    label: str | None = "label"
    weight: str | None = None
    columns: tuple[str, ...] | None = None
    label_may_be_empty: bool = False


def kind_of(source: str, format: TableFormat) -> FormatName:
    """Return the format of a file, from its extension where the format is "auto".

    >>> kind_of("train.tsv.gz", TableFormat())
    'tsv'

    Raises:
        ConfigError: if the stated kind is none of the known ones.
        DataError: if the extension tells no format.
    """
    kinds = get_args(FormatName)
    if format.kind not in kinds:
        raise ConfigError(
            f"data.format.kind={format.kind!r} is not a format; use one of {', '.join(kinds)}."
            + nearest(str(format.kind), kinds)
        )
    if format.kind != "auto":
        return format.kind
    name = PurePosixPath(source.lower().removesuffix(".gz"))
    if name.suffix in EXTENSIONS:
        return EXTENSIONS[name.suffix]
    raise DataError(
        f"{source}: the extension {name.suffix!r} tells no format; set data.format.kind to csv, "
        f"tsv, jsonl or parquet.{nearest(name.suffix, EXTENSIONS)}"
    )


def delimiter_of(kind: FormatName, format: TableFormat) -> str:
    """Return the character between the fields of a csv or tsv file.

    Raises:
        ConfigError: if it is not one character, or one that has another meaning.
    """
    if format.delimiter is None:
        return "," if kind == "csv" else "\t"
    if len(format.delimiter) != 1 or format.delimiter in '"\r\n':
        raise ConfigError(
            f"data.format.delimiter={format.delimiter!r} must be one character, neither a quote "
            "nor a line end."
        )
    return format.delimiter


def is_plain(name: str) -> bool:
    """Whether a name may be shown: it is short, and looks like no text and no number of anybody.

    >>> is_plain("message #1"), is_plain("ann@example.org"), is_plain("555 0123 4567")
    (True, False, False)
    """
    return _A_NAME.fullmatch(name) is not None


def other_delimiter(names: Sequence[str]) -> str | None:
    """Return what a header line of one name shows to be the delimiter; None where it shows none.

    >>> other_delimiter(["id;text"]), other_delimiter(["text"]), other_delimiter(["a;b", "c"])
    (';', None, None)
    """
    if len(names) != 1:
        return None
    mark = next((mark for mark in ";\t|," if mark in names[0]), None)
    named = mark is not None and all(is_plain(part.strip('"')) for part in names[0].split(mark))
    return mark if named else None


def delimiter_hint(names: Sequence[str]) -> str:
    """Return what to do where all names of a header line were read as one; empty where not.

    >>> delimiter_hint(["id;text"])
    " If its fields are separated by ';', set data.format.delimiter to that."
    """
    mark = other_delimiter(names)
    if mark is None:
        return ""
    return f" If its fields are separated by {mark!r}, set data.format.delimiter to that."


def is_quoted(kind: FormatName, format: TableFormat) -> bool:
    """Return whether fields of a csv or tsv file may be quoted."""
    return kind == "csv" if format.quoting is None else format.quoting
