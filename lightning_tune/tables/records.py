"""What every format reader hands on: records with their lines, values by column, and faults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class Missing:
    """The value of a column that a record does not have."""


MISSING = Missing()


@dataclass
class Records:
    """Some records of one file.

    Args:
        lines: The line on which each record starts, from 1 (the row, where a format has no lines).
        columns: The values of each wanted column.
        faults: Why a record cannot be read, by its position in `lines`; its values mean nothing.
    """

    lines: Sequence[int]
    columns: dict[str, list[Any]]
    faults: dict[int, str] = field(default_factory=dict)


class Table(Protocol):
    """An open table: the names of its columns, and its records."""

    names: list[str]

    def records(self, wanted: Sequence[str]) -> Iterator[Records]:
        """Read the wanted columns from the start; may be called again."""
        ...


def shorten(value: object, limit: int = 40) -> str:
    """Return the repr of a value, cut to a length that fits into a message.

    >>> shorten("a" * 50, limit=8)
    "'aaaaa..."
    """
    text = repr(value[: limit + 2]) if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else f"{text[: limit - 2]}..."
