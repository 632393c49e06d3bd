"""Germany: the tax identification number (Steuer-ID).

https://www.bzst.de/DE/Privatpersonen/SteuerlicheIdentifikationsnummer/steuerlicheidentifikationsnummer_node.html
"""

from __future__ import annotations

from collections import Counter

from lightning_tune.prepare.privacy.checksums import mod11_10
from lightning_tune.prepare.privacy.ids.identifier import Identifier


def _valid(digits: str) -> bool:
    most = max(Counter(digits[:10]).values())
    return (
        digits[0] != "0" and most in (2, 3) and len(set(digits[:10])) in (8, 9) and mod11_10(digits)
    )


STEUER_ID = Identifier("German tax number", ("9" * 11, "99 999 999 999"), _valid)
