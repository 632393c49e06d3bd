"""Folds by content, and probabilities that no row had a part in."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_tune.errors import DataError
from lightning_tune.prepare.quality.folds import Training, fold_of_each, out_of_fold

TEXTS = [f"text number {at}" for at in range(100)]
TARGETS = np.eye(2)[[int(at % 4 == 0) for at in range(100)]]


def test_every_fold_has_its_share_of_each_class():
    folds = fold_of_each(TEXTS, TARGETS, folds=5, seed=0)
    for column, rows in ((0, 75), (1, 25)):
        counts = np.bincount(folds[TARGETS[:, column] == 1], minlength=5)
        assert counts.max() - counts.min() <= 1
        assert counts.sum() == rows


def test_equal_texts_are_in_one_fold_whatever_their_labels():
    texts = [*TEXTS, "Text  number 7", "TEXT number 8"]
    targets = np.vstack([TARGETS, [[1, 0], [0, 1]]])
    folds = fold_of_each(texts, targets, folds=5, seed=0)
    assert folds[100] == folds[7]
    assert folds[101] == folds[8]


def test_the_order_of_the_rows_has_no_part_in_it_and_the_seed_has():
    order = np.random.default_rng(0).permutation(100)
    folds = fold_of_each(TEXTS, TARGETS, folds=5, seed=0)
    moved = fold_of_each([TEXTS[at] for at in order], TARGETS[order], folds=5, seed=0)
    assert (moved == folds[order]).all()
    assert (fold_of_each(TEXTS, TARGETS, folds=5, seed=1) != folds).any()


def test_fewer_texts_than_folds_are_refused():
    with pytest.raises(DataError, match=r"quality.folds=5, and there are 2 different texts"):
        fold_of_each(["a", "b", "A"], np.eye(2)[[0, 1, 0]], folds=5, seed=0)


def test_no_row_is_answered_by_a_model_that_saw_it():
    folds = fold_of_each(TEXTS, TARGETS, folds=4, seed=0)
    asked = []

    def remember(training: Training, held: list[str]) -> np.ndarray:
        assert not set(training.texts) & set(held)
        assert len(training.texts) == len(training.targets) == len(training.weights)
        asked.extend(held)
        return np.array([[0.0, float(text.split()[-1])] for text in held])

    found = out_of_fold(Training(TEXTS, TARGETS, np.ones(100)), remember, folds=folds)
    assert sorted(asked) == sorted(TEXTS)
    assert found[:, 1].tolist() == list(range(100))


def test_answers_of_another_shape_or_no_numbers_are_refused():
    folds = fold_of_each(TEXTS, TARGETS, folds=2, seed=0)
    training = Training(TEXTS, TARGETS, np.ones(100))
    with pytest.raises(ValueError, match="came back for 50 texts and 2 labels"):
        out_of_fold(training, lambda some, held: np.zeros((len(held), 3)), folds=folds)
    with pytest.raises(ValueError, match="are no numbers"):
        out_of_fold(training, lambda some, held: np.full((len(held), 2), np.nan), folds=folds)
