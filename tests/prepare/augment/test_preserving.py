"""The share of copies that keep their label, with a model whose answers are known."""

from __future__ import annotations

import pyarrow as pa

from lightning_tune.prepare.augment.augmenting import AugmentSettings, augment
from lightning_tune.prepare.augment.preserving import preserved

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
