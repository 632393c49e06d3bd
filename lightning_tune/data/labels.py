"""From raw labels to the task kind and the ordered names: recognised, or stated and checked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.schema import Label, LabelSet, TaskKind

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

_MARKS = "|,;/+&#"  # what may stand between several labels in one string


def split_label(label: Label, separator: str | None) -> Label:
    """Split one string that holds several label names; leave other labels as they are.

    >>> split_label("joy| pride", "|"), split_label("", "|"), split_label("joy", None)
    (('joy', 'pride'), (), 'joy')
    """
    if separator is None or not isinstance(label, str):
        return label
    parts = (part.strip() for part in label.split(separator))
    return tuple(dict.fromkeys(part for part in parts if part))


def recognise(
    labels: Sequence[Label],
    counts: Sequence[int],
    *,
    task: TaskKind | None = None,
    separator: str | None = None,
    positive: str | None = None,
) -> LabelSet:
    """Return the label set of a training split.

    Lists, or a separator, mean multilabel. Numbers of which one is not whole mean regression.
    Otherwise each label is a class name as it is written, so "01" and "1" are two: two names are
    binary, more are multiclass.

    Args:
        labels: The distinct raw labels.
        counts: How many rows have each.
        task: The task kind, where the user states it.
        separator: What stands between the names in one string of a multi-label row.
        positive: The positive class of a binary task; the last name unless stated.

    Raises:
        DataError: if the labels mix types, do not fit the stated task, or are all one class.
        ConfigError: if a setting contradicts the task.

    >>> recognise(["1", "0"], [5, 5])
    LabelSet(kind='binary', names=('0', '1'), positive='1')
    >>> recognise(["2.5", "4"], [5, 5]).kind
    'regression'
    """
    if not labels:
        raise DataError("the training data has no labels; name their column in data.label.")
    if separator is not None and task not in (None, "multilabel"):
        raise ConfigError(
            f"data.label_separator={separator!r} is for multilabel tasks, data.task is {task!r}; "
            "drop one of them."
        )
    values = [split_label(label, separator) for label in labels]
    kind = task or _kind(values, counts)
    if kind == "regression":
        _refuse(kind, values, counts, [number(value) is None for value in values], "a number")
        return LabelSet(kind, (), positive)
    if kind == "multilabel":
        wrong = [isinstance(value, float) for value in values]
        _refuse(kind, values, counts, wrong, "a list of names")
        named = [value if isinstance(value, tuple) else (str(value),) for value in values]
        return LabelSet(kind, tuple(sorted({name for names in named for name in names})), positive)
    wrong = [not isinstance(value, str) for value in values]
    _refuse(kind, values, counts, wrong, "a class name; write it as a text or a whole number")
    names = tuple(sorted(str(value) for value in values))
    if len(names) == 1:
        raise DataError(
            f"all {sum(counts)} rows have the label {names[0]!r}; a {kind} task needs at least two "
            "classes: add rows of another class."
        )
    return LabelSet(kind, names, positive)


def _kind(values: Sequence[Label], counts: Sequence[int]) -> TaskKind:
    lists = [isinstance(value, tuple) for value in values]
    if all(lists):
        return "multilabel"
    if any(lists):
        raise _mixed(values, counts, lists.index(True), lists.index(False))
    numbers = [number(value) for value in values]
    scores = [
        isinstance(value, float) or (parsed is not None and not parsed.is_integer())
        for value, parsed in zip(values, numbers, strict=True)
    ]
    if any(scores) and None in numbers:
        raise _mixed(values, counts, scores.index(True), numbers.index(None))
    if any(parsed is not None and not parsed.is_integer() for parsed in numbers):
        return "regression"
    return "binary" if len(values) <= 2 else "multiclass"


def joins_told(names: Sequence[str], advice: str) -> str:
    """Say that names look like several labels in one string; "" where they do not.

    They do where two or more of them, and a tenth of all, are other names with one separator
    between them.

    Args:
        names: The distinct class names.
        advice: What to do about it; the separator follows.

    >>> joins_told(["joy", "fear", "joy|fear", "fear|joy"], "give --label_separator")
    "2 of 4 class names are others joined by '|'; where rows have several labels, \
give --label_separator '|'."
    >>> joins_told(["yes", "no", "yes/no"], "")
    ''
    """
    known = set(names)
    for mark in _MARKS:
        split = [[part.strip() for part in name.split(mark)] for name in names if mark in name]
        joined = sum(known.issuperset(parts) for parts in split)
        if joined >= 2 and 10 * joined >= len(names) and 2 * joined >= len(split):
            return (
                f"{joined:,} of {len(names):,} class names are others joined by {mark!r}; where "
                f"rows have several labels, {advice} {mark!r}."
            )
    return ""


def number(label: Label) -> float | None:
    """Return the number that a label is or spells, or None.

    >>> number("1e3"), number("1_000"), number("nan"), number(("1",))
    (1000.0, None, None, None)
    """
    if isinstance(label, str):
        return float(label) if _NUMBER.fullmatch(label.strip()) else None
    return label if isinstance(label, float) else None


def _mixed(values: Sequence[Label], counts: Sequence[int], one: int, other: int) -> DataError:
    def shown(index: int) -> str:
        return f"{values[index]!r} in {_rows(counts[index])}"

    return DataError(
        f"the labels are of mixed types: {shown(one)}, {shown(other)}; write all of them alike, or "
        "state data.task."
    )


def _refuse(
    kind: TaskKind, values: Sequence[Label], counts: Sequence[int], wrong: Sequence[bool], need: str
) -> None:
    if any(wrong):
        index = wrong.index(True)
        raise DataError(
            f"the label {values[index]!r} in {_rows(counts[index])} does not fit a {kind} task, "
            f"which needs {need}."
        )


def _rows(count: int) -> str:
    return f"{count} row" + ("s" if count != 1 else "")
