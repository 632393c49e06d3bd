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
_MORE = r"[0-9]?(?:st|nd|rd|th|er|\.|º)?"  # of a day, behind its first digit
_DATE = re.compile(  # the first digit of a number, and what makes it the beginning of a date
    r"[0-9](?<![0-9][0-9])(?:"
    r"[0-9]{0,3}[.\-/][ ]?[0-9]{1,2}[.\-/][ ]?[0-9]{2,4}"
    r"|[0-9]{3}[ ]?[年년][ ]?[0-9]{1,2}[ ]?[月월][ ]?[0-9]{1,2}[ ]?[日号일]?"
    r"|(?<=[12])[09][0-9]{2}[01][0-9][0-3][0-9]"
    rf"|{_MORE}[ \-](?:de |of )?(?P<month>[^\W\d_]{{3,12}}+)[.,]?[ \-](?:de |of )?[0-9]{{4}}"
    rf"|{_MORE},?[ ](?P<year>[0-9]{{4}})"
    r")(?![0-9])",
    re.IGNORECASE,
)
_MONTH_BEFORE = re.compile(r"(?<![^\W\d_])[^\W\d_]{3,12}(?=\.?[ ]\Z)")
_LONGEST_MONTH = 16  # with what separates it from the day
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
    dates = [span for match in _DATE.finditer(text) if (span := _span(text, match)) is not None]
    if not dates or not (_BEFORE.search(text) or _AFTER.search(text)):
        return
    for start, end in dates:
        if cued(text, start, _BEFORE, _REACH) or _AFTER.search(text, end, end + _REACH_AFTER):
            yield start, end


def _span(text: str, match: re.Match[str]) -> Found | None:
    """Return where a date stands, with a month's name before it; None: its word is no month's."""
    start, end = match.span()
    if match["year"] is not None:
        month = _MONTH_BEFORE.search(text[max(0, start - _LONGEST_MONTH) : start])
        if month is None or month[0][:3].lower() not in _MONTHS:
            return None
        return max(0, start - _LONGEST_MONTH) + month.start(), end
    if match["month"] is not None and match["month"][:3].lower() not in _MONTHS:
        return None
    return start, end
