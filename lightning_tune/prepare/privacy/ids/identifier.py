"""One country's identity number: the shapes that people write it in, and what makes it valid."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

COMPACT = str.maketrans(string.ascii_lowercase, string.ascii_uppercase, " -.+/()")
"""For str.translate: drops what separates the parts of a number, and makes letters capitals."""


@dataclass(frozen=True)
class Identifier:
    """A national identity number.

    Args:
        name: Country and name of the number.
        shapes: How it is written: 9 a digit, A a letter, X a digit or X, * either, - a space or
            hyphen, + a plus or hyphen, ? behind what may be missing, ! at the end if no group of
            four digits may stand beside it; all else as it stands.
        valid: Whether a number of that shape is one, given its letters, in capitals, and digits.
        cue: Words of which one has to stand before it, for numbers that prove too little
            themselves; None: none is needed.
    """

    name: str
    shapes: tuple[str, ...]
    valid: Callable[[str], bool]
    cue: re.Pattern[str] | None = None


def is_date(year: int, month: int, day: int) -> bool:
    """Return whether there is such a day.

    >>> is_date(1992, 2, 29), is_date(1993, 2, 29)
    (True, False)
    """
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def is_short_date(digits: str) -> bool:
    """Return whether six digits are a day as yymmdd, in either century.

    >>> is_short_date("920229"), is_short_date("921301")
    (True, False)
    """
    year, month, day = int(digits[:2]), int(digits[2:4]), int(digits[4:6])
    return is_date(1900 + year, month, day) or is_date(2000 + year, month, day)
