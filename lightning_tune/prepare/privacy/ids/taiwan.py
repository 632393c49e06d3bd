"""Taiwan: the national id, a letter, nine digits, the last a check digit.

https://en.wikipedia.org/wiki/National_identification_card_(Taiwan)
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.checksums import weighted
from lightning_tune.prepare.privacy.ids.identifier import Identifier

_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"  # 10 to 35 in this order


def _valid(code: str) -> bool:
    region = 10 + _LETTERS.index(code[0])
    digits = f"{region}{code[1:]}"
    return code[1] in "1289" and weighted(digits, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1)) % 10 == 0


TAIWAN_ID = Identifier("Taiwanese national id", ("A999999999",), _valid)
