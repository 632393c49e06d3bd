import numpy as np
import pytest

from lightning_tune.data.holdout import hold_out
from lightning_tune.errors import ConfigError, DataError


def texts_of(store, rows):
    return [store.text(row)[0] for row in rows]


def test_train_and_validation_partition_the_rows(make_store):
    store = make_store([f"text {n}" for n in range(200)], ["a", "b"] * 100)
    train, val = hold_out(store, "binary", share=0.1, seed=0)
    assert sorted([*train, *val]) == list(range(200))
    assert len(val) == 20


def test_labels_keep_their_share(make_store):
    labels = ["a"] * 150 + ["b"] * 40 + ["c"] * 10
    store = make_store([f"text {n}" for n in range(200)], labels)
    _, val = hold_out(store, "multiclass", share=0.2, seed=3)
    held = [store.label(row) for row in val]
    assert [held.count(name) for name in "abc"] == [30, 8, 2]


def test_scores_keep_their_distribution(make_store):
    scores = [n / 100 for n in range(200)]
    store = make_store([f"text {n}" for n in range(200)], scores)
    _, val = hold_out(store, "regression", share=0.1, seed=0)
    held = sorted(store.label(row) for row in val)
    assert np.allclose(np.diff(held), 0.1)


def test_the_same_text_is_on_one_side_only(make_store):
    texts = [f"text {n % 40}" for n in range(200)]
    store = make_store(texts, ["a", "b"] * 100)
    train, val = hold_out(store, "binary", share=0.3, seed=0)
    assert not set(texts_of(store, train)) & set(texts_of(store, val))
    assert len(set(texts_of(store, val))) == 12


def test_the_choice_depends_on_seed_and_content_not_on_the_order(make_store):
    texts = [f"text {n}" for n in range(100)]
    labels = [str(n % 3) for n in range(100)]
    store, mirrored = make_store(texts, labels), make_store(texts[::-1], labels[::-1])
    chosen = texts_of(store, hold_out(store, "multiclass", share=0.2, seed=0)[1])
    again = texts_of(mirrored, hold_out(mirrored, "multiclass", share=0.2, seed=0)[1])
    other = texts_of(store, hold_out(store, "multiclass", share=0.2, seed=1)[1])
    assert set(chosen) == set(again)
    assert set(chosen) != set(other)


def test_multilabel_rows_are_spread_too(make_store):
    labels = [("a",), ("a", "b"), (), ("b",)] * 25
    store = make_store([f"text {n}" for n in range(100)], labels)
    _, val = hold_out(store, "multilabel", share=0.2, seed=0)
    held = [store.label(row) for row in val]
    assert [held.count(label) for label in labels[:4]] == [5, 5, 5, 5]


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_the_share_must_lie_between_zero_and_one(make_store, share):
    with pytest.raises(ConfigError, match=r"must lie in \(0, 1\)"):
        hold_out(make_store(["a", "b"], ["x", "y"]), "binary", share=share, seed=0)


@pytest.mark.parametrize(("share", "side"), [(0.1, "validation"), (0.9, "train")])
def test_a_side_without_examples_is_refused(make_store, share, side):
    store = make_store(["a", "b"], ["x", "y"])
    with pytest.raises(DataError, match=f"2 distinct texts leaves no example for {side}"):
        hold_out(store, "binary", share=share, seed=0)
