"""Check digits of numbers that people carry."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

_DOUBLED = str.maketrans("0123456789", "0246813579")
_ZERO = ord("0")


def luhn(digits: str) -> bool:
    """Check by ISO/IEC 7812-1, annex B: payment cards and others.

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    added = digits[-1::-2] + digits[-2::-2].translate(_DOUBLED)
    return (sum(added.encode()) - len(digits) * _ZERO) % 10 == 0


_LETTERS = {ord("A") + place: str(10 + place) for place in range(26)}


def mod97(code: str) -> bool:
    """Check by ISO 7064 MOD 97-10, letters as 10 to 35: an IBAN with its head at the end.

    >>> mod97("WEST12345698765432GB82")
    True
    """
    return int(code.translate(_LETTERS)) % 97 == 1


def mod11_2(code: str) -> bool:
    """Check by ISO 7064 MOD 11-2, X for 10: the Chinese resident id (GB 11643-1999).

    >>> mod11_2("11010519491231002X")
    True
    """
    value = 0
    for digit in code[:-1]:
        value = (value + int(digit)) * 2 % 11
    return (value + (10 if code[-1] == "X" else int(code[-1]))) % 11 == 1


def mod11_10(digits: str) -> bool:
    """Check by ISO 7064 MOD 11,10: the German tax number.

    >>> mod11_10("86095742719"), mod11_10("86095742718")
    (True, False)
    """
    value = 10
    for digit in digits[:-1]:
        value = ((value + int(digit)) % 10 or 10) * 2 % 11
    return (value + int(digits[-1])) % 10 == 1


def weighted(digits: str, weights: Sequence[int]) -> int:
    """Return the sum of the first digits times their weights.

    >>> weighted("123", [3, 2, 1])
    10
    """
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


# The dihedral group of order 10: what becomes of each element with each other.
_SUMS = [
    [int(digit) for digit in row]
    for row in (
        "0123456789",
        "1234067895",
        "2340178956",
        "3401289567",
        "4012395678",
        "5987604321",
        "6598710432",
        "7659821043",
        "8765932104",
        "9876543210",
    )
]
# Powers of one permutation of the digits, one a place from the right.
_TURNS = [
    {str(digit): int(turned) for digit, turned in enumerate(row)}
    for row in (
        "0123456789",
        "1576283094",
        "5803796142",
        "8916043527",
        "9453126870",
        "4286573901",
        "2793806415",
        "7046913258",
    )
]


def verhoeff(digits: str) -> bool:
    """Check by Verhoeff (Error Detecting Decimal Codes, 1969): the Indian Aadhaar number.

    >>> verhoeff("2363"), verhoeff("2364")
    (True, False)
    """
    value = 0
    for turn, digit in zip(itertools.cycle(_TURNS), reversed(digits), strict=False):
        value = _SUMS[value][turn[digit]]
    return value == 0
