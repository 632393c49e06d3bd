"""South Korea: the resident registration number.

Numbers given out since October 2020 have no check digit, so its form and date have to do.
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.ids.identifier import Identifier, is_short_date


def _valid(digits: str) -> bool:
    return digits[6] in "12345678" and is_short_date(digits)


RRN = Identifier("South Korean resident number", ("999999-9999999",), _valid)
