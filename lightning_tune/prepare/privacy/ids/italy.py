"""Italy: the codice fiscale, with its check letter.

Ministerial decree of 23 December 1976, https://www.gazzettaufficiale.it
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.ids.identifier import Identifier

_ODD = (
    1,
    0,
    5,
    7,
    9,
    13,
    15,
    17,
    19,
    21,
    2,
    4,
    18,
    20,
    11,
    3,
    6,
    8,
    12,
    14,
    16,
    10,
    22,
    25,
    24,
    23,
)
_DIGITS_OR_SUBSTITUTES = frozenset("0123456789LMNPQRSTUV")
_DIGIT_PLACES = (6, 7, 9, 10, 12, 13, 14)


def _value(char: str) -> int:
    return int(char) if char.isdigit() else ord(char) - ord("A")


def _valid(code: str) -> bool:
    letters = code[:6] + code[8] + code[11]
    if not letters.isalpha() or any(code[at] not in _DIGITS_OR_SUBSTITUTES for at in _DIGIT_PLACES):
        return False
    total = sum(_ODD[_value(char)] for char in code[0:15:2])
    total += sum(_value(char) for char in code[1:15:2])
    return chr(ord("A") + total % 26) == code[15]


CODICE_FISCALE = Identifier("Italian codice fiscale", ("AAAAAA**A**A***A",), _valid)
