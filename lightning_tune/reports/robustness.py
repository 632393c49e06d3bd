"""What attacks did to a model's answers, as plain values: a part of the evaluation's record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lightning_tune.schema import Label
from lightning_tune.words.split import WordChange


@dataclass(frozen=True)
class BrokenText:
    """A text whose right answer an attack turned into a wrong one.

    Args:
        row: Position in the evaluated split, from 0.
        label: What stands in the data, which the model answered to the text as it was.
        predicted: What the model says of the changed text.
        words: How many words were changed.
        queries: How many texts the model was asked until then.
        text: The text as it was, where texts may be shown.
        changed: The text after the attack.
        text_pair: The second text of a pair, which no attack changes.
        changes: What was changed, in the order of the text.
    """

    row: int
    label: Label
    predicted: Label
    words: int
    queries: int
    text: str | None = None
    changed: str | None = None
    text_pair: str | None = None
    changes: tuple[WordChange, ...] = ()


@dataclass(frozen=True)
class AttackResult:
    """One attack on the answers that were right.

    Args:
        metric: Name of the accuracy that is left.
        title: What the attack is called.
        survived: Rows whose answer stayed right.
        details: Settings and costs, as plain values.
    """

    metric: str
    title: str
    survived: int
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Robustness:
    """What attacks did to a model's answers on some rows of a split.

    Args:
        rows: How many rows were drawn.
        right: How many of them were answered right as they were; those alone are attacked.
        attacks: Each attack's result.
        broken: Texts that the text attack broke, those with the fewest changes first.
    """

    rows: int
    right: int
    attacks: list[AttackResult] = field(default_factory=list)
    broken: list[BrokenText] = field(default_factory=list)

    def without_texts(self) -> Robustness:
        """Return a copy that holds no text of the data."""
        bare = [
            replace(one, text=None, changed=None, text_pair=None, changes=()) for one in self.broken
        ]
        return replace(self, broken=bare)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Robustness:
        """Rebuild from plain values; what is missing or odd raises KeyError or TypeError."""
        return cls(
            values["rows"],
            values["right"],
            [AttackResult(**one) for one in values["attacks"]],
            [_broken(one) for one in values["broken"]],
        )


def _broken(values: Mapping[str, Any]) -> BrokenText:
    kept = dict(values)
    for key in ("label", "predicted"):
        if isinstance(kept[key], list):
            kept[key] = tuple(kept[key])
    kept["changes"] = tuple(WordChange(**change) for change in kept["changes"])
    return BrokenText(**kept)
