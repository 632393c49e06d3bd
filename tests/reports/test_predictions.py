import numpy as np
import pytest

from lightning_tune.errors import DataError
from lightning_tune.reports.predictions import Predictions


def test_the_likeliest_class_is_the_answer():
    predictions = Predictions(
        "multiclass", np.array([0, 2]), np.array([[0.2, 0.5, 0.3], [0, 0, 1]])
    )
    assert predictions.answers.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert predictions.truth.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_a_label_holds_above_the_threshold_only():
    scores = np.array([[0.5, 0.6], [0.7, 0.2]])
    predictions = Predictions("multilabel", np.array([[1, 0], [1, 1]]), scores, threshold=0.5)
    assert predictions.answers.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("kind", "targets", "scores"),
    [
        ("multiclass", [0, 1], [[0.5, 0.5]]),
        ("multilabel", [[1, 0]], [[0.5, 0.5, 0.1]]),
        ("regression", [1.0], [[1.0]]),
        ("regression", [], []),
    ],
)
def test_shapes_that_do_not_agree_are_refused(kind, targets, scores):
    with pytest.raises(DataError, match="do not fit"):
        Predictions(kind, np.array(targets), np.array(scores))


def test_scores_that_are_not_finite_are_counted_in_the_error():
    with pytest.raises(DataError, match="2 of 3 scores are not finite"):
        Predictions("regression", np.zeros(3), np.array([np.nan, np.inf, 1.0]))
