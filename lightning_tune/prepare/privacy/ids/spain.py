"""Spain: the DNI of citizens and the NIE of foreigners, with their letter.

https://www.interior.gob.es/opencms/es/servicios-al-ciudadano/tramites-y-gestiones/dni/calculo-del-digito-de-control-del-nif-nie/
"""

from __future__ import annotations

from lightning_tune.prepare.privacy.ids.identifier import Identifier

_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def _valid_dni(code: str) -> bool:
    return _LETTERS[int(code[:8]) % 23] == code[8]


def _valid_nie(code: str) -> bool:
    return code[0] in "XYZ" and _valid_dni(str("XYZ".index(code[0])) + code[1:])


DNI = Identifier("Spanish DNI", ("99999999-?A",), _valid_dni)
NIE = Identifier("Spanish NIE", ("A-?9999999-?A",), _valid_nie)
