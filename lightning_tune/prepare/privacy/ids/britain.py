"""United Kingdom: the national insurance number. It has no check digit; its prefixes are few.

https://www.gov.uk/hmrc-internal-manuals/national-insurance-manual/nim39110
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.ids.identifier import Identifier

_NOT_ISSUED = ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def _issued(code: str) -> bool:
    first, second = code[0], code[1]
    return (
        first not in "DFIQUV"
        and second not in "DFIOQUV"
        and code[:2] not in _NOT_ISSUED
        and code[-1] in "ABCD"
    )


NINO = Identifier(
    "UK national insurance number",
    ("AA-?99-?99-?99-?A", "AA-?999999-?A"),
    _issued,
)
