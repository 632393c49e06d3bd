"""The search for the identity numbers of all countries, at once: by shape, then by check digit."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_tune.prepare.privacy.cues import cued
from lightning_tune.prepare.privacy.ids.brazil import CPF
from lightning_tune.prepare.privacy.ids.britain import NINO
from lightning_tune.prepare.privacy.ids.canada import SIN
from lightning_tune.prepare.privacy.ids.china import RESIDENT_ID, RESIDENT_ID_1984
from lightning_tune.prepare.privacy.ids.france import NIR
from lightning_tune.prepare.privacy.ids.germany import STEUER_ID
from lightning_tune.prepare.privacy.ids.hong_kong import HKID
from lightning_tune.prepare.privacy.ids.identifier import COMPACT, Identifier
from lightning_tune.prepare.privacy.ids.india import AADHAAR
from lightning_tune.prepare.privacy.ids.italy import CODICE_FISCALE
from lightning_tune.prepare.privacy.ids.korea import RRN
from lightning_tune.prepare.privacy.ids.netherlands import BSN
from lightning_tune.prepare.privacy.ids.poland import PESEL
from lightning_tune.prepare.privacy.ids.shapes import any_shape
from lightning_tune.prepare.privacy.ids.spain import DNI, NIE
from lightning_tune.prepare.privacy.ids.sweden import PERSONNUMMER
from lightning_tune.prepare.privacy.ids.taiwan import TAIWAN_ID
from lightning_tune.prepare.privacy.ids.usa import SSN, SSN_BARE
from lightning_tune.prepare.privacy.spans import Found

IDENTIFIERS = (
    SSN,
    SSN_BARE,
    NINO,
    RESIDENT_ID,
    RESIDENT_ID_1984,
    AADHAAR,
    BSN,
    CODICE_FISCALE,
    CPF,
    DNI,
    HKID,
    NIE,
    NIR,
    PERSONNUMMER,
    PESEL,
    RRN,
    SIN,
    STEUER_ID,
    TAIWAN_ID,
)
_REACH = 32

_OWNERS: dict[str, list[Identifier]] = {}
for _identifier in IDENTIFIERS:
    for _shape in _identifier.shapes:
        _OWNERS.setdefault(_shape, []).append(_identifier)
_ANY, _SHAPES = any_shape(_OWNERS)
_BY_GROUP = [_OWNERS[shape] for shape in _SHAPES]


def national_ids(text: str) -> Iterator[Found]:
    """Find identity numbers.

    >>> list(national_ids("SSN 219-09-9999, id 11010519491231002X, not 11010519491231003X"))
    [(4, 15), (20, 38)]
    """
    for match in _ANY.finditer(text):
        group = match.lastindex or 1
        start, end = match.start(), match.end(group)
        code = text[start:end].translate(COMPACT)
        for identifier in _BY_GROUP[group - 1]:
            if identifier.valid(code) and (
                identifier.cue is None or cued(text, start, identifier.cue, _REACH)
            ):
                yield start, end
                break
