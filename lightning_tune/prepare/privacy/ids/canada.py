"""Canada: the social insurance number, with Luhn's check digit.

https://www.canada.ca/en/employment-social-development/services/sin.html
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.checksums import luhn
from lightning_tune.prepare.privacy.ids.identifier import Identifier


def _valid(digits: str) -> bool:
    return digits[0] not in "08" and luhn(digits)


SIN = Identifier("Canadian social insurance number", ("999-999-999",), _valid)
