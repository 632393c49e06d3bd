"""The labels of all inputs as one column of one type, and the label set that train has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lightning_tune.data.labels import joins_told, number, recognise
from lightning_tune.errors import ConfigError, DataError, nearest
from lightning_tune.prepare.privacy import PrivacySettings, Redactor
from lightning_tune.schema import Label, LabelSet, TaskKind

_JOIN = "\x1f"
_LONGEST = 120
"""Most characters of a class name; what is longer may be a text, and is shown nowhere."""


def speakable(name: str) -> str:
    """Return a label as a message shows it: a column named by mistake holds anything.

    >>> speakable("card"), speakable("ann@example.org")
    ("'card'", "'[EMAIL]'")
    """
    return repr(Redactor(PrivacySettings())([name]).texts[0])


def settle(tables: Sequence[pa.Table], task: TaskKind | None) -> tuple[list[pa.Table], str | None]:
    """Bring the columns of several inputs to one type each.

    Args:
        tables: The rows of each input.
        task: The task kind, where the user states it.

    Returns:
        The tables, alike, and what their labels are: "names", "numbers", "lists", or None where
        there are none.

    Raises:
        DataError: if labels or times of two inputs are of different types.
    """
    _check_times(tables)
    kinds = {kind for table in tables if (kind := _kind(table)) is not None}
    if len(kinds) > 1 and kinds != {"names", "numbers"}:
        raise DataError(
            f"the labels of the inputs are of mixed types ({' and '.join(sorted(kinds))}); write "
            "them alike, or give --label_separator."
        )
    if not kinds:
        return list(tables), None
    if kinds == {"names", "numbers"}:
        return [_as_numbers(table) for table in tables], "numbers"
    (kind,) = kinds
    numeric = kind == "names" and (task == "regression" or (task is None and _are_scores(tables)))
    return (
        ([_as_numbers(table) for table in tables], "numbers")
        if numeric
        else (
            list(tables),
            kind,
        )
    )


def _check_times(tables: Sequence[pa.Table]) -> None:
    kinds = {table["time"].type for table in tables if "time" in table.column_names}
    if len(kinds - {pa.null()}) > 1:
        raise DataError(
            "the times of the inputs are numbers in one and dates in another; write them alike."
        )


def _kind(table: pa.Table) -> str | None:
    if "label" not in table.column_names or pa.types.is_null(table["label"].type):
        return None
    kind = table["label"].type
    return (
        "lists" if pa.types.is_list(kind) else "numbers" if pa.types.is_floating(kind) else "names"
    )


def _are_scores(tables: Sequence[pa.Table]) -> bool:
    """Whether all labels spell numbers, one of them not whole: then they are scores."""
    names: set[str] = set()
    for table in tables:
        if "label" in table.column_names:
            names.update(name for name in pc.unique(table["label"]).to_pylist() if name is not None)
    values = [number(name) for name in names]
    return None not in values and any(
        not value.is_integer() for value in values if value is not None
    )


def _as_numbers(table: pa.Table) -> pa.Table:
    at = table.column_names.index("label")
    column = table["label"]
    if pa.types.is_floating(column.type) or pa.types.is_null(column.type):
        return table.set_column(at, "label", column.cast(pa.float64()))
    values = [None if name is None else number(name) for name in column.to_pylist()]
    for row, (name, value) in enumerate(zip(column.to_pylist(), values, strict=True)):
        if name is not None and value is None:
            raise DataError(
                f"{table['source'][row]}:{table['line'][row]}: the label {speakable(name)} is not "
                "a number, where the others are scores; correct it, or state --task."
            )
    return table.set_column(at, "label", pa.array(values, pa.float64()))


def label_set(table: pa.Table, task: TaskKind | None) -> LabelSet:
    """Return the task kind and the names of the labels.

    Raises:
        DataError: if the labels do not fit the task, are all one class, or are texts.
    """
    counts = class_counts(table)
    _check_lengths(table, counts)
    if pa.types.is_list(table["label"].type):
        names: list[Label] = [(name,) for name in counts]
        return _recognised(names or [()], counts, task or "multilabel")
    if pa.types.is_floating(table["label"].type):
        if task not in (None, "regression"):
            raise ConfigError(
                f"task={task!r}, and the labels are scores; write names, or state regression."
            )
        return LabelSet("regression")
    return _recognised(list(counts), counts, task)


def _recognised(
    names: Sequence[Label], counts: Mapping[str, int], task: TaskKind | None
) -> LabelSet:
    try:
        return recognise(names, list(counts.values()) or [0], task=task)
    except DataError as err:
        told = str(err)
        for name in counts:
            if repr(name) in told:
                told = told.replace(repr(name), speakable(name))
        raise DataError(told) from None


def class_counts(table: pa.Table) -> dict[str, int]:
    """Return how many rows have each label, by name; a row of several counts for each of them.

    Scores are not counted.
    """
    if "label" not in table.column_names or pa.types.is_floating(table["label"].type):
        return {}
    column = table["label"]
    names = pc.list_flatten(column) if pa.types.is_list(column.type) else column
    counted = names.drop_null().value_counts().to_pylist()
    return dict(sorted((one["values"], one["counts"]) for one in counted))


def label_codes(table: pa.Table) -> NDArray[np.int64]:
    """Return a number for each row's label, [n] int64; equal labels, in any order, have one.

    Without labels all rows have 0.
    """
    if "label" not in table.column_names:
        return np.zeros(table.num_rows, np.int64)
    column = table["label"]
    if pa.types.is_list(column.type):
        column = pa.array([_JOIN.join(sorted(names)) for names in column.to_pylist()], pa.string())
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    codes: NDArray[np.int64] = array.dictionary_encode().indices.to_numpy().astype(np.int64)
    return codes


def check_known(table: pa.Table, labels: LabelSet, split: str) -> None:
    """Refuse labels of a split that train does not have.

    Raises:
        DataError: naming the label and the nearest there is; what may be a text is not shown.
    """
    if labels.kind == "regression":
        return
    strange = [name for name in class_counts(table) if name not in labels.names]
    _check_lengths(table, strange)
    if strange:
        raise DataError(
            f"{split} has the label {speakable(strange[0])}"
            + (f" and {len(strange) - 1} more" if len(strange) > 1 else "")
            + " that train does not have; correct its rows, or add some to train."
            + nearest(strange[0], labels.names)
        )


def _check_lengths(table: pa.Table, names: Iterable[str]) -> None:
    """Refuse texts where labels should stand; they would be class names of every report."""
    long = max(names, key=len, default="")
    if len(long) > _LONGEST:
        rows = table["label"].to_pylist()
        at = next(
            at for at, row in enumerate(rows) if row is not None and (row == long or long in row)
        )
        raise DataError(
            f"{table['source'][at]}:{table['line'][at]}: the label has {len(long)} characters, and "
            f"a class name has up to {_LONGEST}; its column may hold the texts: look at --text, "
            "--label and --columns."
        )


def check_none_emptied(before: Mapping[str, int], after: pa.Table, step: str) -> None:
    """Refuse that a step drops the last row of a class.

    Args:
        before: How many rows had each label before the step.
        after: The rows that stay.
        step: Name of the step.

    Raises:
        DataError: naming the class.
    """
    left = class_counts(after)
    leaking = step == "leaks"  # which no setting changes
    fix = "take its texts out of validation and test" if leaking else f"change recipe.{step}"
    for name, count in before.items():
        if count and not left.get(name):
            rows = "row" if count == 1 else f"{count} rows"
            several = joins_told(list(before), "give --label_separator")
            raise DataError(
                f"{step} would drop the only {rows} of the class {speakable(name)}; {fix}, "
                "add rows of it, or take it out of the input." + (several and f" {several}")
            )
