"""Back-translation as two functions in a row; the models themselves are tests/models' matter."""

from __future__ import annotations

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.models import translating
from lightning_tune.prepare.augment.augmenting import AugmentSettings, augment
from lightning_tune.prepare.augment.translating import (
    TranslationSettings,
    check_models,
    round_trip,
)

ABROAD = {"one card": "eine Karte", "two cards": "zwei Karten", "three": "drei"}
HOME = {"eine Karte": "a card", "zwei Karten": None}
HOMES = ("en-de", "de-en")


@pytest.fixture
def made(tmp_path, monkeypatch) -> list[tuple]:
    """Put dictionaries in place of models; return how these were asked for."""
    asked = []
    for name in HOMES:
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)

    def model(folder, *settings):
        asked.append((folder, *settings))
        words = {"en-de": ABROAD, "de-en": HOME}[folder]
        return lambda texts: [words.get(text) for text in texts]

    monkeypatch.setattr(translating, "Translator", model)
    return asked


def test_a_text_comes_back_by_the_second_model_or_as_it_was(made):
    settings = TranslationSettings("en-de", "de-en", "to German: ", beams=2, batch_size=8)
    texts = ["one card", "two cards", "three", "four"]  # whole, lost abroad, at home, on the way
    assert round_trip(settings)(texts) == ["a card", "two cards", "three", "four"]
    assert made == [("en-de", "to German: ", 2, 8, 128), ("de-en", "", 2, 8, 128)]


def test_what_comes_back_as_it_was_counts_as_unchanged(made):
    import pyarrow as pa

    table = pa.table({"text": ["one card", "two cards"], "label": ["a", "b"]})
    translate = round_trip(TranslationSettings("en-de", "de-en"))
    found = augment(table, AugmentSettings(("translate",)), translate=translate)
    assert (found.counts["copies"], found.counts["unchanged"]) == (1, 1)


def test_a_folder_that_is_not_there_is_refused_with_the_nearest(made):
    with pytest.raises(ConfigError, match=r"'en-dee' is not a folder.*Did you mean 'en-de'"):
        round_trip(TranslationSettings("en-dee", "de-en"))
    with pytest.raises(ConfigError, match=r"'\./back' is not a folder"):
        check_models(TranslationSettings("en-de", "./back"))
    with pytest.raises(ConfigError, match="nothing translates"):
        check_models(None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"beams": 0}, "augment.translation.beams=0 is below 1"),
        ({"batch_size": 0}, "batch_size=0 is below 1"),
        ({"max_length": 1}, "max_length=1 is below 2"),
    ],
)
def test_settings_out_of_their_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        TranslationSettings("a", "b", **values)
