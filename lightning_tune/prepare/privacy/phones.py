"""Phone numbers, by the forms that people write; any form where the words before say so."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_tune.prepare.privacy.cues import cue, cued
from lightning_tune.prepare.privacy.spans import Found

_GAP = r"[ .\-/]"
_END = r"(?![0-9])"
_FORMS = (
    # +44 (0)1632 960123, 0049 30 1234567, (+30) 2220 033224
    rf"(?:\(\+[0-9]{{1,3}}\)|(?:\+|00)[ ]?[1-9])"
    rf"(?:{_GAP}{{0,2}}+(?:\([0-9]{{1,5}}\)|[0-9])){{6,15}}",
    # (555) 123-4567, (351) 925807302
    rf"\([0-9]{{2,5}}\){_GAP}{{0,2}}+[0-9]{{2,10}}+(?:{_GAP}[0-9]{{2,5}}+{_END}){{0,4}}+",
    # 1-555-123-4567, 555.123.4567, 8 (123) 456-78-90
    rf"(?:[178]{_GAP}?)?(?:\([0-9]{{3}}\)|[0-9]{{3}}){_GAP}{{1,2}}[0-9]{{3}}{_GAP}"
    rf"(?:[0-9]{{4}}|[0-9]{{2}}{_GAP}[0-9]{{2}})",
    # 01632 960123, 01 23 45 67 89, 010-62345678, 01632960123, 0-3056-0865
    rf"0[0-9]{{1,7}}+(?:{_GAP}[0-9]{{2,8}}+{_END}){{1,5}}+|0[0-9]{{8,11}}"
    r"|0[ \-][0-9]{3,4}[ \-][0-9]{3,4}(?:[ \-][0-9]{3})?+",
    # 138 0013 8000, 86-13800138000; 5551234567, 712345678
    rf"(?:86{_GAP}?)?1[3-9][0-9]{_GAP}?[0-9]{{4}}{_GAP}?[0-9]{{4}}|[1-9][0-9]{{9,10}}|[2-9][0-9]{{8}}",
    # 712 345 678, 2580 073 021; 11 1234-5678; 32 259 61 47; 45/807 3021
    rf"[2-9][0-9]{{2,3}}{_GAP}[0-9]{{3}}{_GAP}(?!000)[0-9]{{3}}"
    rf"|[1-9][0-9]{_GAP}(?:[0-9]{{4}}-[0-9]{{4}}|[0-9]{{3}}{_GAP}[0-9]{{2}}{_GAP}[0-9]{{2}})"
    r"|[1-9][0-9]/[0-9]{3}[ \-][0-9]{3,4}",
    # 4580 7302; 54 06 13 58; 457-3681, 702-93-13
    r"[2-9][0-9]{3}[ \-][0-9]{4}|[2-9][0-9](?:[ ][0-9]{2}){3}"
    r"|[2-9][0-9]{2}-(?:[0-9]{4}|[0-9]{2}-[0-9]{2})",
)
_FORM = re.compile(
    rf"(?<![0-9])(?<![0-9][.,])(?=[+(0-9])(?:{'|'.join(_FORMS)}){_END}"
    r"(?:[ ]?(?:[xX]|ext\.?|#)[ ]?[0-9]{1,6})?+"
)
_NUMBER = re.compile(r"(?<![0-9])[+(]{0,2}+[0-9](?:[ .\-/()]{0,3}+[0-9])++")
_CUES = cue(
    r"\b(?:tel|phone|mobile|cell|call|text|fax|whatsapp|ring|dial|contact|telefon|telefono|"
    r"teléfono|téléphone|telefone|móvil|handy|mobil|portable|celular|телефон|тел)\w{0,8}\b",
    "电话|手机|致电|联系方式|联系我|拨打|座机|传真|热线|電話|携帯|전화|휴대폰",
)
_REACH = 24
_FEWEST = 7  # digits
_NOT_DIGITS = str.maketrans("", "", " .-/()+#xXet")
_OTHER = re.compile(  # dates, spans of years, and a year in brackets before a number
    r"[0-9]{1,2}[.\-/][0-9]{1,2}[.\-/](?:19|20)[0-9]{2}"
    r"|(?:19|20)[0-9]{2}(?:[.\-/][01][0-9]?[.\-/]|[ \-/](?:19|20)[0-9]{2}$)"
    r"|\((?:19|20)[0-9]{2}\)[ ][0-9]{1,4}$"
)


def phones(text: str) -> Iterator[Found]:
    """Find phone numbers.

    >>> list(phones("(555) 123-4567 or +44 1632 960123; order 123456, born 01-02-1990 1030"))
    [(0, 14), (18, 33)]
    """
    for match in _FORM.finditer(text):
        if _plausible(match[0]):
            yield match.span()
    if _CUES.search(text):
        for match in _NUMBER.finditer(text):
            if cued(text, match.start(), _CUES, _REACH) and _plausible(match[0]):
                yield match.span()


def _plausible(written: str) -> bool:
    return len(written.translate(_NOT_DIGITS)) >= _FEWEST and not _OTHER.match(written)
