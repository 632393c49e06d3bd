"""Metrics against scikit-learn, by task kind."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk

from lightning_tune.errors import ConfigError
from lightning_tune.schema import LabelSet
from lightning_tune.training.metrics import (
    MetricSpec,
    build_metrics,
    direction,
    main_metric,
    probabilities,
    update,
)

NAMES = ("a", "b", "c", "d")
MULTI = LabelSet("multiclass", NAMES)
MARKED = LabelSet("multilabel", NAMES)
TWO = LabelSet("binary", ("no", "yes"))
SCORE = LabelSet("regression")


def values(labels, logits, targets, extra=None, *, batches=3):
    """The metrics after several batches of uneven size."""
    collection = build_metrics(labels, extra or {}).clone(prefix="val/")
    cuts = torch.tensor_split(torch.arange(len(targets)), [2, 9][: batches - 1])
    for rows in cuts:
        update(collection, labels, logits[rows], targets[rows])
    return {name.removeprefix("val/"): float(v) for name, v in collection.compute().items()}


def some(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def agree(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, abs=1e-5, nan_ok=True), name


def sk_multiclass(targets, scores):
    chosen = scores.argmax(axis=1)
    present = [index for index in range(scores.shape[1]) if (targets == index).sum() > 0]
    return {
        "accuracy": sk.accuracy_score(targets, chosen),
        "f1_macro": sk.f1_score(targets, chosen, average="macro"),
        "f1_micro": sk.f1_score(targets, chosen, average="micro"),
        "precision": sk.precision_score(targets, chosen, average="macro", zero_division=0),
        "recall": sk.recall_score(targets, chosen, average="macro", zero_division=0),
        "mcc": sk.matthews_corrcoef(targets, chosen),
        "auroc": np.mean([sk.roc_auc_score(targets == i, scores[:, i]) for i in present]),
    }


@pytest.mark.parametrize("classes", [4, 3])
def test_multiclass_metrics_are_scikit_learns(classes):
    """With three of the four classes in the rows, too, as in a small validation split."""
    logits = some(40, 4) * 2
    targets = torch.randint(classes, (40,), generator=torch.Generator().manual_seed(1))
    scores = probabilities(logits, "multiclass").numpy()
    assert scores.sum(axis=1) == pytest.approx(1, abs=1e-6)
    agree(values(MULTI, logits, targets), sk_multiclass(targets.numpy(), scores))


@pytest.mark.parametrize("positive", ["no", "yes"])
def test_binary_metrics_are_those_of_the_positive_label(positive):
    labels = LabelSet("binary", ("no", "yes"), positive=positive)
    logits = some(50, 2)
    targets = (torch.rand(50, generator=torch.Generator().manual_seed(3)) > 0.7).long()
    truth = np.array([labels.names[i] == positive for i in targets])
    score = torch.softmax(logits, 1)[:, labels.names.index(positive)].numpy()
    chosen = score > 0.5
    theirs = {
        "accuracy": sk.accuracy_score(truth, chosen),
        "f1": sk.f1_score(truth, chosen),
        "f1_macro": sk.f1_score(truth, chosen, average="macro"),
        "precision": sk.precision_score(truth, chosen),
        "recall": sk.recall_score(truth, chosen),
        "mcc": sk.matthews_corrcoef(truth, chosen),
        "auroc": sk.roc_auc_score(truth, score),
    }
    agree(values(labels, logits, targets), theirs)


@pytest.mark.parametrize("held_by_none", [False, True])
def test_multilabel_metrics_are_scikit_learns(held_by_none):
    logits = some(40, 4)
    targets = (some(40, 4, seed=5) > 0.5).float()
    if held_by_none:
        targets[:, 2] = 0
    truth, scores = targets.numpy().astype(int), torch.sigmoid(logits).numpy()
    chosen = scores > 0.5
    present = [index for index in range(4) if truth[:, index].any()]

    def mean(metric):
        return np.mean([metric(truth[:, index], scores[:, index]) for index in present])

    theirs = {
        "f1_macro": sk.f1_score(truth, chosen, average="macro", zero_division=0),
        "f1_micro": sk.f1_score(truth, chosen, average="micro", zero_division=0),
        "precision": sk.precision_score(truth, chosen, average="macro", zero_division=0),
        "recall": sk.recall_score(truth, chosen, average="macro", zero_division=0),
        "map": mean(sk.average_precision_score),
        "auroc": mean(sk.roc_auc_score),
    }
    agree(values(MARKED, logits, targets), theirs)


def test_a_label_that_every_row_holds_counts_for_precision_but_not_for_ranking():
    logits, targets = some(12, 4), torch.ones(12, 4)
    found = values(MARKED, logits, targets)
    assert found["map"] == pytest.approx(1)
    assert math.isnan(found["auroc"])


@pytest.mark.parametrize("only", [0, 1])
def test_a_ranking_metric_of_one_class_alone_is_not_a_number(only):
    found = values(TWO, some(12, 2), torch.full((12,), only))
    assert math.isnan(found["auroc"])
    assert not math.isnan(found["accuracy"])


def test_regression_metrics_are_scipys():
    logits, targets = some(30, 1), some(30, 1, seed=2)[:, 0]
    targets[5:9] = targets[5]  # ties
    theirs = {
        "pearson": stats.pearsonr(logits[:, 0], targets).statistic,
        "spearman": stats.spearmanr(logits[:, 0], targets).statistic,
        "mae": sk.mean_absolute_error(targets, logits[:, 0]),
    }
    agree(values(SCORE, logits, targets), theirs)


@pytest.mark.parametrize(
    ("labels", "outputs", "targets"),
    [
        (TWO, 2, torch.tensor([0, 1, 1, 0])),
        (MULTI, 4, torch.tensor([0, 1, 2, 3])),
        (MARKED, 4, torch.eye(4)),
        (SCORE, 1, torch.arange(4.0)),
    ],
)
def test_metrics_agree_with_those_of_the_reports(labels, outputs, targets):
    from lightning_tune.reports.scores import point

    logits = some(4, outputs)
    reported = point(
        labels.kind,
        targets.numpy(),
        probabilities(logits, labels.kind).numpy(),
        positive=labels.positive_index if labels.kind == "binary" else 1,
    )
    agree(values(labels, logits, targets, batches=1), reported)


RANK = """
import sys, torch
from lightning_tune.schema import LabelSet
from lightning_tune.training.metrics import build_metrics, update
store, rank = sys.argv[1], int(sys.argv[2])
torch.distributed.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=2)
values = torch.load(store + ".pt")
for kind, names in (("multiclass", "abcd"), ("multilabel", "abcd"), ("regression", "")):
    labels, (logits, targets) = LabelSet(kind, tuple(names)), values[kind]
    metrics = build_metrics(labels, {})
    if rank == 0:
        update(metrics, labels, logits, targets)
    print({name: round(float(value), 5) for name, value in metrics.compute().items()})
