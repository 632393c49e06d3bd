"""Chinese street addresses: a road and a house number, with the places named before them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_tune.prepare.privacy.spans import Found

_INSIDE = (
    r"(?:[0-9A-Za-z一二三四五六七八九十\-]{1,5}[ ]?"
    r"(?:号楼|单元|栋|幢|座|楼|层|室|號|号|户))"
)
# The part that tells an address; what stands before it is taken along by `_start`.
_HOUSE = re.compile(
    r"(?:路|街|大道|道|巷|弄|胡同|里|村|镇|区|苑|园|城)[ ]?[0-9A-Za-z]{1,5}"
    rf"(?:[\-之][0-9]{{1,4}})?[ ]?(?:号楼|号|號|弄|座|栋|幢)(?![码线])[ ]?{_INSIDE}{{0,4}}+"
    rf"|[0-9]{{1,3}}[ ]?(?:栋|幢|号楼)[ ]?{_INSIDE}{{1,3}}+"
)
_OUTSIDE = frozenset("在于住到是址至往去离从和与及的了")
_REACH = 24


def chinese_addresses(text: str) -> Iterator[Found]:
    """Find Chinese addresses.

    >>> text = "我住在北京市朝阳区建国路88号3号楼501室，很近"
    >>> [text[start:end] for start, end in chinese_addresses(text)]
    ['北京市朝阳区建国路88号3号楼501室']
    """
    if text.isascii():
        return
    for match in _HOUSE.finditer(text):
        yield _start(text, match.start()), match.end()


def _start(text: str, house: int) -> int:
    """Return where an address begins: behind the last word that cannot be part of it."""
    start = house
    for place in range(house - 1, max(-1, house - 1 - _REACH), -1):
        char = text[place]
        if not "\u4e00" <= char <= "\u9fff" or char in _OUTSIDE:
            break
        start = place
    return start
