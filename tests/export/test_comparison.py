"""Two models on the same rows: scikit-learn's figures, flips by hand, paired intervals."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from lightning_tune.errors import DataError
from lightning_tune.schema import LabelSet
from lightning_tune_export.comparison import compare

THREE = LabelSet("multiclass", ("a", "b", "c"))


def problem(rows=400, changed=0.05, seed=0):
    """Probabilities of a model, and of one that answers some rows in another way."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, 3, rows)
    logits = random.normal(size=(rows, 3))
    logits[np.arange(rows), targets] += 1.5
    other = logits.copy()
    places = random.permutation(rows)[: int(changed * rows)]
    other[places] = np.roll(other[places], 1, axis=1)
    return targets, softmax(logits), softmax(other), np.sort(places)


def softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def test_points_lost_and_classes_agree_with_scikit_learn():
    targets, before, after, _ = problem()
    found = compare(THREE, targets, before, after, metric="f1_macro", split="val")
    each = [f1_score(targets, scores.argmax(axis=1), average=None) for scores in (before, after)]
    assert [change.before for change in found.classes] == pytest.approx(each[0])
    assert [change.lost for change in found.classes] == pytest.approx(100 * (each[0] - each[1]))
    assert found.lost == pytest.approx(100 * (each[0].mean() - each[1].mean()))
    assert [change.rows for change in found.classes] == np.bincount(targets).tolist()


def test_flips_name_their_rows_places_and_answers():
    targets, before, after, places = problem()
    found = compare(
        THREE,
        targets,
        before,
        after,
        metric="accuracy",
        split="val",
        where_of=lambda row: f"x:{row + 2}",
    )
    assert [flip.row for flip in found.flips] == places.tolist()
    assert found.flipped == pytest.approx(0.05)
    first = found.flips[0]
    assert first.where == f"x:{first.row + 2}"
    assert first.label == "abc"[targets[first.row]]
    assert (first.before, first.after) == tuple(
        "abc"[scores[first.row].argmax()] for scores in (before, after)
    )
    highest = np.sort(before[first.row])
    assert first.margin == pytest.approx(highest[-1] - highest[-2])


def test_paired_intervals_are_narrower_than_two_separate_ones():
    targets, before, after, _ = problem(rows=1000, changed=0.02)
    found = compare(THREE, targets, before, after, metric="accuracy", split="test", resamples=500)
    low, high = found.lost_interval
    assert low <= found.lost <= high
    right = [scores.argmax(axis=1) == targets for scores in (before, after)]
    difference = 100 * (right[0].astype(int) - right[1].astype(int))
    half = 1.96 * difference.std() / np.sqrt(1000)
    assert (low, high) == pytest.approx((found.lost - half, found.lost + half), abs=0.25)
    assert all(
        change.interval[0] <= -change.lost / 100 <= change.interval[1] for change in found.classes
    )


def test_a_model_beside_itself_loses_nothing():
    targets, before, _, _ = problem()
    found = compare(THREE, targets, before, before, metric="accuracy", split="val", resamples=100)
    assert (found.lost, found.lost_interval, found.flips, found.moved) == (0, (0, 0), [], 0)


def test_a_multilabel_flip_is_any_label_that_changes():
    labels = LabelSet("multilabel", ("joy", "love"))
    targets = np.array([[1, 0], [1, 1]])
    before = np.array([[0.9, 0.4], [0.8, 0.7]])
    after = np.array([[0.9, 0.6], [0.8, 0.6]])
    found = compare(labels, targets, before, after, metric="f1_macro", split="val")
    (flip,) = found.flips
    assert (flip.row, flip.label, flip.before, flip.after) == (
        0,
        ("joy",),
        ("joy",),
        ("joy", "love"),
    )
    assert flip.margin == pytest.approx(0.1)
    assert (found.changed, found.decisions, found.flipped) == (1, 4, 0.25)
    assert found.moved == pytest.approx(0.2)


def test_a_smaller_error_is_a_gain_in_regression():
    labels = LabelSet("regression")
    targets = np.arange(10.0)
    found = compare(
        labels, targets, targets + 0.5, targets + 0.25, metric="mae", split="val", resamples=50
    )
    assert found.lost == pytest.approx(-25)
    assert found.lost_interval == pytest.approx((-25, -25))
    assert (found.classes, found.flips) == ([], [])


def test_rows_that_do_not_pair_are_refused():
    targets, before, after, _ = problem()
    with pytest.raises(DataError):
        compare(THREE, targets, before, after[:-1], metric="accuracy", split="val")
