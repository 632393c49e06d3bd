"""The texts that are put before a person, and the labels that come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lightning_tune.errors import DataError
from lightning_tune.prepare.sheets import RowName
from lightning_tune.schema import Label


@dataclass(frozen=True)
class Question:
    """A text to label.

    Args:
        row: Which row of the pool.
        text: The text.
        text_pair: The second text of a pair.
        suggestion: What a model or the rules say; None where neither does.
        score: How sure they are of it, in [0, 1].
    """

    row: RowName
    text: str
    text_pair: str | None = None
    suggestion: Label | None = None
    score: float | None = None


@dataclass(frozen=True)
class Given:
    """A label that a person gave.

    Args:
        row: Which row of the pool.
        label: The label.
        where: Where it stands, for messages.
    """

    row: RowName
    label: Label
    where: str


def agreed(answers: Iterable[Given]) -> list[Given]:
    """Return one answer a row: the one that most people gave.

    Raises:
        DataError: if a row's votes are even.
    """
    by_row: dict[RowName, list[Given]] = {}
    for answer in answers:
        by_row.setdefault(answer.row, []).append(answer)
    return [_majority(votes) for votes in by_row.values()]


def _majority(votes: list[Given]) -> Given:
    ranked = Counter(vote.label for vote in votes).most_common(2)
    if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
        raise DataError(
            f"{votes[0].where}: {votes[0].row} was labelled {ranked[0][0]!r} and {ranked[1][0]!r} "
            "by equally many; keep one of them."
        )
    return next(vote for vote in votes if vote.label == ranked[0][0])


def names_in(value: Any, *, several: bool, where: str) -> Label | None:
    """Return the label that a list of names is; None if there is none.

    Args:
        value: The list, or one name.
        several: Whether several labels may hold.
        where: Where it stands, for messages.

    Raises:
        DataError: if there are several names where one label holds.

    >>> names_in(["b", "a"], several=True, where=""), names_in(["a"], several=False, where="")
    (('a', 'b'), 'a')
    """
    if value is None:
        return None
    names = tuple(sorted({str(one) for one in value})) if isinstance(value, list) else (str(value),)
    if several:
        return names
    if len(names) > 1:
        raise DataError(
            f"{where}: the row has the labels {names[0]!r} and {names[1]!r}, where one holds; keep "
            "one of them, or give --several true."
        )
    return names[0] if names else None
