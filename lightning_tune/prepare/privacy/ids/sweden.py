"""Sweden: the personnummer, a date of birth, a serial number and Luhn's check digit.

https://www.skatteverket.se
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.checksums import luhn
from lightning_tune.prepare.privacy.ids.identifier import Identifier, is_short_date


def _valid(digits: str) -> bool:
    if len(digits) == 12 and digits[:2] not in ("18", "19", "20"):
        return False
    return is_short_date(digits[-10:-4]) and luhn(digits[-10:])


PERSONNUMMER = Identifier(
    "Swedish personnummer", ("999999+9999", "99999999+9999", "9" * 10, "9" * 12), _valid
)
