"""From the values of a column to what the stage's table holds; what does not fit is a fault.

Unlike what `fit` reads, a text or a label may be missing here: cleaning drops and counts such rows.
A fault never shows a value, which may be what has to be redacted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from lightning_tune.data.labels import split_label
from lightning_tune.schema import Label
from lightning_tune.serving.normalisation import normalise
from lightning_tune.tables.records import Missing
from lightning_tune.tables.values import Faults, type_name

_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|['"].*\.\.\.""")
_JSON_VALUE = re.compile(r"(no JSON object) but .*")
_WHOLE = re.compile(r"[+-]?\d{1,18}")


def without_values(reason: str) -> str:
    """Return why a row cannot be read, without the parts of it that the reason quotes.

    >>> without_values("3 fields, the last 'ann@x.org', where the header names 2")
    '3 fields, the last …, where the header names 2'
    >>> without_values("no JSON object but 4711")
    'no JSON object'
    """
    told = _QUOTED.sub("…", _JSON_VALUE.sub(r"\1", reason))
    return told.replace("data.columns", "--columns").replace("data.format", "--format")


def to_texts(values: Sequence[Any], name: str, faults: Faults) -> pa.Array:
    """Return a column of texts; null where one is missing."""
    texts: list[str | None] = []
    for position, value in enumerate(values):
        if type(value) is str:
            texts.append(value)
            continue
        texts.append(None)
        if not is_missing(value):
            faults.setdefault(position, f"the {name} is {type_name(value)}, not a string")
    return as_strings(texts)


def as_strings(texts: Sequence[str | None]) -> pa.Array:
    """Return an Arrow column; lone surrogates, which UTF-8 cannot hold, become U+FFFD."""
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([None if one is None else normalise(one) for one in texts], pa.string())


def is_missing(value: Any) -> bool:
    """Whether there is no value: null, or no such key."""
    return value is None or isinstance(value, Missing)


def to_labels(labels: Sequence[Label], values: Sequence[Any], separator: str | None) -> pa.Array:
    """Return a column of labels: strings, lists of strings or numbers; null where one is missing.

    Args:
        labels: What `LabelColumn` made of the values: "" where there is none.
        values: The values; with a separator an empty string says that no label holds.
        separator: What stands between the names in one string.
    """
    found: list[Any] = []
    for label, value in zip(labels, values, strict=True):
        if label == "" and (separator is None or not isinstance(value, str)):
            found.append(None)
        else:
            found.append(split_label(label, separator))
    kinds = {type(one) for one in found} - {type(None)}
    if kinds == {tuple}:
        return pa.array([_unique(one) for one in found], pa.list_(pa.string()))
    if kinds == {float}:
        return pa.array(found, pa.float64())
    return as_strings(found) if kinds else pa.nulls(len(found))


def _unique(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(dict.fromkeys(map(normalise, names)))


def to_groups(values: Sequence[Any], name: str, faults: Faults) -> pa.Array:
    """Return a column of groups as texts; null where one is missing, as NaN is among numbers."""
    groups: list[str | None] = []
    for position, value in enumerate(values):
        if is_missing(value) or value == "" or value != value:
            groups.append(None)
        elif isinstance(value, list | dict | bytes):
            groups.append(None)
            faults.setdefault(position, f"the {name} is {type_name(value)}, not a name or a number")
        else:
            groups.append(str(value))
    return as_strings(groups)


class TimeColumn:
    """The times of one input, all whole numbers or all dates.

    Args:
        name: The column.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._first_kind: type | None = None
        self._first_line = 0

    def read(self, values: Sequence[Any], lines: Sequence[int], faults: Faults) -> pa.Array:
        """Return a column of int64, or of timestamps in UTC; null where one is missing."""
        times: list[int | datetime | None] = []
        for position, value in enumerate(values):
            time = None
            try:
                time = self._checked(value, lines[position])
            except ValueError as err:
                faults.setdefault(position, str(err))
            times.append(time)
        if self._first_kind is None:
            return pa.nulls(len(times))
        kind = pa.int64() if self._first_kind is int else pa.timestamp("us", tz="UTC")
        return pa.array(times, kind)

    def _checked(self, value: Any, line: int) -> int | datetime | None:
        if is_missing(value) or value == "":
            return None
        time = parse_time(value, self.name)
        if self._first_kind is None:
            self._first_kind, self._first_line = type(time), line
        elif type(time) is not self._first_kind:
            raise ValueError(
                f"the {self.name} is {_kind(type(time))}, the one of line {self._first_line} is "
                f"{_kind(self._first_kind)}"
            )
        return time


def _kind(kind: type) -> str:
    return "a number" if kind is int else "a date"


def parse_time(value: Any, name: str) -> int | datetime:
    """Return a time as a whole number, or a date in UTC.

    Raises:
        ValueError: if it is neither, or too far away to be counted with.
    """
    whole = _whole(value)
    if whole is not None:
        if not -(2**63) <= whole < 2**63:
            raise ValueError(f"the {name} is a whole number beyond 64 bits")
        return whole
    found: datetime | None = None
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            found = None
    elif isinstance(value, datetime):
        found = value
    elif isinstance(value, date):
        found = datetime(value.year, value.month, value.day)
    if found is None:
        raise ValueError(f"the {name} is neither a whole number nor a date in ISO 8601")
    try:
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"the {name} is outside the years 1 to 9999 in UTC") from None


def _whole(value: Any) -> int | None:
    """Return the whole number that a value is or spells, or None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    return None
