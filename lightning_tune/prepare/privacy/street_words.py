"""Words that make a name a street's: behind it, before it, or as the end of it."""

from __future__ import annotations

# https://pe.usps.com/text/pub28/28apc_002.htm, the British ones, and short forms.
BEHIND = frozenset(
    """
    alley annex arcade avenue ave bayou beach bend bluff bluffs bottom boulevard blvd branch bridge
    brook brooks burg burgs bypass byway camp canyon cape causeway center centers centre chase
    circle circles cir cliff cliffs close club common commons corner corners course court courts
    cove coves creek crescent crest croft crossing crossroad crossroads curve dale dam divide drive
    drives dr estate estates expressway extension extensions fall falls ferry field fields flat
    flats ford fords forest forge forges fork forks fort freeway garden gardens gate gateway glen
    glens green greens grove groves harbor harbors haven heights highway hwy hill hills hollow
    inlet island islands isle junction junctions key keys knoll knolls lake lakes land landing lane
    ln light lights loaf lock locks lodge loop mall manor manors meadow meadows mews mill mills
    mission motorway mount mountain mountains neck oaks orchard oval overpass park parks parkway
    parkways pkwy parade pass passage path pike pine pines place pl plain plains plaza point points
    port ports prairie quay radial ramp ranch rapid rapids rest ridge ridges rise river road roads
    rd route row rue run shoal shoals shore shores skyway spring springs spur spurs square squares
    sq station stravenue stream street streets st summit terrace ter throughway trace track
    trafficway trail trl tunnel turnpike underpass union unions valley valleys via viaduct view
    views village villages ville vista walk walks wall way ways well wells wharf wynd
    """.split()  # noqa: SIM905
)
"""English: Oak Street."""

BEFORE = """
    rue avenue boulevard chemin impasse allée quai cours route place passage calle avenida avda
    plaza paseo carrer ronda camino rambla glorieta cañada cuesta pasaje vial acceso callejón via
    viale piazza corso vicolo largo borgo strada contrada stretto incrocio canale rotonda rua
    travessa praça praia alameda estrada rodovia viela morro vila vereda setor trecho núcleo
    pasadizo urbanización ulica ul. aleja al. plac
""".split()  # noqa: SIM905 - as a list it is a page long
"""French, Spanish, Italian, Portuguese, Polish: rue de la Paix."""

ENDINGS = (
    *("straße", "strasse", "str.", "weg", "allee", "platz", "gasse", "ring", "damm", "ufer"),
    *("steig", "straat", "laan", "plein", "gracht", "kade", "dreef", "singel", "hof", "pad"),
    *("baan", "steeg", "gatan", "vägen", "veien", "gata"),
)
"""German, Dutch, Scandinavian: Hauptstraße."""

ALONE = ENDINGS[:10]
"""German words that also stand behind a name: Berliner Allee."""
