"""How the edits of one word are mixed: all of them, in turn, in an order that the seed decides."""

from __future__ import annotations

import torch

from lightning_tune.training.attacks.variants import variants
from lightning_tune.words.edits import EDITS


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_variants_take_the_kinds_in_turn_and_none_twice():
    kinds = [EDITS["swap"], EDITS["drop"], lambda word: ["grand", "geat", word]]
    made = variants("great", kinds, generator())
    assert sorted(made) == sorted(["gerat", "graet", "geat", "grat", "gret", "grand"])
    for start, kind in enumerate(kinds):
        assert made[start] in kind("great")


def test_variants_are_the_same_for_a_seed_and_differ_between_seeds():
    kinds = list(EDITS.values())
    first = variants("wonderful", kinds, generator(1))
    assert first == variants("wonderful", kinds, generator(1))
    assert first != variants("wonderful", kinds, generator(2))
    assert sorted(first) == sorted(variants("wonderful", kinds, generator(2)))


def test_a_word_that_no_edit_can_change_has_no_variants():
    assert variants("123", [EDITS["swap"], EDITS["homoglyph"]], generator()) == []
