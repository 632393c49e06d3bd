"""India: the Aadhaar number, with Verhoeff's check digit.

https://uidai.gov.in
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.checksums import verhoeff
from lightning_tune.prepare.privacy.ids.identifier import Identifier


def _valid(digits: str) -> bool:
    return digits[0] not in "01" and verhoeff(digits)


# Four groups of four are a card, one more number of four digits beside three is rare: see `phones`.
AADHAAR = Identifier("Indian Aadhaar", ("9" * 12, "9999-9999-9999!"), _valid)
