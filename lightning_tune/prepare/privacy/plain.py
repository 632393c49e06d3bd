"""A text's look-alike in ASCII, character for character, so that places in both agree."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

_WIDE = string.ascii_letters + string.digits + "@.-+/()#_:&=%"  # not what ends a sentence
_ZEROS = "\u0660\u06f0\u0966\u09e6\u0e50"  # Arabic, Persian, Devanagari, Bengali, Thai
_SPACES = (
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000"
)
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"


def _table() -> Mapping[int, int]:
    table = {0xFEE0 + ord(char): ord(char) for char in _WIDE}
    table |= {ord(zero) + digit: ord("0") + digit for zero in _ZEROS for digit in range(10)}
    table |= dict.fromkeys(map(ord, _SPACES), ord(" "))
    table |= dict.fromkeys(map(ord, _DASHES), ord("-"))
    table[0xFE6B] = ord("@")
    return table


_TABLE = _table()
_ANY = re.compile(f"[{''.join(map(re.escape, map(chr, _TABLE)))}]")


def plain(text: str) -> str:
    """Return the text with full-width and foreign digits, spaces and dashes in ASCII.

    >>> plain("电话１３８—００")
    '电话138-00'
    """
    return text if text.isascii() or not _ANY.search(text) else text.translate(_TABLE)
