import logging
import pickle
import re
import traceback
from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from lightning_tune.errors import ConfigError, RunError
from lightning_tune.prepare.privacy import KINDS, PrivacySettings, Redactor, redactor
from lightning_tune.prepare.privacy.detectors import DETECTORS, Detector

ITEMS = {
    "url": "https://ann:pw@example.org/x",
    "email": "ann.lee@example.org",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "card": "4111 1111 1111 1111",
    "national_id": "219-09-9999",
    "ip": "192.168.17.4",
    "birth_date": "1990-05-12",
    "phone": "+1 202 555 0143",
    "address": "12 Oak Street",
}
TEXT = "; ".join(f"born {item}" if kind == "birth_date" else item for kind, item in ITEMS.items())
KEY = "0123456789abcdef"


@pytest.fixture
def keyed(monkeypatch):
    monkeypatch.setenv("TUNE_KEY", KEY)
    return PrivacySettings(replace="pseudonym", key_env="TUNE_KEY")


def test_every_kind_is_replaced_and_counted():
    redacted = Redactor(PrivacySettings())([TEXT, "nothing here"])
    assert redacted.texts[0] == "; ".join(
        f"born [{kind.upper()}]" if kind == "birth_date" else f"[{kind.upper()}]" for kind in ITEMS
    )
    assert redacted.texts[1] == "nothing here"
    assert redacted.counts == dict.fromkeys(sorted(KINDS), 1)
    assert redacted.rows == 1


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_kinds_asked_for_are_touched(kind):
    redacted = Redactor(PrivacySettings(kinds=(kind,)))([ITEMS[kind], "born " + ITEMS[kind]])
    assert set(redacted.counts) == {kind}
    others = Redactor(PrivacySettings(kinds=tuple(each for each in KINDS if each != kind)))
    assert kind not in others([TEXT]).counts


@pytest.mark.parametrize("settings", [PrivacySettings(), "keyed"])
def test_redacted_texts_hold_nothing_more_to_redact(settings, request):
    if settings == "keyed":
        settings = request.getfixturevalue("keyed")
    redact = Redactor(settings)
    once = redact([TEXT, *ITEMS.values()])
    again = redact(once.texts)
    assert again.texts == once.texts
    assert again.counts == {}


def test_full_width_items_are_found_where_they_stand():
    redacted = Redactor(PrivacySettings())(["电话１３８００１３８０００，邮箱ａｎｎ＠ｘ．ｃｏｍ。"])
    assert redacted.texts == ["电话[PHONE]，邮箱[EMAIL]。"]


def test_pseudonyms_are_the_same_for_the_same_value_however_written(keyed):
    texts = [
        "GB82 WEST 1234 5698 7654 32",
        "gb82west12345698765432",
        "a@x.com",
        "A@X.com",
        "b@x.com",
    ]
    one, two, three, four, five = Redactor(keyed)(texts).texts
    assert one == two != three == four != five
    assert three.startswith("[EMAIL_")


def test_another_key_gives_other_pseudonyms(keyed, monkeypatch):
    first = Redactor(keyed)(["ann@example.org"]).texts
    assert Redactor(keyed)(["ann@example.org"]).texts == first
    monkeypatch.setenv("TUNE_KEY", KEY + "x")
    assert Redactor(keyed)(["ann@example.org"]).texts != first


def test_a_pickled_redactor_is_its_settings_alone(keyed):
    redact = Redactor(keyed)
    pickled = pickle.dumps(redact)
    assert KEY.encode() not in pickled
    assert pickle.loads(pickled)(["ann@example.org"]).texts == redact(["ann@example.org"]).texts
    assert KEY not in repr(vars(redact))


def test_the_key_may_stand_in_a_file(tmp_path, keyed):
    (tmp_path / "key").write_text(KEY + "\n")
    settings = PrivacySettings(replace="pseudonym", key_file=str(tmp_path / "key"))
    assert Redactor(settings)(["a@x.com"]).texts == Redactor(keyed)(["a@x.com"]).texts


