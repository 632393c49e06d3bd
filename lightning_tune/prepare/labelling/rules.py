"""Labelling functions: rules of words that vote for a label, or for none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lightning_tune.errors import ConfigError, DataError, nearest
from lightning_tune.words.split import whole

LabellingFunction = Callable[[str], str | None]
"""A text -> the label that it votes for, or None."""

_KEYS = ("name", "label", "any", "all", "none", "pattern")


@dataclass(frozen=True)
class Rule:
    """Words that vote for a label.

    Args:
        label: The label.
        any: Words or phrases of which one has to stand in the text; whole words, in any case
            (of Chinese and Japanese, which have no spaces, wherever they stand).
        all: Words or phrases that all have to stand in it.
        none: Words or phrases that may not.
        pattern: A regular expression that has to be found, in any case.
        name: What the rule is called in reports; "": by its label and its first condition.

    Raises:
        ConfigError: if nothing has to stand in the text, or the pattern is none.
    """

    label: str
    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    pattern: str | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if not (self.any or self.all or self.pattern):
            raise ConfigError(
                f"the rule for {self.label!r} has no condition; give any, all or pattern."
            )
        if not self.name:
            first = [*self.any, *self.all, self.pattern or ""][0]
            object.__setattr__(self, "name", f"{self.label}: {first}")
        try:
            re.compile(self.pattern or "")
        except re.error as err:
            raise ConfigError(
                f"the rule {self.name!r}: pattern={self.pattern!r} is no pattern: {err}."
            ) from err

    def __call__(self, text: str) -> str | None:
        """Vote.

        >>> Rule("refund", any=("money back", "refund"), none=("thanks",))("I want my Money back!")
        'refund'
        """
        found = (
            (not self.any or any(_stands(word, text) for word in self.any))
            and all(_stands(word, text) for word in self.all)
            and not any(_stands(word, text) for word in self.none)
            and (self.pattern is None or re.search(self.pattern, text, re.IGNORECASE) is not None)
        )
        return self.label if found else None


def read_rules(path: str) -> list[Rule]:
    """Read a YAML file with a list of rules, each a mapping of the arguments of `Rule`.

    Raises:
        DataError: if it is missing or no YAML.
        ConfigError: if a rule has an unknown key, lacks its label or has no condition.
    """
    try:
        # Every scalar is a text there: a label that reads no, or 01, stays as it is written.
        stated = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise DataError(f"rules={path!r} cannot be read: {' '.join(str(err).split())}.") from err
    if not isinstance(stated, list) or not stated:
        raise ConfigError(f"rules={path!r} holds no list of rules; write one rule an item.")
    return [_rule(one, f"{path}, rule {number}") for number, one in enumerate(stated, 1)]


def _rule(stated: Any, where: str) -> Rule:
    if not isinstance(stated, dict) or "label" not in stated:
        raise ConfigError(f"{where}: a rule is a mapping with a label; got {stated!r:.60}.")
    for key in stated:
        if key not in _KEYS:
            raise ConfigError(
                f"{where}: {key!r} is no key of a rule; use {', '.join(_KEYS)}."
                + nearest(str(key), _KEYS)
            )
    lists = {
        key: tuple(map(str, value if isinstance(value, list) else [value]))
        for key, value in stated.items()
        if key in ("any", "all", "none")
    }
    plain = {key: str(stated[key]) for key in ("label", "pattern", "name") if key in stated}
    return Rule(**plain, **lists)  # type: ignore[arg-type]


@cache
def _whole(word: str) -> re.Pattern[str]:
    return whole(word)


def _stands(word: str, text: str) -> bool:
    return _whole(word).search(text) is not None
