"""Each fault of a text, on texts that are awkward for it."""

from __future__ import annotations

from random import Random

import pytest

from lightning_tune.datasets.spoiling import COPIED, FITS, SPOILED

AWKWARD = [
    "",
    "ok",
    "WHERE IS MY PARCEL, IT WAS DUE LAST WEEK AND NOBODY ANSWERS THE TELEPHONE, WHERE IS IT NOW",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p q r s t u",
    "I paid £12 for this & it's <b>late</b>, write to me@example.org on the 3rd of May please, ok",
    "the café's bill doesn't show the jalapeños, and it's the second time that it hasn't done so",
    "it's 😭 and I don't know what else to say about it, nor does anybody else in the whole house",
]


@pytest.mark.parametrize("fault", SPOILED)
@pytest.mark.parametrize("text", AWKWARD)
def test_what_suits_a_fault_can_be_spoiled_and_mended(fault, text):
    if FITS[fault](text):
        spoiled, clean = SPOILED[fault](text, Random(7))
        assert spoiled != clean
        assert clean == " ".join(clean.split())


@pytest.mark.parametrize("fault", COPIED)
@pytest.mark.parametrize("text", AWKWARD)
def test_what_suits_a_copy_can_be_copied(fault, text):
    if fault not in FITS or FITS[fault](text):
        copy = COPIED[fault](text, Random(7))
        assert (copy.lower().split() == text.lower().split()) == (fault != "near_duplicate")
        assert sorted(copy.lower().replace(" ", "")) == sorted(text.lower().replace(" ", ""))


def test_a_wrong_decoding_needs_an_apostrophe_and_nothing_that_is_lost():
    assert [FITS["encoding"](text) for text in AWKWARD[-3:]] == [False, True, False]


def test_a_typing_error_needs_two_words_that_have_room_for_it():
    assert FITS["near_duplicate"](AWKWARD[2])
    assert not FITS["near_duplicate"](AWKWARD[3])


def test_privacy_is_planted_only_where_nothing_else_would_be_redacted():
    assert not FITS["email"](AWKWARD[4])
    assert FITS["email"](AWKWARD[2])
