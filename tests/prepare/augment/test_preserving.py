"""The share of copies that keep their label, with a model whose answers are known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lightning_tune.prepare.augment.augmenting import AugmentSettings, augment
from lightning_tune.prepare.augment.preserving import held_out_preserved, preserved

TEXTS = [f"good number {at}" for at in range(30)] + [f"bad number {at}" for at in range(10)]


def made(edits=("delete",)):
    labels = ["yes"] * 30 + ["no"] * 10
    return augment(pa.table({"text": TEXTS, "label": labels}), AugmentSettings(edits, share=0.01))


def sees_good(texts):
    return ["yes" if "good" in text else "no" for text in texts]


def test_a_copy_that_lost_the_word_that_counts_lost_its_label():
    augmented = made()
    found = preserved(augmented, sees_good)
    copies = augmented.table["text"].to_pylist()[40:]
    kept = [
        ("good" in copy) == (row < 30) for copy, row in zip(copies, augmented.rows, strict=True)
    ]
    assert (found.asked, found.known, found.kept) == (len(kept), len(kept), sum(kept))
    assert 0 < found.share < 1
    assert found.by_edit == {"delete": found.share}


def test_copies_of_rows_that_the_model_gets_wrong_tell_nothing():
    found = preserved(made(("insert",)), lambda texts: ["yes"] * len(texts))
    assert (found.known, found.share) == (30, 1)
    assert preserved(made(("insert",)), lambda texts: ["x"] * len(texts)).share is None


def test_a_sample_is_the_same_for_a_seed():
    some = preserved(made(), sees_good, sample=7)
    assert some.asked == 7
    assert some == preserved(made(), sees_good, sample=7)


def many(labels) -> pa.Table:
    texts = [f"{'good' if at % 3 else 'bad'} number {at}" for at in range(100)]
    return pa.table({"text": texts, "label": labels})


def test_the_linear_model_is_asked_about_rows_that_it_did_not_see():
    table = many(["yes" if at % 3 else "no" for at in range(100)])
    augmented = augment(table, AugmentSettings(("delete",), share=0.01, copies=2))
    found = held_out_preserved(augmented)
    assert 0 < found.asked < len(augmented.rows) / 3  # copies of a fifth of the rows
    assert 0.9 * found.asked < found.known
    texts = augmented.table["text"].to_pylist()[100:]
    lost = sum("good" not in text and "bad" not in text for text in texts) / len(texts)
    # A copy without its word is guessed to be of the larger class, right two times in three.
    assert found.share == pytest.approx(1 - lost / 3, abs=0.12)
    assert found == held_out_preserved(augmented)


def test_labels_of_chance_are_known_of_no_row_beyond_chance():
    draw = np.random.default_rng(0)
    table = many(draw.choice(["yes", "no"], 100).tolist())
    found = held_out_preserved(augment(table, AugmentSettings(("insert",), copies=3)))
    assert found.known < 0.8 * found.asked


def test_of_numbers_and_of_few_texts_nothing_is_told():
    numbers = augment(many([float(at) for at in range(100)]), AugmentSettings())
    assert held_out_preserved(numbers) is None
    assert held_out_preserved(made()) is None
    without = augment(many(["a"] * 100).drop_columns("label"), AugmentSettings())
    assert held_out_preserved(without) is None


def test_of_several_labels_all_have_to_stay():
    labels = pa.array([["good"] if at % 3 else ["bad", "poor"] for at in range(100)])
    found = held_out_preserved(augment(many(labels), AugmentSettings(("insert",))))
    assert found.known == found.asked > 10
    assert found.share == 1
