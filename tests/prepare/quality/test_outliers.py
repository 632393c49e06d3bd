"""Outliers: distances as scikit-learn measures them, and a planted stranger."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from lightning_tune.prepare.quality.outliers import is_outlier, outlier_scores


@pytest.fixture
def vectors() -> np.ndarray:
    draw = np.random.default_rng(0)
    return (draw.normal(size=(200, 8)) + 3).astype(np.float32)


def test_scores_are_the_mean_cosine_distance_to_the_nearest_neighbours(vectors):
    search = NearestNeighbors(n_neighbors=6, metric="cosine").fit(vectors)
    away, _ = search.kneighbors(vectors)
    assert outlier_scores(vectors, neighbours=5) == pytest.approx(
        away[:, 1:].mean(axis=1), abs=1e-5
    )


def test_blocks_make_no_difference(vectors, monkeypatch):
    whole = outlier_scores(vectors)
    monkeypatch.setattr("lightning_tune.prepare.quality.outliers._BLOCK", 7)
    assert outlier_scores(vectors) == pytest.approx(whole, abs=1e-6)


def test_a_row_that_points_elsewhere_stands_out(vectors):
    vectors[17] = -vectors[17]
    scores = outlier_scores(vectors)
    assert scores.argmax() == 17
    assert np.flatnonzero(is_outlier(scores, deviations=10)).tolist() == [17]


def test_neighbours_are_sought_among_a_draw_of_many(vectors):
    few = outlier_scores(vectors, references=50, seed=1)
    assert few == pytest.approx(outlier_scores(vectors, references=50, seed=1))
    assert (few >= outlier_scores(vectors) - 1e-6).all()


def test_a_row_without_a_direction_is_as_far_as_can_be_told(vectors):
    vectors[3] = 0
    assert outlier_scores(vectors)[3] == 1


def test_one_row_has_no_neighbours():
    assert outlier_scores(np.ones((1, 4), np.float32)).tolist() == [0]
    assert is_outlier(np.array([])).tolist() == []
