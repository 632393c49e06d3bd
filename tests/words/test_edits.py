"""Edits of one word: what each makes of it, and what it leaves alone."""

from __future__ import annotations

import unicodedata

import pytest

from lightning_tune.words.edits import (
    EDIT_NAMES,
    EDITS,
    LOOK_ALIKES,
    NEIGHBOURS,
)

TYPOS = ("swap", "drop", "insert", "repeat", "keyboard")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("swap", ["gerat", "graet"]),
        ("drop", ["geat", "grat", "gret"]),
        ("repeat", ["grreat", "greeat", "greaat"]),
    ],
)
def test_typing_errors_are_made_inside_the_word(name, expected):
    assert EDITS[name]("great") == expected


def test_equal_neighbours_are_not_swapped():
    assert EDITS["swap"]("good") == []


def test_a_slip_hits_a_key_beside_the_right_one():
    assert set(EDITS["keyboard"]("film")) >= {"fulm", "folm", "fikm", "fipm", "fjlm"}
    assert "fqlm" not in EDITS["keyboard"]("film")
    assert set(EDITS["insert"]("film")) >= {"fiulm", "filkm"}


@pytest.mark.parametrize(
    ("key", "beside"), [("q", "wa"), ("g", "ftyhbv"), ("p", "ol"), ("m", "njk"), ("a", "qwsz")]
)
def test_the_keys_beside_a_key_are_those_of_a_qwerty_keyboard(key, beside):
    assert set(NEIGHBOURS[key]) == set(beside)


def test_being_beside_is_mutual():
    assert all(key in NEIGHBOURS[other] for key in NEIGHBOURS for other in NEIGHBOURS[key])


def test_a_slip_keeps_capitals():
    assert all(made.isupper() for made in EDITS["keyboard"]("FILM"))


@pytest.mark.parametrize("name", TYPOS)
@pytest.mark.parametrize("word", ["", "a", "is", "the"])
def test_short_words_have_no_typing_errors(name, word):
    assert EDITS[name](word) == []


@pytest.mark.parametrize("name", TYPOS)
def test_the_first_and_the_last_letter_stay(name):
    made = EDITS[name]("wonderful")
    assert made
    assert {(word[0], word[-1]) for word in made} == {("w", "l")}


@pytest.mark.parametrize("name", EDIT_NAMES)
def test_every_edit_changes_the_word_by_a_letter(name):
    for made in EDITS[name]("Wonderful"):
        assert made != "Wonderful"
        assert abs(len(made) - len("Wonderful")) <= 1


def test_look_alikes_are_letters_of_another_alphabet_and_lead_back():
    for one, others in LOOK_ALIKES.items():
        for other in others:
            scripts = {unicodedata.name(letter).split()[0] for letter in (one, other)}
            assert scripts in ({"LATIN", "CYRILLIC"}, {"LATIN", "GREEK"})
            assert one in LOOK_ALIKES[other]
            assert one.isupper() == other.isupper()


def test_a_look_alike_stands_anywhere_also_in_short_words():
    assert set(EDITS["homoglyph"]("a")) == {"\u0430"}
    assert "\u0410t" in EDITS["homoglyph"]("At")
    assert EDITS["homoglyph"]("123") == []


def test_words_without_spaces_are_edited_wherever_that_leaves_something():
    assert EDITS["swap"]("\u96fb\u5f71") == ["\u5f71\u96fb"]
    assert EDITS["drop"]("\u96fb\u5f71") == ["\u5f71", "\u96fb"]
    assert EDITS["drop"]("\u597d") == []
    assert EDITS["repeat"]("\u597d") == ["\u597d\u597d"]
    assert EDITS["keyboard"]("\u597d") == []
