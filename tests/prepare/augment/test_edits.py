"""Edits of texts: what each leaves as it was, and that the draw alone decides."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from lightning_tune.prepare.augment.edits import WORD_EDITS, Draw
from lightning_tune.words.split import SplitText
from lightning_tune.words.synonyms import Synonyms

TEXT = "The film was, frankly, a wonderful surprise for everybody in the house."
SYNONYMS = Synonyms([("film", "movie"), ("house", "theatre"), ("wonderful", "great", "fine")])


def edit(kind: str, text: str = TEXT, seed: int = 0, share: float = 0.2) -> str:
    split = SplitText.of(text)
    return WORD_EDITS[kind](split, Draw(Random(seed), share, SYNONYMS))


def words(text: str) -> list[str]:
    return list(SplitText.of(text).words)


@pytest.mark.parametrize("kind", WORD_EDITS)
def test_the_draw_alone_decides(kind):
    assert edit(kind) == edit(kind)
    assert edit(kind) != TEXT
    assert len({edit(kind, seed=seed) for seed in range(20)}) > 1


def test_a_synonym_stands_for_a_word_and_nothing_else_changes():
    for seed in range(20):
        before, after = words(TEXT), words(edit("synonym", seed=seed))
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        assert 1 <= len(changed) <= 2  # a fifth of twelve words
        assert all(b in SYNONYMS.of(a) for a, b in changed)


def test_without_synonyms_nothing_changes():
    split = SplitText.of(TEXT)
    assert WORD_EDITS["synonym"](split, Draw(Random(0), 0.5)) == TEXT
    assert edit("synonym", "nothing known here") == "nothing known here"


def test_swapped_words_are_the_same_words_with_the_same_marks():
    for seed in range(20):
        made = edit("swap", seed=seed)
        assert Counter(words(made)) == Counter(words(TEXT))
        assert SplitText.of(made).gaps == SplitText.of(TEXT).gaps


def test_words_are_left_out_in_order_and_never_all():
    for seed in range(20):
        left = words(edit("delete", seed=seed))
        rest = iter(words(TEXT))
        assert all(word in rest for word in left)
        assert len(left) == 10
        assert "  " not in edit("delete", seed=seed)
    assert len(words(edit("delete", "one two three", share=1.0))) == 1
    assert edit("delete", "alone") == "alone"


def test_inserted_marks_stand_before_words_that_stay():
    for seed in range(20):
        made = edit("insert", seed=seed)
        assert words(made) == words(TEXT)
        assert len(made) == len(TEXT) + 2 * 2


@pytest.mark.parametrize("kind", ["typo", "ocr"])
def test_errors_of_letters_are_in_as_many_words_as_asked(kind):
    for seed in range(20):
        made = edit(kind, seed=seed).split(" ")
        assert sum(a != b for a, b in zip(TEXT.split(" "), made, strict=True)) == 2


@pytest.mark.parametrize("kind", WORD_EDITS)
@pytest.mark.parametrize("text", ["", "...", "a"])
def test_texts_with_nothing_to_edit_stay_or_get_a_mark(kind, text):
    made = edit(kind, text)
    assert made == text or kind == "insert" or len(made) == 1


def test_a_language_without_spaces_is_edited_too():
    assert edit("swap", "\u5f88\u597d\u770b") != "\u5f88\u597d\u770b"
    assert sorted(edit("swap", "\u5f88\u597d\u770b")) == sorted("\u5f88\u597d\u770b")
