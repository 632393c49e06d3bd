"""Street addresses in European languages, as far as rules can: a word for streets and a number."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_tune.prepare.privacy.spans import Found
from lightning_tune.prepare.privacy.street_words import ALONE, BEFORE, BEHIND, ENDINGS

_FIRST = (*BEFORE, "c/")
_BEFORE = "|".join(map(re.escape, BEFORE))
_LITTLE = (
    r"(?:(?:de|du|des|la|las|le|les|los|el|do|da|dos|das|del|della|dei|di|van|l'|d'|d’|l’)[ ]?)"
)
_CAPITAL = "A-Z\u00c0-\u00de\u0100-\u017f"  # and some small letters of Latin Extended-A
_NAME = rf"[{_CAPITAL}][\w.\-'’]{{0,24}}"
_NAMES = rf"{_LITTLE}{{0,3}}{_NAME}(?:[ ]{_LITTLE}?{_NAME}){{0,3}}"

# Patterns begin with a set of characters and look behind it: that is how re skips the rest fast.
_NUMBER = re.compile(
    r"[0-9](?<![\w.,][0-9])[0-9]{0,5}[A-Za-z]?(?:[\-/][0-9]{1,5}[A-Za-z]?)?"
    r"(?:[ ](?:bis|ter|quater))?,?[ \n](?=[^\W\d_])"
)
_UNIT_BEFORE = re.compile(r"(?<!\w)(?:Flat|Studio|Apartment|Apt\.?|Unit|Suite)[ ]\Z")
_LATIN = "A-Za-z\u00c0-\u024f"
_WORDS = re.compile(rf"[{_LATIN}][\w\-'’]{{0,24}}+(?:\.?[ ][{_LATIN}][\w\-'’]{{0,24}}+){{1,5}}+")
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
    rf"[{_CAPITAL}](?<![\w.\-][{_CAPITAL}])"
    rf"(?P<street>[\w.\-]{{3,40}}+|[\w.\-]{{1,30}}+[ ](?i:{'|'.join(ALONE)}))"
    r"[ ][0-9]{1,4}(?:[ ]?[a-zA-Z])?(?:[/\-][0-9]{1,4})?(?!\w)"
    rf"(?:,?[ \n][0-9]{{5}}[ ][{_CAPITAL}][\w\-]{{1,30}})?+"
)
_BOX = re.compile(
    r"[PU](?<!\w[PU])(?:\.?[ ]?O\.?[ ]?Box[ ][0-9]{1,6}"
    r"|(?:SC|nit|SNV|SNS|SS|SCGC)[ ][\w, ]{1,40}[ \n][AFD]PO[ ]A[AEP][ ][0-9]{5})(?!\w)"
)
_POSTCODE = re.compile(  # British
    r"[A-PR-UWYZ](?<![0-9A-Za-z][A-Z])[A-HK-Y]?[0-9][0-9A-HJKPSTUW]?[ ][0-9][ABD-HJLNP-UW-Z]{2}"
    r"(?!\w)"
)
_NO_NAME = frozenset({"on", "at", "with", "for", "from"})
"""Words that no street is called by; all of a text may be in capitals."""

_MAY_BE = re.compile(f"[{_CAPITAL}]")


def addresses(text: str) -> Iterator[Found]:
    """Find street addresses, British postcodes and post-office boxes.

    >>> text = "12 Oak Street, Apt 4; 3, rue de la Paix; Hauptstraße 5a; Via Roma 7; not 3 Big Cats"
    >>> [text[start:end] for start, end in addresses(text)]
    ['12 Oak Street, Apt 4', '3, rue de la Paix', 'Via Roma 7', 'Hauptstraße 5a']
    """
    if not _MAY_BE.search(text):
        return
    for number in _NUMBER.finditer(text):
        end = _street_end(text, number.end())
        if end is not None:
            unit = _UNIT_BEFORE.search(text[max(0, number.start() - 12) : number.start()])
            yield number.start() - (0 if unit is None else len(unit[0])), end
    lowered = text.lower()
    patterns = [_BOX, _POSTCODE]
    if any(word in lowered for word in _FIRST):
        patterns.append(_STREET_FIRST)
    for pattern in patterns:
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
        if bare[0].islower() or bare.lower() in _NO_NAME:
            break
        place += len(word) + 1
    if end is None or text.startswith(" of ", end):
        return None
    rest = _REST.match(text, end)
    return end if rest is None else rest.end()
