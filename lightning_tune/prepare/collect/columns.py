"""Which columns of an input mean what, and the check that they are there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from lightning_tune.errors import DataError, nearest
from lightning_tune.tables import delimiter_hint, is_plain


@dataclass(frozen=True)
class Columns:
    """Which columns mean what.

    Args:
        text: Column of the text.
        text_pair: Column of the second text; null for single texts.
        label: Column of the label; null where there is none.
        weight: Column of the sample weight, a number of at least 0.
        group: Column of what rows belong to, such as a customer or a document.
        time: Column of when a row came to be: a whole number, or a date in ISO 8601.
        annotators: Columns of the labels that single people gave; how far they agree is reported.
    """

    text: str = "text"
    text_pair: str | None = None
    label: str | None = "label"
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    annotators: tuple[str, ...] = ()

    def named(self) -> Iterator[tuple[str, str]]:
        """Yield setting and column of those that are wanted."""
        for each in fields(self):
            column = getattr(self, each.name)
            if isinstance(column, tuple):
                yield from ((each.name, name) for name in column)
            elif column is not None:
                yield each.name, column

    def wanted(self) -> list[str]:
        """Return the names of the columns to read, each once."""
        return list(dict.fromkeys(column for _, column in self.named()))


def present(
    columns: Columns, names: Sequence[str], source: str, *, optional: Collection[str] = ()
) -> Columns:
    """Check that an input has the columns; those that may be absent, and are, are dropped.

    Args:
        columns: What is wanted.
        names: The columns that the input has.
        source: Its name, for messages.
        optional: Settings whose column may be absent.

    Raises:
        DataError: naming the column that is missing or stands there twice, and the nearest.
    """
    for setting, column in columns.named():
        if setting in optional and column not in names:
            left = tuple(name for name in columns.annotators if name != column)
            absent: dict[str, Any] = {setting: left if setting == "annotators" else None}
            columns = replace(columns, **absent)
        elif column not in names:
            raise _missing(source, setting, column, names)
        elif names.count(column) > 1:
            raise DataError(
                f"{source}: the column {column!r} (--{setting}) stands there twice; rename one."
            )
    return columns


def _missing(source: str, setting: str, column: str, names: Sequence[str]) -> DataError:
    """Return the error; a name that may be a text, of a file without header, is not shown."""
    shown = [repr(name) for name in names if is_plain(name)][:12]
    more = len(names) - len(shown)
    told = ", ".join(shown) + (f" and {more} more" if more and shown else "")
    unnamed = (
        "its header is one name" if len(names) == 1 else f"its {len(names)} columns have no names"
    )
    there = f"it has {told}" if told else unnamed
    fix = delimiter_hint(names) or nearest(column, [name for name in names if is_plain(name)])
    return DataError(
        f"{source} has no column {column!r} (--{setting}); {there}."
        + (fix or " Name one of them, or give --columns where there is no header line.")
    )
