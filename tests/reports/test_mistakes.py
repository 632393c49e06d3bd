import numpy as np
import pytest

from lightning_tune.reports.mistakes import mistakes
from lightning_tune.reports.predictions import Predictions
from lightning_tune.schema import LabelSet


def test_wrong_rows_come_by_falling_loss():
    scores = np.array([[0.4, 0.6], [0.9, 0.1], [0.1, 0.9], [0.02, 0.98]])
    labels = LabelSet("binary", ("no", "yes"))
    predictions = Predictions("binary", np.array([0, 0, 0, 1]), scores)
    found = mistakes(labels, predictions, text_of=lambda row: (f"text {row}", f"pair {row}"))
    assert [mistake.row for mistake in found] == [2, 0]
    worst = found[0]
    assert (worst.label, worst.predicted, worst.text, worst.text_pair) == (
        "no",
        "yes",
        "text 2",
        "pair 2",
    )
    assert worst.sides is None
    assert worst.probability == pytest.approx(0.9)
    assert worst.loss == pytest.approx(-np.log(0.1))


def test_texts_stay_out_unless_asked_for():
    predictions = Predictions("binary", np.array([0]), np.array([[0.1, 0.9]]))
    found = mistakes(LabelSet("binary", ("no", "yes")), predictions)
    assert found[0].text is None
    assert found[0].text_pair is None


def test_a_multilabel_mistake_names_both_sets():
    scores = np.array([[0.9, 0.2, 0.7], [0.9, 0.1, 0.1]])
    predictions = Predictions("multilabel", np.array([[1, 1, 0], [1, 0, 0]]), scores)
    (found,) = mistakes(LabelSet("multilabel", ("a", "b", "c")), predictions)
    assert found.label == ("a", "b")
    assert found.predicted == ("a", "c")
    assert found.sides == (("a",), ("b",), ("c",))
    # It is surest of b, which it gets most wrong: 1 - 0.2.
    assert found.probability == pytest.approx(0.8)
    assert found.loss == pytest.approx(-np.log([0.9, 0.2, 0.3]).mean())


def test_a_certain_and_wrong_answer_has_a_finite_loss():
    predictions = Predictions("binary", np.array([0]), np.array([[0.0, 1.0]]))
    (found,) = mistakes(LabelSet("binary", ("no", "yes")), predictions)
    assert np.isfinite(found.loss)


def test_regression_lists_what_is_furthest_off():
    predictions = Predictions("regression", np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 1.0]))
    found = mistakes(LabelSet("regression"), predictions, limit=2)
    assert [(entry.row, entry.label, entry.predicted) for entry in found] == [
        (2, 3.0, 1.0),
        (0, 1.0, 1.5),
    ]
    assert found[0].probability is None
    assert found[0].loss == 2.0
