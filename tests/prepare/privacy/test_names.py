"""Names through Presidio, over a pipeline that a rule of spaCy's makes: no weights, no network."""

from __future__ import annotations

import sys

import pytest

from lightning_tune.errors import ConfigError, RunError
from lightning_tune.prepare.privacy import PrivacySettings, Redactor
from lightning_tune.prepare.privacy.names import NameFinder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    spacy = pytest.importorskip("spacy")
    pytest.importorskip("presidio_analyzer")
    model = spacy.blank("en")
    ruler = model.add_pipe("entity_ruler")
    ruler.add_patterns(
        [
            {"label": "PERSON", "pattern": "Ann Lee"},
            {"label": "PERSON", "pattern": "Bob"},
            {"label": "ORG", "pattern": "Acme"},
        ]
    )
    folder = tmp_path_factory.mktemp("spacy") / "rules"
    model.to_disk(folder)
    return str(folder)


@pytest.fixture(scope="module")
def redactor(pipeline):
    return Redactor(PrivacySettings(names=True, names_model=pipeline))


def test_names_go_and_are_counted_with_the_rest(redactor):
    redacted = redactor(
        ["Ann Lee of Acme wrote to bob@x.com", "Nobody did.", "Ask Bob, 219-09-9999."]
    )
    assert redacted.texts == [
        "[NAME] of Acme wrote to [EMAIL]",
        "Nobody did.",
        "Ask [NAME], [NATIONAL_ID].",
    ]
    assert redacted.counts == {"email": 1, "name": 2, "national_id": 1}
    assert redacted.rows == 2


def test_a_failing_pipeline_stops_the_run_and_shows_nothing(redactor, monkeypatch):
    def fails(texts, **settings):
        raise ValueError(f"cannot read {texts}")

    monkeypatch.setattr(redactor._names._analyzer, "analyze_iterator", fails)
    with pytest.raises(RunError, match=r"^names: Presidio failed \(ValueError\)") as caught:
        redactor(["Ann Lee"])
    assert caught.value.__context__ is None
    assert "Ann" not in str(caught.value)


def test_a_pipeline_that_leaves_texts_out_stops_the_run(redactor, monkeypatch):
    monkeypatch.setattr(redactor._names._analyzer, "analyze_iterator", lambda *_, **__: [[]])
    with pytest.raises(RunError, match="answers for 1 of 2 texts"):
        redactor(["Ann Lee", "Ann Lee"])


def test_a_pipeline_that_is_not_there_is_not_downloaded():
    pytest.importorskip("presidio_analyzer")
    with pytest.raises(ConfigError, match="is neither an installed spaCy pipeline nor a folder"):
        NameFinder("en", "no_such_pipeline")


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(ConfigError, match=r"pip install 'lightning-tune\[names\]'"):
        NameFinder("en", "en_core_web_lg")
