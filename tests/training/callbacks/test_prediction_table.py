"""The table of predictions: every row, by task kind, with texts only where they are given."""

import numpy as np

from lightning_tune.schema import LabelSet
from lightning_tune.training.callbacks.prediction_table import prediction_table

LABELS = LabelSet("multiclass", ("a", "b", "c"))
SCORES = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])


def test_one_class_is_chosen_with_its_probability():
    assert prediction_table(LABELS, np.array([0, 1]), SCORES) == {
        "row": [0, 1],
        "label": ["a", "b"],
        "predicted": ["a", "c"],
        "probability": [0.5, 0.75],
    }


def test_several_labels_have_a_probability_each():
    labels = LabelSet("multilabel", ("a", "b"))
    table = prediction_table(
        labels, np.array([[1, 1], [0, 0]]), np.array([[0.75, 0.25], [0.5, 0.1]])
    )
    assert table == {
        "row": [0, 1],
        "label": ["a, b", ""],
        "predicted": ["a", ""],
        "p(a)": [0.75, 0.5],
        "p(b)": [0.25, 0.1],
    }


def test_a_regression_has_numbers():
    table = prediction_table(LabelSet("regression"), np.array([1, 2]), np.array([1.5, 2.5]))
    assert table == {"row": [0, 1], "label": [1.0, 2.0], "predicted": [1.5, 2.5]}


def test_texts_and_second_texts_stand_at_the_end():
    texts = [("one", "other"), ("two", None)]
    table = prediction_table(LABELS, np.array([0, 1]), SCORES, text_of=texts.__getitem__)
    assert list(table)[-2:] == ["text", "text_pair"]
    assert (table["text"], table["text_pair"]) == (["one", "two"], ["other", None])
    table = prediction_table(LABELS, np.array([0]), SCORES[:1], text_of=lambda row: ("one", None))
    assert list(table)[-1] == "text"
