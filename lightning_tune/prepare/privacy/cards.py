"""Payment card numbers: ISO/IEC 7812, by issuer's digits, length and Luhn's check."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_tune.prepare.privacy.checksums import luhn
from lightning_tune.prepare.privacy.spans import Found

# American Express, Diners Club, JCB, Visa, Mastercard, Mir, Discover, UnionPay, Maestro, RuPay.
_ISSUER = re.compile(
    r"3[47]|30[0-5]|3[689]|35|4|5[0-8]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720|20[0-4])|2131|1800|6"
)
_COMPACT = re.compile(r"(?<![0-9])(?<![0-9]\.)[1-6][0-9]{11,18}(?![0-9])")
_GROUPED = re.compile(  # a number that fails may hold the head of one that does not
    r"(?<![0-9])(?=([1-6][0-9]{3}([ \-])(?:"
    r"[0-9]{4}\2[0-9]{4}\2[0-9]{4}(?:\2[0-9]{3})?+|[0-9]{4}\2[0-9]{4}|[0-9]{6}\2[0-9]{4,5})"
    r"(?![0-9])))"
)


def cards(text: str) -> Iterator[Found]:
    """Find card numbers, in one piece or in their usual groups.

    >>> sorted(cards("4111 1111 1111 1111, 378282246310005; not 4111 1111 1111 1112"))
    [(0, 19), (21, 36)]
    """
    for match in _COMPACT.finditer(text):
        if _ISSUER.match(match[0]) and luhn(match[0]):
            yield match.span()
    for match in _GROUPED.finditer(text):
        if _ISSUER.match(match[1]) and luhn(match[1].replace(match[2], "")):
            yield match.span(1)
