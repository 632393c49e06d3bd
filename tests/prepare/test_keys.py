from __future__ import annotations

import hashlib

import pytest

from lightning_tune.prepare.keys import content_key, content_keys, raw_keys


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is my CARD?", "where is  my card?"),
        ("\uff21\uff22\uff23 ok", "abc ok"),  # full-width letters
        ("caf\u00e9", "cafe\u0301"),
        ("Stra\u00dfe", "STRASSE"),
        ("a\u3000b\n", " a b"),
    ],
)
def test_case_spacing_and_forms_make_no_difference(one, other):
    assert content_key(one) == content_key(other)


def test_other_texts_have_other_keys():
    texts = [f"text {number}" for number in range(5000)]
    assert len(set(content_keys(texts).tolist())) == 5000


def test_the_key_is_blake2b_of_the_plain_text():
    expected = hashlib.blake2b(b"where is my card?", digest_size=8).hexdigest()
    assert content_key("Where is my card?") == expected
    assert f"{content_keys(['Where is my card?'])[0]:016x}" == expected


def test_a_pair_is_no_joined_text():
    assert content_key("ab", "c") != content_key("a", "bc")
    assert content_keys(["a"], ["b"])[0] != content_keys(["ab"])[0]


def test_raw_keys_tell_case_apart_and_mark_what_is_missing():
    keys = raw_keys(["A", "a", None, "A"])
    assert keys[0] == keys[3] != keys[1]
    assert keys[2] == 0