@pytest.mark.parametrize("key", ["", "hunter2", "é" * 7])
def test_a_short_key_is_refused_without_being_shown(key, monkeypatch):
    monkeypatch.setenv("TUNE_KEY", key)
    with pytest.raises(ConfigError, match="has at least 16") as caught:
        Redactor(PrivacySettings(replace="pseudonym", key_env="TUNE_KEY"))
    assert "\n" not in str(caught.value)
    assert not key or key not in str(caught.value)


def test_a_key_of_sixteen_bytes_will_do(monkeypatch):
    monkeypatch.setenv("TUNE_KEY", "é" * 8)
    Redactor(PrivacySettings(replace="pseudonym", key_env="TUNE_KEY"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"replace": "pseudonym"}, "neither is set"),
        ({"replace": "pseudonym", "key_env": "A", "key_file": "b"}, "both are set"),
        ({"key_env": "A"}, "is for replace: pseudonym"),
        ({"replace": "pseudonym", "key_env": "s3cr3t key!"}, "never stands in a recipe"),
        ({"replace": "hash"}, "neither placeholder nor pseudonym"),
        ({"kinds": ("emial",)}, "Did you mean 'email'"),
        ({"kinds": ()}, "nothing would be redacted"),
    ],
)
def test_contradictory_settings_are_refused_in_one_line(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        PrivacySettings(**settings)
    assert "\n" not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("where", [{"key_env": "NO_SUCH_KEY_HERE"}, {"key_file": "no/such/file"}])
def test_a_missing_key_is_refused_without_showing_where(where):
    with pytest.raises(ConfigError) as caught:
        Redactor(PrivacySettings(replace="pseudonym", **where))
    assert next(iter(where.values())) not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_detector_that_fails_stops_the_run_and_shows_nothing(monkeypatch, capsys, caplog):
    def fails(text):
        yield 0, 1
        raise ValueError(f"cannot parse {text}")

    broken = Detector("email", lambda text: True, fails)
    monkeypatch.setattr(redactor, "DETECTORS", (*DETECTORS, broken))
    with caplog.at_level(logging.DEBUG), pytest.raises(RunError) as caught:
        Redactor(PrivacySettings())([TEXT, "fine 1"])
    shown = "".join(traceback.format_exception(caught.value))
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    out, err = capsys.readouterr()
    for text in (shown, repr(chain), out, err, caplog.text):
        assert not [item for item in ITEMS.values() if item in text]
    assert str(caught.value).startswith("the detector of email failed (ValueError) on text 0 of")


def test_nothing_found_is_printed_logged_or_shown(capsys, caplog, keyed):
    with caplog.at_level(logging.DEBUG):
        for settings in (PrivacySettings(), keyed):
            redact = Redactor(settings)
            shown = repr(redact) + repr(redact([TEXT])) + repr(vars(redact))
            for item in ITEMS.values():
                assert item not in shown
    out, err = capsys.readouterr()
    assert out + err + caplog.text == ""


def test_texts_of_any_kind_pass_through():
    texts = ["", " ", "\ud800 1", "\0", "1", "@", "::", "😀" * 10]
    assert Redactor(PrivacySettings())(texts).texts == texts


def test_the_example_of_the_page_shows_what_it_says():
    page = Path(__file__).parents[3] / "docs" / "privacy.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    names: dict = {}
    exec(block, names)
    for shown, said in re.findall(r"^(redacted\..*?)  # (.+)$", block, flags=re.M):
        assert repr(eval(shown, names)) == said


def test_settings_are_read_from_a_recipe():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--privacy", type=PrivacySettings | None, default=None)
    parsed = parser.parse_object({"privacy": {"kinds": ["email", "phone"], "names": False}})
    assert parser.instantiate(parsed).privacy == PrivacySettings(kinds=("email", "phone"))
