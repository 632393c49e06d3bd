"""Street addresses in European languages, as far as rules can: a word for streets and a number."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_tune.prepare.privacy.spans import Found
from lightning_tune.prepare.privacy.street_words import ALONE, BEFORE, BEHIND, ENDINGS

_BEFORE = "|".join(map(re.escape, BEFORE))
_LITTLE = (
    r"(?:(?:de|du|des|la|las|le|les|los|el|do|da|dos|das|del|della|dei|di|van|l'|d'|d’|l’)[ ]?)"
)
_NAME = r"[^\W\d_a-z][\w.\-'’]{0,24}"
_NAMES = rf"{_LITTLE}{{0,3}}{_NAME}(?:[ ]{_LITTLE}?{_NAME}){{0,3}}"

_NUMBER = re.compile(
    r"(?<![\w.,])(?:(?:Flat|Studio|Apartment|Apt\.?|Unit|Suite)[ ])?"
    r"[0-9]{1,6}[A-Za-z]?(?:[\-/][0-9]{1,5}[A-Za-z]?)?(?:[ ](?:bis|ter|quater))?,?[ \n]"
    r"(?=[^\W\d_])"
)
_WORDS = re.compile(r"[^\W\d_][\w\-'’]{0,24}+(?:\.?[ ][^\W\d_][\w\-'’]{0,24}+){1,5}+")
_STREET = re.compile(rf"(?i:{_BEFORE})[ ]{_NAMES}")
_REST = re.compile(
    r"\.?(?:,?[ \n](?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm|No)\b\.?[ ]?#?\w{1,6})?+"
    r"(?:,?[ \n][A-Z][\w.\-']{1,24}(?:[ ][A-Z][\w.\-']{1,24}){0,2},?[ ][A-Z]{2}[ ][0-9]{5}"
    r"(?:-[0-9]{4})?)?+"
)
_STREET_FIRST = re.compile(
    rf"(?<!\w)(?=[^\W\d_])(?i:{_BEFORE}|c/)\.?[ ]{_NAMES}"
    r",?[ ](?:n[.º°]?[ ]?)?[0-9]{1,5}(?:/[0-9]{1,4})?(?!\w)"
    r"(?:,?[ ]?(?i:Appartamento|Piso|Puerta|Apt\.?|piano)[ ]\w{1,4})?+"
)
_GERMANIC = re.compile(
    r"(?<![\w.\-])[^\W\d_a-z]"
    rf"(?P<street>[\w.\-]{{3,40}}+|[\w.\-]{{1,30}}+[ ](?i:{'|'.join(ALONE)}))"
    r"[ ][0-9]{1,4}(?:[ ]?[a-zA-Z])?(?:[/\-][0-9]{1,4})?(?!\w)"
    r"(?:,?[ \n][0-9]{5}[ ][^\W\d_a-z][\w\-]{1,30})?+"
)
_BOX = re.compile(
    r"(?<!\w)(?:P\.?[ ]?O\.?[ ]?Box[ ][0-9]{1,6}"
    r"|(?:PSC|Unit|USNV|USNS|USS|USCGC)[ ][\w, ]{1,40}[ \n][AFD]PO[ ]A[AEP][ ][0-9]{5})(?!\w)"
)
_POSTCODE = re.compile(  # British
    r"(?<![0-9A-Za-z])[A-PR-UWYZ][A-HK-Y]?[0-9][0-9A-HJKPSTUW]?[ ][0-9][ABD-HJLNP-UW-Z]{2}(?!\w)"
)


def addresses(text: str) -> Iterator[Found]:
    """Find street addresses, British postcodes and post-office boxes.

    >>> text = "12 Oak Street, Apt 4; 3, rue de la Paix; Hauptstraße 5a; Via Roma 7; not 3 Big Cats"
    >>> [text[start:end] for start, end in addresses(text)]
    ['12 Oak Street, Apt 4', '3, rue de la Paix', 'Via Roma 7', 'Hauptstraße 5a']
    """
    for number in _NUMBER.finditer(text):
        end = _street_end(text, number.end())
        if end is not None:
            yield number.start(), end
    for pattern in (_STREET_FIRST, _BOX, _POSTCODE):
        for match in pattern.finditer(text):
            yield match.span()
    for match in _GERMANIC.finditer(text):
        if match["street"].lower().endswith(ENDINGS):
            yield match.span()


def _street_end(text: str, start: int) -> int | None:
    """Return where the street's name behind a number ends, with what follows; None: it is none."""
    street = _STREET.match(text, start)
    if street is not None:
        return street.end()
    words = _WORDS.match(text, start)
    if words is None:
        return None
    end, place = None, start
    for word in words[0].split(" "):
        bare = word.rstrip(".")
        if place > start and bare.lower() in BEHIND:
            end = place + len(bare)
        if bare[0].islower():
            break
        place += len(word) + 1
    if end is None or text.startswith(" of ", end):
        return None
    rest = _REST.match(text, end)
    return end if rest is None else rest.end()
