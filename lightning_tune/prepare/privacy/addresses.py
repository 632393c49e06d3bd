"""Street addresses in European languages, as far as rules can: a word for streets, a number."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_tune.prepare.privacy.spans import Found

_ENGLISH = (  # https://pe.usps.com/text/pub28/28apc_002.htm, the British ones, and short forms
    "Alley|Annex|Arcade|Avenue|Ave|Bayou|Beach|Bend|Bluff|Bluffs|Bottom|Boulevard|Blvd|Branch|"
    "Bridge|Brook|Brooks|Burg|Burgs|Bypass|Byway|Camp|Canyon|Cape|Causeway|Center|Centers|Centre|"
    "Chase|Circle|Circles|Cir|Cliff|Cliffs|Close|Club|Common|Commons|Corner|Corners|Course|Court|"
    "Courts|Cove|Coves|Creek|Crescent|Crest|Croft|Crossing|Crossroad|Crossroads|Curve|Dale|Dam|"
    "Divide|Drive|Drives|Dr|Estate|Estates|Expressway|Extension|Extensions|Fall|Falls|Ferry|Field|"
    "Fields|Flat|Flats|Ford|Fords|Forest|Forge|Forges|Fork|Forks|Fort|Freeway|Garden|Gardens|Gate|"
    "Gateway|Glen|Glens|Green|Greens|Grove|Groves|Harbor|Harbors|Haven|Heights|Highway|Hwy|Hill|"
    "Hills|Hollow|Inlet|Island|Islands|Isle|Junction|Junctions|Key|Keys|Knoll|Knolls|Lake|Lakes|"
    "Land|Landing|Lane|Ln|Light|Lights|Loaf|Lock|Locks|Lodge|Loop|Mall|Manor|Manors|Meadow|Meadows|"
    "Mews|Mill|Mills|Mission|Motorway|Mount|Mountain|Mountains|Neck|Oaks|Orchard|Oval|Overpass|"
    "Park|Parks|Parkway|Parkways|Pkwy|Parade|Pass|Passage|Path|Pike|Pine|Pines|Place|Pl|Plain|"
    "Plains|Plaza|Point|Points|Port|Ports|Prairie|Quay|Radial|Ramp|Ranch|Rapid|Rapids|Rest|Ridge|"
    "Ridges|Rise|River|Road|Roads|Rd|Route|Row|Rue|Run|Shoal|Shoals|Shore|Shores|Skyway|Spring|"
    "Springs|Spur|Spurs|Square|Squares|Sq|Station|Stravenue|Stream|Street|Streets|St|Summit|"
    "Terrace|Ter|Throughway|Trace|Track|Trafficway|Trail|Trl|Tunnel|Turnpike|Underpass|Union|"
    "Unions|Valley|Valleys|Via|Viaduct|View|Views|Village|Villages|Ville|Vista|Walk|Walks|Wall|Way|"
    "Ways|Well|Wells|Wharf|Wynd"
)
_UNIT = r"(?:,?[ \n](?:Apt|Apartment|Suite|Ste|Unit|Flat|Floor|Fl|Room|Rm|No)\b\.?[ ]?#?\w{1,6})?+"
_CITY = r"(?:,?[ \n][A-Z][\w.\-']{1,24}(?:[ ][A-Z][\w.\-']{1,24}){0,2},?[ ][A-Z]{2}[ ][0-9]{5}(?:-[0-9]{4})?)?+"
_NUMBER = r"(?<![\w.,])[0-9]{1,6}[A-Za-z]?(?:[\-/][0-9]{1,5}[A-Za-z]?)?"
_NAME = r"[^\W\d_a-z][\w.\-'’]{0,24}"
_STREETS = re.compile(
    rf"{_NUMBER},?[ ](?:{_NAME}[ ]){{1,4}}(?i:{_ENGLISH})\b(?![ ]of\b)\.?{_UNIT}{_CITY}"
)
_LITTLE = (
    r"(?:(?:de|du|des|la|las|le|les|los|el|do|da|dos|das|del|della|dei|di|van|l'|d'|d’|l’)[ ]?)"
)
_ROMANCE_FIRST = (
    "rue|avenue|boulevard|chemin|impasse|allée|quai|cours|route|place|passage|calle|avenida|avda|"
    "plaza|paseo|carrer|ronda|camino|rambla|glorieta|cañada|cuesta|pasaje|vial|acceso|callejón|"
    "via|viale|piazza|corso|vicolo|largo|borgo|strada|contrada|stretto|incrocio|canale|rotonda|"
    "rua|travessa|praça|praia|alameda|estrada|rodovia|viela|morro|vila|vereda|setor|trecho|núcleo"
)
_NUMBER_FIRST = re.compile(
    rf"{_NUMBER}(?:[ ](?:bis|ter|quater))?,?[ ](?i:{_ROMANCE_FIRST})[ ]{_LITTLE}{{0,3}}{_NAME}"
    rf"(?:[ ]{_LITTLE}?{_NAME}){{0,3}}"
)
_NUMBER_LAST = re.compile(
    rf"(?<!\w)(?i:{_ROMANCE_FIRST}|c/)\.?[ ]{_LITTLE}{{0,3}}{_NAME}(?:[ ]{_LITTLE}?{_NAME}){{0,3}},?"
    r"[ ](?:n[.º°]?[ ]?)?[0-9]{1,5}(?![\w])(?:,?[ ]?(?:Appartamento|Piso|Puerta|Apt\.?|piano)[ ]\w{1,4})?+"
)
_GERMANIC = re.compile(
    r"(?<![\w.\-])(?P<street>[^\W\d_a-z][\w.\-]{3,40}+|[^\W\d_a-z][\w.\-]{1,30}+[ ](?i:stra(?:ß|ss)e"
    r"|str\.|weg|allee|platz|gasse|ring|damm|ufer|straat|laan|plein))"
    r"[ ][0-9]{1,4}(?:[ ]?[a-zA-Z])?(?![\w])(?:,?[ \n][0-9]{5}[ ][^\W\d_a-z][\w\-]{1,30})?+"
)
_GERMANIC_ENDS = [
    "straße",
    "strasse",
    "str.",
    "weg",
    "allee",
    "platz",
    "gasse",
    "ring",
    "damm",
    "ufer",
    "steig",
    "straat",
    "laan",
    "plein",
    "gracht",
    "kade",
    "dreef",
    "singel",
    "hof",
    "pad",
    "gatan",
    "vägen",
    "veien",
    "gata",
]
_BOXES = re.compile(
    r"(?<!\w)(?:P\.?[ ]?O\.?[ ]?Box[ ][0-9]{1,6}"
    r"|(?:PSC|Unit|USNV|USNS|USS|USCGC)[ ][\w, ]{1,40}[ \n][AFD]PO[ ]A[AEP][ ][0-9]{5})(?!\w)"
)
_POSTCODES = re.compile(  # British
    r"(?<![0-9A-Za-z])[A-PR-UWYZ][A-HK-Y]?[0-9][0-9A-HJKPSTUW]?[ ][0-9][ABD-HJLNP-UW-Z]{2}(?!\w)"
)


def addresses(text: str) -> Iterator[Found]:
    """Find street addresses, British postcodes and post-office boxes.

    >>> text = "12 Oak Street, Apt 4; 3, rue de la Paix; Hauptstraße 5a; Via Roma 7; not 3 Big Cats"
    >>> [text[start:end] for start, end in addresses(text)]
    ['12 Oak Street, Apt 4', '3, rue de la Paix', 'Via Roma 7', 'Hauptstraße 5a']
    """
    for pattern in (_STREETS, _NUMBER_FIRST, _NUMBER_LAST, _BOXES, _POSTCODES):
        for match in pattern.finditer(text):
            yield match.span()
    for match in _GERMANIC.finditer(text):
        if match["street"].lower().endswith(_ENDS):
            yield match.span()


_ENDS = tuple(_GERMANIC_ENDS)
