"""Dates of birth: full dates that the words around them call one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_tune.prepare.privacy.cues import cue, cued
from lightning_tune.prepare.privacy.spans import Found

_MONTHS = frozenset(  # their first three letters, in nine languages
    """
    jan feb mar apr may jun jul aug sep oct nov dec mär mai okt dez jän fév avr jui aoû déc ene abr
    ago dic gen mag giu lug set ott fev out mrt mei янв фев мар апр мая май июн июл авг сен окт ноя
    дек
    """.split()  # noqa: SIM905
)
_DAY = r"[0-9]{1,2}(?:st|nd|rd|th|er|\.|º)?"
_DATE = re.compile(
    r"(?<![0-9])(?:"
    r"[0-9]{1,4}[.\-/][ ]?[0-9]{1,2}[.\-/][ ]?[0-9]{2,4}"
    r"|[0-9]{4}[ ]?[年년][ ]?[0-9]{1,2}[ ]?[月월][ ]?[0-9]{1,2}[ ]?[日号일]?"
    r"|(?:19|20)[0-9]{2}[01][0-9][0-3][0-9]"
    rf"|{_DAY}[ \-](?:de |of )?(?P<first>[^\W\d_]{{3,12}}+)[.,]?[ \-](?:de |of )?[0-9]{{4}}"
    rf"|(?P<second>(?<![^\W\d_])[^\W\d_]{{3,12}}+)\.?[ ]{_DAY},?[ ][0-9]{{4}}"
    r")(?![0-9])",
    re.IGNORECASE,
)
_BEFORE = cue(
    r"\b(?:d\.?o\.?b\b|date of birth|birth|born|geb(?:oren|urt|\.)|née?\b|naissance|naci[dm]|"
    r"nascid|nascimento|nascita|nat[oa] |geboorte|urodz|född|födel|fød)",
    "рожд|родил|出生|生日|生年月日|誕生|생년월일|생일",
)
_AFTER = cue("出生|生まれ|출생")
_REACH, _REACH_AFTER = 32, 4


def births(text: str) -> Iterator[Found]:
    """Find dates of birth.

    >>> list(births("DOB: 1990-05-12. Born on May 12, 1990. Ordered on 2020-05-12, 12 May 2020."))
    [(5, 15), (25, 37)]
    """
    dates = [
        match for match in _DATE.finditer(text) if _is_month(match["first"] or match["second"])
    ]
    if not dates or not (_BEFORE.search(text) or _AFTER.search(text)):
        return
    for date in dates:
        if cued(text, date.start(), _BEFORE, _REACH) or _AFTER.search(
            text, date.end(), date.end() + _REACH_AFTER
        ):
            yield date.span()


def _is_month(word: str | None) -> bool:
    return word is None or word[:3].lower() in _MONTHS
