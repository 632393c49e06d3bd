"""Poland: the PESEL, a date of birth, a serial number and a check digit.

https://www.gov.pl/web/gov/czym-jest-numer-pesel
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.checksums import weighted
from lightning_tune.prepare.privacy.ids.identifier import Identifier, is_date

_CENTURIES = (1900, 2000, 2100, 2200, 1800)  # by the tens of the month, two a century


def _valid(digits: str) -> bool:
    month = int(digits[2:4])
    year = _CENTURIES[month // 20] + int(digits[:2])
    return (
        is_date(year, month % 20, int(digits[4:6]))
        and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0
    )


PESEL = Identifier("Polish PESEL", ("9" * 11,), _valid)
