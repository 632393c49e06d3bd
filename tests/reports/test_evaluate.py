import numpy as np
import pytest
from sklearn import metrics

from lightning_tune.reports.evaluate import evaluate
from lightning_tune.schema import LabelSet


@pytest.fixture
def problem():
    random = np.random.default_rng(5)
    targets = random.integers(0, 4, 120)
    scores = random.dirichlet(np.ones(4), 120)
    return LabelSet("multiclass", ("a", "b", "c", "d")), targets, scores


def test_counts_and_label_scores_equal_scikit_learn(problem):
    labels, targets, scores = problem
    found = evaluate(labels, targets, scores, split="test", resamples=10)
    answers = scores.argmax(axis=1)
    assert found.confusion == metrics.confusion_matrix(targets, answers).tolist()
    parts = metrics.precision_recall_fscore_support(targets, answers)
    for index, row in enumerate(found.per_class):
        assert (row.precision, row.recall, row.f1, row.support) == pytest.approx(
            tuple(part[index] for part in parts)
        )
        assert row.predicted == (answers == index).sum()
        area = metrics.average_precision_score(targets == index, scores[:, index])
        assert row.average_precision == pytest.approx(area)


def test_precision_recall_points_lie_on_scikit_learns_curve(problem):
    labels, targets, scores = problem
    found = evaluate(labels, targets, scores, split="test", resamples=0)
    precision, recall, _ = metrics.precision_recall_curve(targets == 1, scores[:, 1])
    curve = {(round(x, 9), round(y, 9)) for x, y in zip(recall, precision, strict=True)}
    assert {(round(x, 9), round(y, 9)) for x, y in found.precision_recall["b"]} <= curve
    assert list(found.precision_recall) == ["micro", "a", "b", "c", "d"]
    assert not found.intervals


def test_curves_stay_short_however_many_rows_there_are():
    random = np.random.default_rng(1)
    targets, scores = random.integers(0, 2, 3000), random.dirichlet(np.ones(2), 3000)
    labels = LabelSet("binary", ("no", "yes"))
    found = evaluate(labels, targets, scores, split="val", resamples=0)
    assert all(len(points) <= 64 for points in found.precision_recall.values())
    assert found.precision_recall["yes"][-1][0] == 1.0


def test_labels_that_are_absent_or_never_the_answer_are_said():
    labels = LabelSet("multiclass", ("a", "b", "c"))
    scores = np.array([[0.9, 0.1, 0.0], [0.8, 0.1, 0.1]])
    found = evaluate(labels, [0, 1], scores, split="test", resamples=0)
    assert found.notes == [
        "No row of this split holds c; nothing is measured there.",
        "The model never answers b.",
    ]
    assert found.per_class[2].average_precision is None
    assert "c" not in found.precision_recall


def test_many_absent_labels_are_counted():
    labels = LabelSet("multiclass", tuple("abcdefghij"))
    scores = np.eye(10)[[0, 1]]
    found = evaluate(labels, [0, 1], scores, split="test", resamples=0)
    assert found.notes[0].startswith("No row of this split holds c, d, e, f, g, h and 2 more")


def test_multilabel_has_no_confusion_matrix():
    labels = LabelSet("multilabel", ("a", "b"))
    scores = [[0.9, 0.2], [0.3, 0.6]]
    found = evaluate(labels, [[1, 0], [0, 1]], scores, split="test", resamples=0)
    assert found.confusion is None
    assert found.metrics["f1_macro"] == 1.0
    assert found.main_metric == "f1_macro"


def test_a_large_regression_is_sampled_evenly():
    targets = np.linspace(0, 1, 4000)
    found = evaluate(LabelSet("regression"), targets, targets, split="test", resamples=0)
    assert len(found.scatter) == 1500
    assert found.scatter[0] == (0.0, 0.0)
    assert found.scatter[-1] == (1.0, 1.0)
    assert not found.per_class
