"""China: the resident id of 18 characters (GB 11643-1999), and the one of 15 before it."""

from __future__ import annotations

from lightning_tune.prepare.privacy.checksums import mod11_2
from lightning_tune.prepare.privacy.ids.identifier import Identifier, is_date, is_short_date

# First two digits: provinces, municipalities, Taiwan, Hong Kong, Macao, and foreign residents.
_PROVINCES = frozenset(
    [
        "11",
        "12",
        "13",
        "14",
        "15",
        "21",
        "22",
        "23",
        "31",
        "32",
        "33",
        "34",
        "35",
        "36",
        "37",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "50",
        "51",
        "52",
        "53",
        "54",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "81",
        "82",
        "83",
        "91",
    ]
)


def _valid(code: str) -> bool:
    return (
        code[:2] in _PROVINCES
        and is_date(int(code[6:10]), int(code[10:12]), int(code[12:14]))
        and mod11_2(code)
    )


def _valid_1984(digits: str) -> bool:
    return digits[:2] in _PROVINCES and is_short_date(digits[6:12])


RESIDENT_ID = Identifier(
    "Chinese resident id", ("99999999999999999X", "999999-99999999-999X"), _valid
)
RESIDENT_ID_1984 = Identifier("Chinese resident id of 1984", ("9" * 15,), _valid_1984)
