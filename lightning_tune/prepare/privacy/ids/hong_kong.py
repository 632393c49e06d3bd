"""Hong Kong: the identity card number, with its check character in brackets.

https://www.immd.gov.hk
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.ids.identifier import Identifier


def _valid(code: str) -> bool:
    letters, digits, check = code[:-7], code[-7:-1], code[-1]
    values = [36] * (2 - len(letters)) + [ord(letter) - ord("A") + 10 for letter in letters]
    values += map(int, digits)
    values.append(10 if check == "X" else int(check))
    return (
        sum(value * weight for value, weight in zip(values, range(9, 0, -1), strict=True)) % 11 == 0
    )


HKID = Identifier("Hong Kong identity card", ("A999999(X)", "AA999999(X)"), _valid)
