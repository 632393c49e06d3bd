"""Probabilities as torch computes them, temperature and thresholds as written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.schema import LabelSet
from lightning_tune.serving.answers import Answer, answers, prediction_columns
from lightning_tune.serving.calibration import Calibration, apply, holds
from lightning_tune.training.metrics import probabilities

LABELS = {
    "binary": LabelSet("binary", ("n", "y")),
    "multiclass": LabelSet("multiclass", ("a", "b", "c")),
    "multilabel": LabelSet("multilabel", ("a", "b", "c")),
    "regression": LabelSet("regression"),
}


@pytest.fixture
def logits() -> np.ndarray:
    random = np.random.default_rng(0).normal(scale=8, size=(500, 3)).astype(np.float32)
    extreme = np.array([[1e4, -1e4, 0], [-200, -100, 100], [0, 0, 0]], np.float32)
    return np.concatenate([random, extreme])


@pytest.mark.parametrize("kind", LABELS)
def test_without_temperature_they_are_the_training_metrics_own(logits, kind):
    labels = LABELS[kind]
    given = logits[:, : labels.num_outputs]
    expected = probabilities(torch.from_numpy(given), labels.kind).numpy()
    found = apply(given, labels, Calibration())
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_a_temperature_divides_the_logits(logits, kind):
    labels = LABELS[kind]
    given = logits[:, : labels.num_outputs]
    expected = probabilities(torch.from_numpy(given / 2.5), labels.kind).numpy()
    np.testing.assert_allclose(apply(given, labels, Calibration(2.5)), expected, atol=1e-6)


def test_thresholds_are_by_label_and_must_be_exceeded():
    probabilities = np.array([[0.5, 0.3, 0.9], [0.51, 0.31, 0.91]], np.float32)
    assert holds(probabilities, Calibration()).tolist() == [
        [False, False, True],
        [True, False, True],
    ]
    by_label = Calibration(thresholds=(0.5, 0.3, 0.95))
    assert holds(probabilities, by_label).tolist() == [[False, False, False], [True, True, False]]


def test_answers_and_columns_use_the_thresholds():
    scores = np.array([[0.4, 0.2, 0.9]])
    low = Calibration(thresholds=(0.3, 0.3, 0.95))
    (found,) = answers(LABELS["multilabel"], scores, low)
    assert found == Answer(("a",), {"a": 0.4, "b": 0.2, "c": 0.9})
    assert prediction_columns(LABELS["multilabel"], scores, low)["prediction"] == ["a"]
    assert prediction_columns(LABELS["multilabel"], scores)["prediction"] == ["c"]


def test_answers_of_each_other_kind():
    assert answers(LABELS["multiclass"], np.array([[0.1, 0.7, 0.2]]))[0].label == "b"
    assert answers(LABELS["regression"], np.array([2.5, -1.0])) == [
        Answer(2.5, {}),
        Answer(-1.0, {}),
    ]


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_finite_and_above_0(temperature):
    with pytest.raises(ConfigError, match="must be finite and above 0"):
        Calibration(temperature)
