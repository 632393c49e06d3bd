from __future__ import annotations

import pyarrow as pa
import pytest

pytest.importorskip("py3langid", reason="needs the extra languages")

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.languages import LanguageSettings, LanguageStep, check_languages

TEXTS = [
    "The parcel came far too late, and nobody has answered any of the letters I wrote.",
    "Das Paket kam zu spät, und niemand hat auf meine Briefe geantwortet.",
    "Le colis est arrivé en retard et personne n'a répondu à mes lettres.",
    "这个酒店的房间非常干净,服务员也很热情,下次还会再来住的。",
    "ok",
]


def table() -> pa.Table:
    return pa.table(
        {
            "text": TEXTS,
            "source": pa.array(["raw.csv"] * 5).dictionary_encode(),
            "line": pa.array(range(1, 6), pa.int64()),
        }
    )


def test_languages_are_counted_and_nothing_goes_unless_some_are_to_stay():
    outcome = LanguageStep(LanguageSettings())(table())
    assert outcome.counts == {"dropped": 0, "en": 1, "de": 1, "fr": 1, "zh": 1, "unsure": 1}
    assert outcome.table.num_rows == 5


def test_rows_in_other_languages_go_and_short_ones_stay():
    outcome = LanguageStep(LanguageSettings(keep=("en", "zh")))(table())
    assert outcome.table["line"].to_pylist() == [1, 4, 5]
    assert outcome.dropped["reason"].to_pylist() == ["the text is in another language"] * 2


def test_a_language_that_cannot_be_told_is_refused():
    with pytest.raises(ConfigError, match=r"languages.keep holds 'xx', which cannot be told"):
        check_languages(LanguageSettings(keep=("xx",)))
    with pytest.raises(ConfigError, match="holds 'English'; write ISO 639-1 codes"):
        LanguageSettings(keep=("English",))
    with pytest.raises(ConfigError, match=r"certainty=0.2 is outside"):
        LanguageSettings(certainty=0.2)
