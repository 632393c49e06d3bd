import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from lightning_tune.reports.predictions import Predictions
from lightning_tune.reports.scores import METRICS, point, weighted


@pytest.fixture
def random():
    return np.random.default_rng(3)


def _single_label(random, rows, classes):
    targets = random.integers(0, classes, rows)
    # Rounded, so that ties occur.
    scores = np.round(random.dirichlet(np.ones(classes), rows), 1) + np.arange(classes) * 1e-9
    return targets, scores


def test_multiclass_metrics_equal_scikit_learn(random):
    targets, scores = _single_label(random, 300, 6)
    scores = scores / scores.sum(axis=1, keepdims=True)
    answers = scores.argmax(axis=1)
    found = point("multiclass", targets, scores)
    macro = {"average": "macro", "zero_division": 0}
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(targets, answers),
            "f1_macro": metrics.f1_score(targets, answers, **macro),
            "f1_micro": metrics.f1_score(targets, answers, average="micro"),
            "precision": metrics.precision_score(targets, answers, **macro),
            "recall": metrics.recall_score(targets, answers, **macro),
            "mcc": metrics.matthews_corrcoef(targets, answers),
            "auroc": metrics.roc_auc_score(targets, scores, multi_class="ovr"),
        }
    )


@pytest.mark.parametrize("positive", [0, 1])
def test_binary_metrics_are_those_of_the_positive_class(random, positive):
    targets, scores = _single_label(random, 200, 2)
    answers = scores.argmax(axis=1)
    found = point("binary", targets, scores, positive=positive)
    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(targets, answers),
            "f1": metrics.f1_score(targets, answers, pos_label=positive),
            "f1_macro": metrics.f1_score(targets, answers, average="macro"),
            "precision": metrics.precision_score(targets, answers, pos_label=positive),
            "recall": metrics.recall_score(targets, answers, pos_label=positive),
            "mcc": metrics.matthews_corrcoef(targets, answers),
            "auroc": metrics.roc_auc_score(targets == positive, scores[:, positive]),
        }
    )


def test_multilabel_metrics_equal_scikit_learn(random):
    targets = (random.random((250, 5)) < 0.3).astype(int)
    scores = np.round(random.random((250, 5)) * 0.6 + 0.4 * targets, 1)
    answers = scores > 0.55
    found = point("multilabel", targets, scores, threshold=0.55)
    assert found == pytest.approx(
        {
            "f1_macro": metrics.f1_score(targets, answers, average="macro"),
            "f1_micro": metrics.f1_score(targets, answers, average="micro"),
            "precision": metrics.precision_score(targets, answers, average="macro"),
            "recall": metrics.recall_score(targets, answers, average="macro"),
            "map": metrics.average_precision_score(targets, scores),
            "auroc": metrics.roc_auc_score(targets, scores),
        }
    )


def test_regression_metrics_equal_scipy(random):
    targets = random.normal(size=150).round(1)
    scores = (targets + random.normal(size=150)).round(1)
    assert point("regression", targets, scores) == pytest.approx(
        {
            "pearson": stats.pearsonr(targets, scores).statistic,
            "spearman": stats.spearmanr(targets, scores).statistic,
            "mae": metrics.mean_absolute_error(targets, scores),
        }
    )


@pytest.mark.parametrize("kind", METRICS)
def test_weights_say_the_same_as_repeating_the_rows(random, kind):
    if kind == "regression":
        targets, scores = random.normal(size=80).round(1), random.normal(size=80).round(1)
    elif kind == "multilabel":
        targets, scores = (
            (random.random((80, 4)) < 0.4).astype(int),
            random.random((80, 4)).round(1),
        )
    else:
        targets, scores = _single_label(random, 80, 2 if kind == "binary" else 4)
    drawn = random.integers(0, 80, 80)
    weights = np.bincount(drawn, minlength=80).astype(np.float32)[:, None]
    found = weighted(Predictions(kind, targets, scores), weights)
    repeated = point(kind, targets[drawn], scores[drawn])
    assert {name: value[0] for name, value in found.items()} == pytest.approx(repeated)


def test_a_constant_prediction_has_no_correlation():
    found = point("regression", [1.0, 2.0, 3.0], [0.1, 0.1, 0.1])
    assert np.isnan(found["pearson"])
    assert np.isnan(found["spearman"])
    assert found["mae"] == pytest.approx(1.9)


def test_labels_without_both_kinds_of_row_do_not_count_in_averages_over_rankings():
    targets = np.array([[1, 0, 1], [0, 0, 1]])
    scores = np.array([[0.9, 0.1, 0.8], [0.2, 0.3, 0.7]])
    found = point("multilabel", targets, scores, names=["auroc", "map"])
    assert found == {"auroc": 1.0, "map": 1.0}


def test_names_without_a_formula_are_left_out():
    scores = [[0.1, 0.9], [0.8, 0.2]]
    assert point("binary", [1, 0], scores, names=["cost", "accuracy"]) == {"accuracy": 1.0}
