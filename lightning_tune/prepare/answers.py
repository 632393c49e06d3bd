"""What people wrote into a file, counted before something else is written over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lightning_tune.data.labels import split_label
from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.keys import content_key
from lightning_tune.prepare.labelling.exchange import given_in
from lightning_tune.prepare.sheets import RowName, as_written, label_of, read_sheet
from lightning_tune.schema import Label
from lightning_tune.tables import Fields, TableFormat, open_table

Kind = Literal["batch", "review", "rows"]
"""A batch of `label`, a table of `review`, or labelled rows."""

Answer = tuple[str, frozenset[str]]
"""The key of a text, and the labels that stand there for it; none where its row shall go."""


@dataclass(frozen=True)
class Answers:
    """What people wrote into a file.

    Args:
        kind: What the file is; a file of another kind holds none.
        given: The answers.
    """

    kind: Kind
    given: tuple[Answer, ...]

    def without(self, kept: Mapping[str, frozenset[str]]) -> list[Answer]:
        """Return those that do not stand among labels that are kept, by the key of their text."""
        return [(key, names) for key, names in self.given if kept.get(key) != names]


def names_of(label: Label) -> frozenset[str]:
    """Return the names that a label holds.

    >>> sorted(names_of(("a", "b"))), sorted(names_of("a"))
    (['a', 'b'], ['a'])
    """
    return frozenset(label if isinstance(label, tuple) else (str(label).strip(),))


def answers_in(
    path: Path,
    format: TableFormat,
    *,
    fields: Fields = Fields(),  # noqa: B008  # frozen
    separator: str | None = None,
) -> Answers:
    """Read what people wrote into a file that is about to be written over.

    Args:
        path: The file; one that does not exist holds nothing.
        format: How a table may be written, where it is not as its extension says.
        fields: What the columns of labelled rows are called.
        separator: What stands between several labels in one string of these.

    Raises:
        ConfigError: if it cannot be read, so that nobody knows what is in it.
    """
    if not path.is_file() or not path.stat().st_size:
        return Answers("batch", ())
    try:
        if path.suffix.lower() == ".json":
            return Answers("batch", _labels(str(path), format))
        return _in_table(str(path), format, fields, separator)
    except DataError as err:
        raise ConfigError(
            f"output={str(path)!r} is there, and what may be written in it cannot be read: "
            f"{str(err).rstrip('.')}; name another output."
        ) from err


def _in_table(path: str, format: TableFormat, fields: Fields, separator: str | None) -> Answers:
    for one in dict.fromkeys((as_written(path, TableFormat()), as_written(path, format))):
        names = open_table(path, one, None).names
        if {"row", "reviewed"} <= set(names):
            return Answers("review", _verdicts(path, one))
        if {"row", "label"} <= set(names):
            return Answers("batch", _labels(path, one))
        if {fields.text, fields.label} <= set(names) and "weight" not in names:  # no weak labels
            return Answers("rows", _labelled(path, one, fields, separator))
    return Answers("batch", ())


def _verdicts(path: str, format: TableFormat) -> tuple[Answer, ...]:
    found = read_sheet(path, ["row", "reviewed"], optional=["drop"], format=format).columns
    ticks = found.get("drop", [None] * len(found["row"]))
    return tuple(
        (RowName.parse(name, path).key, _names(cell))
        for name, cell, tick in zip(found["row"], found["reviewed"], ticks, strict=True)
        if _names(cell) or str(tick or "").strip()
    )


def _labels(path: str, format: TableFormat) -> tuple[Answer, ...]:
    given = given_in(path, several=True, format=format)
    return tuple((one.row.key, names_of(one.label)) for one in given)


def _labelled(
    path: str, format: TableFormat, fields: Fields, separator: str | None
) -> tuple[Answer, ...]:
    second = [fields.text_pair] if fields.text_pair else []
    label = str(fields.label)
    found = read_sheet(path, [fields.text, label], optional=second, format=format).columns
    pairs = found.get(fields.text_pair or "", [None] * len(found[label]))
    return tuple(
        (content_key(str(text), pair), _names(cell, separator))
        for text, pair, cell in zip(found[fields.text], pairs, found[label], strict=True)
        if _names(cell)
    )


def _names(cell: Any, separator: str | None = None) -> frozenset[str]:
    if separator is not None:
        cell = split_label(cell, separator)
    label = label_of(cell, several=True)
    return frozenset() if label is None else names_of(label)