torch.distributed.destroy_process_group()
"""


def test_a_rank_without_rows_takes_part_in_the_metrics_of_all(tmp_path):
    cases = {
        "multiclass": (some(9, 4), torch.arange(9) % 4),
        "multilabel": (some(9, 4), (some(9, 4, seed=1) > 0).float()),
        "regression": (some(9, 1), some(9, 1, seed=1)[:, 0]),
    }
    store = str(tmp_path / "store")
    torch.save(cases, store + ".pt")
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RANK, store, str(rank)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    answers = [rank.communicate(timeout=120)[0] for rank in ranks]
    expected = ""
    for kind, (logits, targets) in cases.items():
        labels = LabelSet(kind, () if kind == "regression" else NAMES)
        found = values(labels, logits, targets, batches=1)
        expected += f"{ {name: round(value, 5) for name, value in found.items()} }\n"
    assert answers == [expected, expected]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_probabilities_are_fp32(kind):
    logits = some(3, 1 if kind == "regression" else 2).bfloat16()
    found = probabilities(logits, kind)
    assert found.dtype == torch.float32
    assert found.shape == ((3,) if kind == "regression" else (3, 2))


def test_metrics_start_afresh_after_a_reset():
    labels, targets = MULTI, torch.tensor([0, 1, 2, 3])
    collection = build_metrics(labels, {})
    update(collection, labels, torch.eye(4) * -9, targets)
    collection.reset()
    update(collection, labels, torch.eye(4) * 9, targets)
    assert {float(value) for value in collection.compute().values()} == {1.0}


@pytest.mark.parametrize(
    ("labels", "named", "chosen", "way"),
    [
        (TWO, None, "accuracy", "max"),
        (MULTI, None, "accuracy", "max"),
        (MARKED, None, "f1_macro", "max"),
        (SCORE, None, "spearman", "max"),
        (SCORE, "mae", "mae", "min"),
        (MULTI, "loss", "loss", "min"),
        (MULTI, "auroc", "auroc", "max"),
    ],
)
def test_the_main_metric_and_its_direction(labels, named, chosen, way):
    collection = build_metrics(labels, {})
    assert main_metric(labels.kind, named, collection) == chosen
    assert direction(chosen, collection) == way


def test_an_unknown_main_metric_is_refused_with_the_nearest():
    collection = build_metrics(MULTI, {})
    with pytest.raises(ConfigError, match="'acuracy' is not computed in a multiclass") as caught:
        main_metric("multiclass", "acuracy", collection)
    assert str(caught.value).endswith("loss. Did you mean 'accuracy'?")
    assert "\n" not in str(caught.value)


def test_a_metric_of_the_users_own_is_computed_and_can_be_the_main_one():
    spec = MetricSpec("torchmetrics.classification.MulticlassHingeLoss", {"num_classes": 4})
    collection = build_metrics(MULTI, {"hinge": spec})
    assert main_metric("multiclass", "hinge", collection) == "hinge"
    assert direction("hinge", collection) == "min"
    logits, targets = some(12, 4), torch.arange(12) % 4
    scores = torch.softmax(logits, 1).numpy()
    others = np.where(np.eye(4)[targets] == 1, -np.inf, scores).max(axis=1)
    by_hand = np.maximum(0, 1 - (scores[range(12), targets] - others)).mean()
    found = values(MULTI, logits, targets, {"hinge": spec})
    assert found["hinge"] == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("own", MetricSpec("builtins.dict"), "metrics.own: dict is not a Metric."),
        ("own", MetricSpec("torch.nn.Linear"), "metrics.own: Linear is not a Metric."),
        ("own", MetricSpec("math.pi"), "metrics.own: pi is not a Metric."),
        ("own", MetricSpec("torchmetrics.classification.BinaryAcuracy"), "'BinaryAccuracy'"),
        (
            "own",
            MetricSpec("no_such_package.Metric"),
            "metrics.own: 'no_such_package' cannot be imported .No module named",
        ),
        ("own", MetricSpec("Accuracy"), "give package.module.Class"),
        ("accuracy", MetricSpec("torchmetrics.MeanMetric"), "the name is taken"),
        ("loss", MetricSpec("torchmetrics.MeanMetric"), "the name is taken"),
        ("a/b", MetricSpec("torchmetrics.MeanMetric"), "holds a slash"),
        ("own", MetricSpec("torchmetrics.MeanMetric", {"typo": 1}), "refuses its init_args"),
        (
            "own",
            MetricSpec("torchmetrics.classification.MulticlassAccuracy", {"num_classes": 0}),
            "refuses its init_args",
        ),
    ],
)
def test_a_metric_that_cannot_be_is_refused_in_one_line(name, spec, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build_metrics(MULTI, {name: spec})
    assert "\n" not in str(caught.value)
