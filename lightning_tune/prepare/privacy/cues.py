"""Words near a number that say what it is, in the languages of the detectors."""

from __future__ import annotations

import re


def cue(*words: str) -> re.Pattern[str]:
    r"""Compile words, as regular expressions, into a search that ignores case.

    >>> bool(cue("tel", "电话").search("TEL: "))
    True
    """
    return re.compile("|".join(words), re.IGNORECASE)


def cued(text: str, start: int, words: re.Pattern[str], reach: int) -> bool:
    r"""Return whether one of the words ends in the `reach` characters before a place.

    >>> cued("my ssn is 5", 10, cue(r"\bssn\b"), 10)
    True
    """
    return words.search(text, max(0, start - reach), start) is not None
