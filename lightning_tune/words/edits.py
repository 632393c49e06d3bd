"""Edits of one word that a reader hardly notices: typing errors, keyboard slips, look-alikes.

Typing errors leave the first and the last letter of a word as they are, and words of fewer than
four letters alone, as readers get over such errors best: Pruthi et al. 2019,
https://arxiv.org/abs/1905.11268. Look-alike letters follow the confusables of Unicode,
https://www.unicode.org/reports/tr39/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from lightning_tune.words.split import is_unspaced

EditName = Literal["swap", "drop", "insert", "repeat", "keyboard", "homoglyph"]
EDIT_NAMES: tuple[EditName, ...] = get_args(EditName)
Variants = Callable[[str], list[str]]
"""A word -> all that an edit can make of it."""

_SHORTEST = 4  # letters of a word that typing errors are made in
_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
_NEAR = 1.2  # in widths of a key

_CYRILLIC = "\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u043e\u0440\u051b\u0455\u051d\u0445\u0443"
_CYRILLIC_CAPITALS = "\u0410\u0412\u0421\u0415\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u0405"
_GREEK = "\u03b9\u03ba\u03bf\u03c1\u03bd"
_GREEK_CAPITALS = "\u0391\u0392\u0395\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u0396"
_PAIRS = (
    *zip("acdehijopqswxy", _CYRILLIC, strict=True),
    *zip("ABCEHIJKMOPS", _CYRILLIC_CAPITALS, strict=True),
    ("T", "\u0422"),
    ("X", "\u0425"),
    *zip("ikopv", _GREEK, strict=True),
    *zip("ABEHIKMNOPTYZ", _GREEK_CAPITALS, strict=True),
)


def _neighbours() -> dict[str, str]:
    places = {
        key: (column + shift, float(row))
        for row, (keys, shift) in enumerate(_ROWS)
        for column, key in enumerate(keys)
    }
    return {
        key: "".join(
            other
            for other, (across, down) in places.items()
            if other != key and abs(across - x) < _NEAR and abs(down - y) <= 1
        )
        for key, (x, y) in places.items()
    }


def _look_alikes() -> dict[str, str]:
    both = [*_PAIRS, *((other, latin) for latin, other in _PAIRS)]
    return {one: "".join(b for a, b in both if a == one) for one, _ in both}


NEIGHBOURS: Mapping[str, str] = _neighbours()
"""The keys around each key of a QWERTY keyboard."""
LOOK_ALIKES: Mapping[str, str] = _look_alikes()
"""The Cyrillic and Greek letters that look like each Latin one, and the Latin one for each."""


def swap(word: str) -> list[str]:
    """Two neighbouring letters change places.

    >>> swap("great")
    ['gerat', 'graet']
    """
    inner = _inner(word)
    return [
        word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        for at in inner
        if at + 1 in inner and word[at] != word[at + 1]
    ]


def drop(word: str) -> list[str]:
    """A letter is missing.

    >>> drop("film")
    ['flm', 'fim']
    """
    return [word[:at] + word[at + 1 :] for at in _inner(word)] if len(word) > 1 else []


def repeat(word: str) -> list[str]:
    """A letter is typed twice.

    >>> repeat("film")
    ['fiilm', 'fillm']
    """
    return [word[:at] + word[at] + word[at:] for at in _inner(word)]


def insert(word: str) -> list[str]:
    """A key beside a letter's is hit after it."""
    return [word[: at + 1] + key + word[at + 1 :] for at in _inner(word) for key in _near(word[at])]


def keyboard(word: str) -> list[str]:
    """A key beside a letter's is hit instead of it."""
    return [word[:at] + key + word[at + 1 :] for at in _inner(word) for key in _near(word[at])]


def homoglyph(word: str) -> list[str]:
    """A letter of another alphabet that looks the same stands for one letter, anywhere."""
    return [
        word[:at] + other + word[at + 1 :]
        for at, letter in enumerate(word)
        for other in LOOK_ALIKES.get(letter, "")
    ]


EDITS: Mapping[EditName, Variants] = {
    "swap": swap,
    "drop": drop,
    "insert": insert,
    "repeat": repeat,
    "keyboard": keyboard,
    "homoglyph": homoglyph,
}


def _inner(word: str) -> range:
    """Return the positions in which typing errors are made."""
    if is_unspaced(word):
        return range(len(word))
    return range(1, len(word) - 1) if len(word) >= _SHORTEST else range(0)


def _near(letter: str) -> str:
    keys = NEIGHBOURS.get(letter.lower(), "")
    return keys.upper() if letter.isupper() else keys
