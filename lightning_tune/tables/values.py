"""From the values of a column to texts, labels and weights; what does not fit becomes a fault."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lightning_tune.schema import Label
from lightning_tune.tables.records import Missing, shorten

Faults = dict[int, str]
"""Why a row cannot be used, by its position. The first reason found stays."""


def to_texts(values: Sequence[Any], name: str, faults: Faults) -> list[str]:
    """Return the texts of a column; blank ones and values that are no text are faults."""
    texts: list[str] = []
    for position, value in enumerate(values):
        if type(value) is str and value and not value.isspace():
            texts.append(value)
            continue
        texts.append("")
        faults.setdefault(position, _text_fault(value, name))
    return texts


def _text_fault(value: Any, name: str) -> str:
    if value is None or isinstance(value, Missing):
        return _absent(value, name)
    if isinstance(value, str):
        return (
            f"the {name} is empty"
            if not value
            else f"the {name} {shorten(value)} is only white space"
        )
    return f"the {name} {shorten(value)} is {type_name(value)}, not a string"


class LabelColumn:
    """The labels of one file, all of one type.

    Whole numbers and truth values become their JSON text, lists become tuples of texts.

    Args:
        name: The column.
        required: Whether each row needs one; else a missing label reads as "".
        may_be_empty: Whether "" is an answer.
    """

    def __init__(self, name: str, *, required: bool, may_be_empty: bool) -> None:
        self.name = name
        self.required = required
        self.may_be_empty = may_be_empty
        self._first_type, self._first_line = "", 0

    def read(self, values: Sequence[Any], lines: Sequence[int], faults: Faults) -> list[Label]:
        """Return the labels of some rows; what cannot be a label is a fault."""
        labels: list[Label] = []
        for position, value in enumerate(values):
            if type(value) is str and value and self._first_type == "a string":  # nearly always
                labels.append(value)
                continue
            label: Label = ""
            try:
                label = _label(value, self.name)
                self._check(value, label, lines[position])
            except ValueError as err:
                faults.setdefault(position, str(err))
            labels.append(label)
        return labels

    def _check(self, value: Any, label: Label, line: int) -> None:
        if label == "":
            if self.required and not (self.may_be_empty and value == ""):
                raise ValueError(_absent(value, self.name))
            return
        kind = type_name(value)
        if not self._first_type:
            self._first_type, self._first_line = kind, line
        elif kind != self._first_type:
            raise ValueError(
                f"mixed label types: the {self.name} {shorten(value)} is {kind}, the one of line "
                f"{self._first_line} is {self._first_type}"
            )


def _label(value: Any, name: str) -> Label:
    """Return a label, "" where there is none."""
    if value is None or isinstance(value, Missing):
        return ""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"the {name} {value} is not a finite number")
        return value
    if isinstance(value, list):
        return tuple(_name(part, name) for part in value)
    return _name(value, name)


def _name(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    kind = type_name(value)
    raise ValueError(
        f"the {name} {shorten(value)} is {kind}, not a name, a number or a list of names"
    )


def to_weights(values: Sequence[Any], name: str, faults: Faults, *, required: bool) -> list[float]:
    """Return the sample weights of a column: finite, at least 0; 1 where one is missing."""
    weights: list[float] = []
    for position, value in enumerate(values):
        weight = 1.0
        if value is None or value == "" or isinstance(value, Missing):
            if required:
                faults.setdefault(position, _absent(value, name))
        else:
            weight = _number(value)
            if not (math.isfinite(weight) and weight >= 0):
                faults.setdefault(
                    position, f"the {name} {shorten(value)} is not a finite number of at least 0"
                )
                weight = 1.0
        weights.append(weight)
    return weights


def _number(value: Any) -> float:
    if isinstance(value, bool) or (isinstance(value, str) and "_" in value):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _absent(value: Any, name: str) -> str:
    if isinstance(value, Missing):
        return f"the object has no key {name!r}"
    return f"the {name} is null" if value is None else f"the {name} is empty"


def type_name(value: Any) -> str:
    """Return what kind of value it is, in the words of JSON.

    >>> type_name(1.5), type_name(None)
    ('a number', 'null')
    """
    names = {
        str: "a string",
        bytes: "binary",
        bool: "a truth value",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), f"a {type(value).__name__}")
