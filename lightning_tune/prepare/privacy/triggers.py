"""What a text must hold before a detector is worth its time: most texts hold none of it."""

from __future__ import annotations

import re

_ANY_ASCII = re.compile(r"[0-9@]|:[:/]")
_ANY = re.compile(r"[\d@＠﹫座]|[:：][:：/／]")
_DIGIT = re.compile(r"[0-9]")
_SIX_DIGITS = re.compile(r"[0-9](?:[^0-9]{0,3}+[0-9]){5}")


def worth_a_look(text: str) -> bool:
    """Return whether any rule could find anything in a text, before it is made plain.

    >>> worth_a_look("Where is my card?"), worth_a_look("Call me at 5")
    (False, True)
    """
    return (_ANY_ASCII if text.isascii() else _ANY).search(text) is not None


def at_sign(text: str) -> bool:
    """Return whether an e-mail address could be in a plain text."""
    return "@" in text


def scheme(text: str) -> bool:
    """Return whether a URL could be in a plain text."""
    return "://" in text


def dots_or_colons(text: str) -> bool:
    """Return whether an IP address could be in a plain text.

    >>> dots_or_colons("1.0."), dots_or_colons("1.2.3.4"), dots_or_colons("fe80::1")
    (False, True, True)
    """
    return text.count(".") > 2 or text.count(":") > 1


def six_digits(text: str) -> bool:
    """Return whether six digits stand close together in a plain text.

    >>> six_digits("5 stars in 2019"), six_digits("(0) 12-34 / 5")
    (False, True)
    """
    return _SIX_DIGITS.search(text) is not None


def house(text: str) -> bool:
    """Return whether a Chinese house number, or a letter before 座, could be in a plain text."""
    return "座" in text or digit(text)


def digit(text: str) -> bool:
    """Return whether a plain text holds a digit."""
    return _DIGIT.search(text) is not None
