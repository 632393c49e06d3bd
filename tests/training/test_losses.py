"""Losses against PyTorch's own, formulas by hand and scikit-learn's class weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from lightning_tune.errors import ConfigError
from lightning_tune.schema import LabelSet
from lightning_tune.training.losses import Loss, LossSettings, auto_weights

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(9, 4, generator=GENERATOR) * 2
TARGETS = torch.tensor([0, 1, 2, 3, 0, 0, 2, 1, 3])
MARKS = (torch.rand(9, 4, generator=GENERATOR) > 0.6).float()
SCORES = torch.randn(9, generator=GENERATOR)
SAMPLE_WEIGHTS = torch.tensor([1.0, 2.0, 0.0, 0.5, 1.0, 3.0, 1.0, 0.25, 1.0])
CLASS_WEIGHTS = [0.5, 1.0, 2.0, 4.0]

MULTI = LabelSet("multiclass", ("a", "b", "c", "d"))
MARKED = LabelSet("multilabel", ("a", "b", "c", "d"))


def loss_of(kind, logits, targets, *, weights=None, class_weights=None, **settings):
    batch = {"labels": targets} | ({} if weights is None else {"weights": weights})
    return Loss(kind, LossSettings(**settings), class_weights)(logits, batch)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_classes_have_the_cross_entropy_of_pytorch(smoothing, class_weights, kind):
    weight = None if class_weights is None else torch.tensor(class_weights)
    theirs = torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)(LOGITS, TARGETS)
    ours = loss_of(kind, LOGITS, TARGETS, class_weights=class_weights, label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
def test_marks_have_the_binary_cross_entropy_of_pytorch(class_weights):
    weight = None if class_weights is None else torch.tensor(class_weights)
    theirs = torch.nn.BCEWithLogitsLoss(pos_weight=weight)(LOGITS, MARKS)
    ours = loss_of("multilabel", LOGITS, MARKS, class_weights=class_weights)
    torch.testing.assert_close(ours, theirs)


def test_scores_have_the_squared_error_of_pytorch():
    theirs = torch.nn.MSELoss()(LOGITS[:, 0], SCORES)
    torch.testing.assert_close(loss_of("regression", LOGITS[:, :1], SCORES), theirs)


def test_whole_sample_weights_are_repeated_rows():
    counts = torch.tensor([1, 3, 0, 2, 1, 1, 4, 1, 0])
    for kind, targets in (("multiclass", TARGETS), ("multilabel", MARKS), ("regression", SCORES)):
        logits = LOGITS[:, :1] if kind == "regression" else LOGITS
        weighted = loss_of(kind, logits, targets, weights=counts.float())
        repeated = loss_of(
            kind, logits.repeat_interleave(counts, 0), targets.repeat_interleave(counts, 0)
        )
        torch.testing.assert_close(weighted, repeated)


def test_sample_weights_multiply_class_weights():
    rows = torch.nn.CrossEntropyLoss(weight=torch.tensor(CLASS_WEIGHTS), reduction="none")(
        LOGITS, TARGETS
    )
    of_class = np.array(CLASS_WEIGHTS)[TARGETS.numpy()]
    by_hand = (rows.numpy() * SAMPLE_WEIGHTS.numpy()).sum() / (
        of_class * SAMPLE_WEIGHTS.numpy()
    ).sum()
    ours = loss_of(
        "multiclass", LOGITS, TARGETS, weights=SAMPLE_WEIGHTS, class_weights=CLASS_WEIGHTS
    )
    assert ours.item() == pytest.approx(by_hand, rel=1e-6)


def test_a_batch_of_zero_weights_has_no_loss_and_no_gradient():
    logits = LOGITS.clone().requires_grad_()
    loss = loss_of("multiclass", logits, TARGETS, weights=torch.zeros(9))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum().item() == 0


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_loss_of_classes_is_its_formula(gamma):
    by_hand = []
    for row, target in zip(LOGITS.tolist(), TARGETS.tolist(), strict=True):
        p = math.exp(row[target]) / sum(math.exp(value) for value in row)
        by_hand.append(-((1 - p) ** gamma) * math.log(p))
    ours = loss_of("multiclass", LOGITS, TARGETS, focal_gamma=gamma)
    assert ours.item() == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_of_marks_is_its_formula(gamma):
    by_hand = []
    for row, marks in zip(LOGITS.tolist(), MARKS.tolist(), strict=True):
        for logit, mark in zip(row, marks, strict=True):
            p = 1 / (1 + math.exp(-logit if mark else logit))
            by_hand.append(-((1 - p) ** gamma) * math.log(p))
    ours = loss_of("multilabel", LOGITS, MARKS, focal_gamma=gamma)
    assert ours.item() == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_focal_loss_of_a_certain_answer_has_a_finite_gradient(gamma, kind):
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    targets = torch.tensor([0, 0]) if kind == "multiclass" else torch.tensor([[1.0, 0], [1, 0]])
    loss = loss_of(kind, logits, targets, focal_gamma=gamma)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert logits.grad[1].abs().sum() > 0


def test_the_gradient_of_focal_loss_is_right():
    logits = LOGITS.double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: loss_of("multiclass", x, TARGETS, focal_gamma=2.0), (logits,)
    )


def test_auto_weights_are_scikit_learns_balanced_ones():
    rows = np.array([0] * 50 + [1] * 7 + [2] * 3)
    theirs = compute_class_weight("balanced", classes=np.array([0, 1, 2]), y=rows)
    assert auto_weights("multiclass", [50, 7, 3], 60) == pytest.approx(theirs.tolist())
    pair = compute_class_weight("balanced", classes=np.array([0, 1]), y=np.array([0] * 9 + [1]))
    assert auto_weights("binary", [9, 1], 10) == pytest.approx(pair.tolist())


def test_auto_weights_give_both_sides_of_a_label_the_same_sum():
    counts, rows = [1, 20, 50], 100
    for count, weight in zip(counts, auto_weights("multilabel", counts, rows), strict=True):
        assert count * weight == pytest.approx(rows - count)


def test_a_class_without_rows_has_a_finite_weight():
    assert auto_weights("multiclass", [4, 0], 4) == [0.5, 2.0]
    assert auto_weights("multilabel", [4, 0], 4) == [0.0, 4.0]


def test_class_weights_move_with_the_loss_but_not_into_checkpoints():
    loss = Loss("multiclass", LossSettings(), CLASS_WEIGHTS).to(torch.float64)
    assert loss.class_weights.dtype == torch.float64
    assert loss.state_dict() == {}
    assert Loss("multiclass", LossSettings(), [1, 2]).class_weights.dtype == torch.float32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_smoothing": 1.0}, r"loss\.label_smoothing=1\.0 is outside \[0, 1\)"),
        ({"label_smoothing": -0.1}, r"loss\.label_smoothing=-0\.1 is outside"),
        ({"focal_gamma": -1.0}, r"loss\.focal_gamma=-1\.0 is below 0"),
        ({"focal_gamma": float("nan")}, r"loss\.focal_gamma=nan is below 0"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        LossSettings(**settings)


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        (LabelSet("regression"), {"focal_gamma": 2.0}, "are for classes; a regression task"),
        (LabelSet("regression"), {"class_weights": "auto"}, "are for classes"),
        (MARKED, {"label_smoothing": 0.1}, "this task is multi-label"),
        (MULTI, {"class_weights": [1.0]}, "has 1 values for 4 labels; give one each, in the order"),
        (MULTI, {"class_weights": []}, "has 0 values for 4 labels"),
        (MULTI, {"class_weights": [1.0, -1.0, 1.0, 1.0]}, "must be 0 or more"),
        (MULTI, {"class_weights": [0.0] * 4}, "one of them above 0"),
        (MULTI, {"class_weights": [float("nan")] * 4}, "must be 0 or more"),
    ],
)
def test_settings_that_do_not_fit_the_task_are_refused(labels, settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        LossSettings(**settings).check(labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "settings"),
    [
        (LabelSet("regression"), {}),
        (MARKED, {"class_weights": "auto", "focal_gamma": 2.0}),
        (MULTI, {"class_weights": CLASS_WEIGHTS, "label_smoothing": 0.1}),
        (MULTI, {"class_weights": "auto"}),
    ],
)
def test_settings_that_fit_are_accepted(labels, settings):
    LossSettings(**settings).check(labels)
