"""International bank account numbers: ISO 13616, by country's length and check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_tune.prepare.privacy.checksums import mod97
from lightning_tune.prepare.privacy.spans import Found

# The registry of SWIFT, https://www.swift.com/standards/data-standards/iban-international-bank-account-number
_LENGTHS = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_LENGTH_OF = {country: length for length, names in _LENGTHS.items() for country in names.split()}
_HEAD = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}(?=[ \-]?[0-9A-Za-z]{3})")
_WHOLE = {
    length: re.compile(
        rf"[A-Za-z]{{2}}[0-9]{{2}}(?:[ \-]?[0-9A-Za-z]){{{length - 4}}}(?![0-9A-Za-z])"
    )
    for length in _LENGTHS
}
_SEPARATORS = str.maketrans("", "", " -")


def ibans(text: str) -> Iterator[Found]:
    """Find IBANs, in one piece or in groups.

    >>> list(ibans("to GB82 WEST 1234 5698 7654 32 please, not GB82 WEST 1234 5698 7654 33"))
    [(3, 30)]
    """
    for head in _HEAD.finditer(text):
        length = _LENGTH_OF.get(head[0][:2].upper())
        whole = None if length is None else _WHOLE[length].match(text, head.start())
        if whole is not None and _checks(whole[0]):
            yield whole.span()


def _checks(written: str) -> bool:
    code = written.translate(_SEPARATORS).upper()
    return mod97(code[4:] + code[:4])
