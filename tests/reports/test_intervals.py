import time

import numpy as np
import pytest
from sklearn import metrics

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.reports.intervals import bootstrap, differences, intervals, point
from lightning_tune.reports.predictions import Predictions


def _problem(rows, classes, seed=0):
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, rows)
    logits = random.normal(size=(rows, classes))
    logits[np.arange(rows), targets] += 2
    exponents = np.exp(logits)
    return targets, exponents / exponents.sum(axis=1, keepdims=True)


def test_intervals_agree_with_resampling_row_by_row():
    targets, scores = _problem(200, 4)
    answers = scores.argmax(axis=1)
    random = np.random.default_rng(99)
    values = []
    for _ in range(500):
        drawn = random.integers(0, 200, 200)
        values.append(metrics.f1_score(targets[drawn], answers[drawn], average="macro"))
    found = intervals("multiclass", targets, scores, names=["f1_macro"])
    # Two independent bootstraps of one sample: the bounds differ by simulation noise alone.
    assert found["f1_macro"] == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.015)


def test_every_metric_lies_in_its_interval():
    targets, scores = _problem(300, 5)
    values = point("multiclass", targets, scores)
    found = intervals("multiclass", targets, scores, resamples=200)
    assert found.keys() == values.keys()
    assert all(low <= values[name] <= high for name, (low, high) in found.items())


def test_the_accuracy_interval_is_near_the_normal_approximation():
    targets = np.zeros(1000, dtype=int)
    scores = np.tile([0.9, 0.1], (1000, 1))
    scores[:200] = [0.1, 0.9]
    low, high = intervals("binary", targets, scores, names=["accuracy"])["accuracy"]
    half = 1.96 * np.sqrt(0.8 * 0.2 / 1000)
    assert (low, high) == pytest.approx((0.8 - half, 0.8 + half), abs=0.004)


def test_the_same_seed_gives_the_same_interval():
    targets, scores = _problem(50, 3)
    first, again, other = (
        intervals("multiclass", targets, scores, resamples=50, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_a_wider_level_gives_a_wider_interval():
    targets, scores = _problem(80, 3)
    narrow, wide = (
        intervals("multiclass", targets, scores, names=["accuracy"], level=level)["accuracy"]
        for level in (0.5, 0.99)
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_a_metric_that_no_resample_defines_is_left_out():
    found = intervals("regression", [1.0, 2.0], [3.0, 3.0], resamples=10)
    assert found.keys() == {"mae"}


@pytest.mark.parametrize(("resamples", "level"), [(0, 0.95), (10, 0.0), (10, 1.0)])
def test_settings_out_of_range_are_refused(resamples, level):
    with pytest.raises(ConfigError, match="draw at least 1 resample"):
        intervals("regression", [1.0, 2.0], [1.0, 2.0], resamples=resamples, level=level)


def test_three_thousand_rows_of_77_classes_take_seconds():
    targets, scores = _problem(3000, 77)
    start = time.process_time()
    intervals("multiclass", targets, scores)
    # About one second of one core; the bound leaves room for a slow machine.
    assert time.process_time() - start < 12


def _pair(rows, changed):
    targets, scores = _problem(rows, 3)
    other = scores.copy()
    other[:changed] = np.roll(other[:changed], 1, axis=1)
    return [Predictions("multiclass", targets, each) for each in (scores, other)]


def test_the_interval_of_a_difference_is_that_of_paired_rows():
    before, after = _pair(500, 25)
    low, high = differences(before, after, names=["accuracy"])["accuracy"]
    right = [each.scores.argmax(axis=1) == each.targets for each in (before, after)]
    change = right[1].astype(float) - right[0]
    half = 1.96 * change.std() / np.sqrt(500)
    assert (low, high) == pytest.approx((change.mean() - half, change.mean() + half), abs=0.004)
    assert high - low < 0.1 * np.diff(bootstrap(before)["accuracy"]) + 2 * half


def test_a_model_differs_from_itself_by_nothing():
    before, _ = _pair(100, 0)
    found = differences(before, before, resamples=50)
    assert found["f1_macro"] == (0, 0)
    assert found.keys() == bootstrap(before, resamples=50).keys()


def test_rows_that_cannot_be_paired_are_refused():
    with pytest.raises(DataError, match="cannot be paired"):
        differences(_pair(100, 0)[0], _pair(99, 0)[0])
