"""The Netherlands: the BSN. One in eleven numbers passes its check, so it needs a word before it.

https://www.rvig.nl/bsn
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.checksums import weighted
from lightning_tune.prepare.privacy.cues import cue
from lightning_tune.prepare.privacy.ids.identifier import Identifier


def _valid(digits: str) -> bool:
    return digits != "0" * 9 and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


BSN = Identifier(
    "Dutch BSN", ("9" * 9, "9999.99.999"), _valid, cue(r"\bbsn\b", "burgerservice", "sofi")
)
