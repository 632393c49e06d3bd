"""Brazil: the CPF, with its two check digits.

https://www.gov.br/receitafederal
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.checksums import weighted
from lightning_tune.prepare.privacy.ids.identifier import Identifier


def _check(digits: str) -> str:
    return str(weighted(digits, range(len(digits) + 1, 1, -1)) * 10 % 11 % 10)


def _valid(digits: str) -> bool:
    return (
        len(set(digits)) > 1
        and _check(digits[:9]) == digits[9]
        and _check(digits[:10]) == digits[10]
    )


CPF = Identifier("Brazilian CPF", ("9" * 11, "999.999.999-99"), _valid)
