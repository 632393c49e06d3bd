"""Texts as words: nothing is lost between them, and changes are found again."""

from __future__ import annotations

import pytest

from lightning_tune.words.split import SplitText, whole

TEXTS = [
    "",
    "   ",
    "a stirring , funny film !",
    "It's well-made; isn\u2019t it?",
    "  leading and trailing\n\ttabs ",
    "snake_case and 3.14 and e-mail",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u092b\u093f\u0932\u094d\u092e",
    "\u8fd9\u5bb6\u9152\u5e97\u5f88\u597d\u3002OK \u3061\u304b\u3044",
    "cafe\u0301 \ud83d odd \U0001f600 done",
]


@pytest.mark.parametrize("text", TEXTS)
def test_words_and_gaps_make_the_text_again(text):
    split = SplitText.of(text)
    assert split.spelled({}) == text
    assert len(split.gaps) == len(split.words) + 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's well-made; isn\u2019t it?", ["It's", "well-made", "isn\u2019t", "it"]),
        ("wo n't , 42 %", ["wo", "n't", "42"]),
        ("snake_case", ["snake", "case"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
        ("cafe\u0301", ["cafe\u0301"]),
        ("\u5f88\u597dOK", ["\u5f88", "\u597d", "OK"]),
    ],
)
def test_words_are_split_from_marks(text, words):
    assert list(SplitText.of(text).words) == words


def test_the_longest_known_word_is_taken_where_no_spaces_are():
    known = {"\u9152\u5e97", "\u5f88\u597d", "\u9152\u5e97\u5f88"}
    split = SplitText.of("\u9152\u5e97\u5f88\u597d", known, longest=3)
    assert split.words == ("\u9152\u5e97\u5f88", "\u597d")
    assert SplitText.of("\u9152\u5e97\u5f88\u597d", known, longest=2).words == (
        "\u9152\u5e97",
        "\u5f88\u597d",
    )


def test_a_word_is_replaced_and_nothing_else():
    assert SplitText.of("good, good film").spelled({1: "bad"}) == "good, bad film"


def test_words_are_left_out_by_span():
    assert SplitText.of("one two three four").without(range(1, 3)) == "one   four"


def test_a_change_is_found_at_its_place_in_the_changed_text():
    split = SplitText.of("a very good, very long film")
    changed = {1: "extremely", 2: "gd", 5: "movie"}
    text = split.spelled(changed)
    changes = split.changes(changed)
    assert [(one.before, one.after) for one in changes] == [
        ("very", "extremely"),
        ("good", "gd"),
        ("film", "movie"),
    ]
    for one in changes:
        assert text[one.start : one.start + len(one.after)] == one.after


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [
        ("film", "a FILM.", True),
        ("film", "films", False),
        ("film", "film_2", False),
        ("\u4e0d\u9519", "\u5f88\u4e0d\u9519\u7684", True),
        ("\u3044\u3044", "\u3068\u3066\u3082\u3044\u3044\u3067\u3059", True),
        ("wifi", "\u6709wifi\u5417", True),
        ("wifi", "\u6709wifis\u5417", False),
        ("\u0939\u093f\u0928", "\u0939\u093f\u0928\u094d\u0926\u0940", False),
        ("\u9152\u5e97wifi", "\u597d\u9152\u5e97wifi\u6162", True),
        ("", "", True),
    ],
)
def test_a_whole_word_needs_ends_only_where_spaces_are_written(word, text, found):
    assert (whole(word).search(text) is not None) is found
