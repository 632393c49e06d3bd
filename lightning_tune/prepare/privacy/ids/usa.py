"""United States: the social security number. It has no check digit, so bare digits need a word.

https://www.ssa.gov/employer/randomization.html
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.cues import cue
from lightning_tune.prepare.privacy.ids.identifier import Identifier


def _issued(digits: str) -> bool:
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


SSN = Identifier("US social security number", ("999-99-9999",), _issued)
SSN_BARE = Identifier(SSN.name, ("999999999",), _issued, cue(r"\bssn\b", "social security"))
