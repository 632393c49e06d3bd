"""Confident learning, against the package of its authors and a case worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lightning_tune.prepare.quality.confident import (
    confident_joint,
    doubt,
    is_suspected,
    noise_rate,
)


def noisy(seed: int, classes: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which a fifth is wrong, and probabilities that know better."""
    draw = np.random.default_rng(seed)
    right = draw.integers(classes, size=rows)
    given = np.where(draw.random(rows) < 0.2, draw.integers(classes, size=rows), right)
    said = draw.dirichlet(np.ones(classes), rows) + 0.8 * np.eye(classes)[right]
    return given, said / said.sum(axis=1, keepdims=True)


def test_a_label_below_another_class_is_doubtful():
    said = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]])
    assert doubt(np.array([0, 0, 0]), said) == pytest.approx([0.25, 0.75, 0.85])


def test_of_two_classes_the_doubt_is_what_is_left_of_the_probability():
    given, said = noisy(0, 2)
    assert doubt(given, said) == pytest.approx(1 - said[np.arange(len(given)), given])


def test_the_joint_counts_rows_that_reach_a_threshold():
    said = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.6, 0.4], [0.1, 0.9]])
    given = np.array([0, 0, 0, 1, 1])
    # thresholds: (0.9 + 0.5 + 0.2) / 3 = 0.533 and (0.4 + 0.9) / 2 = 0.65; the second row has none
    assert confident_joint(given, said).tolist() == [[1, 1], [1, 1]]
    # scaled to the 3 and 2 rows of each label: [[1.5, 1.5], [1, 1]], of which 2.5 are elsewhere
    assert noise_rate(given, said) == 0.5


@pytest.mark.parametrize("classes", [2, 3, 8])
@pytest.mark.parametrize("seed", range(3))
def test_joint_suspects_and_scores_are_those_of_cleanlab(seed, classes):
    count = pytest.importorskip("cleanlab.count")
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_normalized_margin_for_each_label

    given, said = noisy(seed, classes)
    joint = count.compute_confident_joint(given, said, calibrate=False)
    assert confident_joint(given, said).tolist() == joint.tolist()
    issues = find_label_issues(given, said, filter_by="prune_by_noise_rate", n_jobs=1)
    assert (is_suspected(given, said) == issues).mean() > 0.985  # it rounds counts otherwise
    estimated = count.estimate_joint(given, said, confident_joint=joint)
    whole = classes / len(given)  # it rounds each given label's counts to whole rows
    assert noise_rate(given, said) == pytest.approx(1 - estimated.trace(), abs=whole)
    quality = get_normalized_margin_for_each_label(given, said)
    assert doubt(given, said) == pytest.approx(1 - quality)


@pytest.mark.parametrize("classes", [2, 5])
def test_what_clear_probabilities_contradict_is_suspected_and_nothing_else(classes):
    right = np.arange(60) % classes
    said = np.where(np.eye(classes)[right] > 0, 0.9, 0.1 / (classes - 1))
    given = right.copy()
    given[[3, 20, 41]] = (given[[3, 20, 41]] + 1) % classes
    assert np.flatnonzero(is_suspected(given, said)).tolist() == [3, 20, 41]


def test_a_label_that_is_the_likeliest_is_never_suspected():
    given, said = noisy(1, 3, rows=4000)
    flags = is_suspected(given, said)
    assert flags.sum() > 100
    assert not flags[said.argmax(axis=1) == given].any()


def test_a_class_that_no_row_has_is_nowhere():
    given, said = noisy(0, 3)
    kept = given != 2
    flags = is_suspected(given[kept], said[kept])
    assert flags.shape == (kept.sum(),)
    assert confident_joint(given[kept], said[kept])[2].tolist() == [0, 0, 1]
