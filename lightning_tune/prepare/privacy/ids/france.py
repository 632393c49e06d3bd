"""France: the NIR, or social security number, with its key.

https://xml.insee.fr/schema/nir.html
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.ids.identifier import Identifier


def _valid(code: str) -> bool:
    number = code[:13].replace("2A", "19").replace("2B", "18") if code[5] == "2" else code[:13]
    return code[0] in "123478" and number.isdigit() and 97 - int(number) % 97 == int(code[13:])


NIR = Identifier(
    "French social security number",
    ("9" * 15, "9 99 99 99 999 999 99", "99999" + "9A" + "9" * 8, "9 99 99 9A 999 999 99"),
    _valid,
)
