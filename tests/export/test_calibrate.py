"""Temperature, thresholds and calibration error, against scipy-free searches and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from lightning_tune.schema import LabelSet
from lightning_tune.serving.calibration import Calibration, apply, holds
from lightning_tune_export.calibrate import (
    calibration_error,
    fit_temperature,
    fit_thresholds,
    reliability,
    shifted,
)


def problem(rows=400, classes=4, sharpness=3.0, seed=0):
    """Logits that are too sure of themselves by a known factor."""
    random = np.random.default_rng(seed)
    honest = random.normal(size=(rows, classes)) * 1.5
    powers = np.exp(honest)
    shares = powers / powers.sum(axis=1, keepdims=True)
    targets = np.array([random.choice(classes, p=row) for row in shares])
    return honest * sharpness, targets


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_temperature_is_the_best_of_a_fine_grid(sharpness):
    logits, targets = problem(sharpness=sharpness)
    grid = np.exp(np.linspace(np.log(0.06), np.log(15), 2000))
    losses = [log_loss(targets, softmax(logits / one), labels=range(4)) for one in grid]
    found = fit_temperature(logits, targets, "multiclass")
    assert found == pytest.approx(grid[int(np.argmin(losses))], rel=0.005)
    assert found == pytest.approx(sharpness, rel=0.25)


def test_the_temperature_of_several_labels_is_that_of_a_grid():
    random = np.random.default_rng(1)
    honest = random.normal(size=(500, 3))
    targets = (random.random((500, 3)) < 1 / (1 + np.exp(-honest))).astype(np.float32)
    logits = honest * 2
    grid = np.linspace(0.5, 6, 3000)
    losses = [
        -np.mean(
            targets * -np.logaddexp(0, -logits / one)
            + (1 - targets) * -np.logaddexp(0, logits / one)
        )
        for one in grid
    ]
    found = fit_temperature(logits, targets, "multilabel")
    assert found == pytest.approx(grid[int(np.argmin(losses))], abs=0.01)


def test_answers_that_are_all_right_get_the_coldest_temperature():
    logits = np.eye(3)[[0, 1, 2, 0]] * 2
    assert fit_temperature(logits, np.array([0, 1, 2, 0]), "multiclass") == pytest.approx(0.05)


def test_regression_has_no_temperature():
    assert fit_temperature(np.ones((3, 1)), np.ones(3), "regression") == 1.0


def test_a_threshold_reaches_the_best_f1_that_there_is():
    random = np.random.default_rng(3)
    scores = random.random((300, 3))
    targets = (scores + random.normal(scale=0.4, size=scores.shape) > [0.3, 0.6, 0.8]).astype(int)
    found = fit_thresholds(scores, targets)
    labels = LabelSet("multilabel", ("a", "b", "c"))
    Calibration(1.0, found).check(labels)
    answers = holds(scores, Calibration(1.0, found))
    for at in range(3):
        best = max(f1_score(targets[:, at], scores[:, at] > one) for one in scores[:, at])
        assert f1_score(targets[:, at], answers[:, at]) == pytest.approx(best)


def test_neighbours_in_fp32_are_parted_where_they_have_to_be():
    """The middle of two such scores rounds to one of them, half of the time to the higher one."""
    for high in np.linspace(0.1, 1.0, 50, dtype=np.float32):
        scores = np.repeat([[high], [np.nextafter(high, np.float32(0))]], 30, axis=0)
        held = np.repeat([[1], [0]], 30, axis=0)
        limits = fit_thresholds(scores.astype(np.float64), held)
        assert (holds(scores, Calibration(thresholds=limits)) == (held > 0)).all()


def test_equal_scores_are_never_parted():
    scores = np.array([[0.7]] * 30 + [[0.2]] * 30)
    targets = np.array([[1]] * 25 + [[0]] * 35)
    (found,) = fit_thresholds(scores, targets)
    assert 0.2 < found < 0.7


def test_a_rare_label_keeps_the_usual_threshold():
    scores = np.linspace(0, 1, 100)[:, None]
    targets = np.zeros((100, 1), int)
    targets[90:] = 1
    assert fit_thresholds(scores, targets) == (0.5,)


def test_shifting_brings_thresholds_to_a_half_and_keeps_the_order():
    random = np.random.default_rng(4)
    scores = random.random((200, 2))
    limits = (0.2, 0.9)
    moved = shifted(scores, limits)
    assert ((moved > 0.5) == holds(scores, Calibration(1.0, limits))).all()
    assert (np.argsort(moved, axis=0) == np.argsort(scores, axis=0)).all()
    assert ((moved >= 0) & (moved <= 1)).all()


def test_the_calibration_error_is_the_mean_distance_by_hand():
    scores = np.array([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.4, 0.6]])
    targets = np.array([0, 1, 0, 1])
    bins = reliability(scores, targets, "binary")
    assert [(round(each.confidence, 3), each.right, each.rows) for each in bins] == [
        (0.6, 1.0, 2),
        (0.95, 0.5, 2),
    ]
    assert calibration_error(bins) == pytest.approx((2 * 0.4 + 2 * 0.45) / 4)


def test_the_right_temperature_lowers_the_error():
    logits, targets = problem(rows=3000)
    labels = LabelSet("multiclass", tuple("abcd"))
    temperature = fit_temperature(logits, targets, "multiclass")
    before, after = (
        calibration_error(reliability(apply(logits, labels, each), targets, "multiclass"))
        for each in (Calibration(), Calibration(temperature))
    )
    assert before > 0.15
    assert after < 0.04


def test_regression_has_no_reliability():
    assert reliability(np.ones(3), np.ones(3), "regression") == []
