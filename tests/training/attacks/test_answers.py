"""Right and wrong answers, and how far they are from each other."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from lightning_tune.training.attacks.answers import are_right, margins, uphill


def test_one_class_is_right_if_it_is_the_likeliest():
    answers = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])
    assert are_right(answers, torch.tensor([0, 0]), "multiclass").tolist() == [True, False]


def test_a_set_of_labels_is_right_as_a_whole():
    answers = torch.tensor([[0.9, 0.1, 0.6], [0.9, 0.6, 0.6], [0.4, 0.1, 0.2]])
    targets = torch.tensor([[1.0, 0, 1], [1.0, 0, 1], [0.0, 0, 0]])
    assert are_right(answers, targets, "multilabel").tolist() == [True, False, True]


def test_a_margin_is_the_log_odds_against_the_likeliest_other_class():
    found = margins(
        torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.8, 0.0]]), torch.tensor([0, 0]), "binary"
    )
    assert found.tolist() == pytest.approx([math.log(2), math.log(0.25)])


def test_a_margin_of_several_labels_is_that_of_the_worst():
    found = margins(
        torch.tensor([[0.9, 0.2], [0.9, 0.8]]), torch.tensor([[1.0, 0], [1.0, 0]]), "multilabel"
    )
    assert found.tolist() == pytest.approx([math.log(4), -math.log(4)])


def test_an_answer_that_is_entirely_sure_has_a_finite_margin():
    for kind, target in (("binary", torch.tensor([0])), ("multilabel", torch.tensor([[1.0, 0]]))):
        assert margins(torch.tensor([[1.0, 0.0]]), target, kind).isfinite().all()


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_uphill_is_the_gradient_of_the_loss_but_for_its_length(kind):
    logits = torch.tensor([[0.5, -1.0, 2.0], [3.0, 0.2, 0.1]], requires_grad=True)
    if kind == "multilabel":
        targets = torch.tensor([[1.0, 0, 0], [1.0, 1, 0]])
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        losses = losses.sum(dim=1)
    else:
        targets = torch.tensor([2, 1])
        losses = functional.cross_entropy(logits, targets, reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    found = uphill(logits.detach(), targets, kind)
    ratios = found / gradient
    assert torch.allclose(ratios, ratios[:, :1].expand_as(ratios), rtol=1e-5)
    assert (ratios > 0).all()


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_uphill_is_as_long_for_an_answer_that_is_entirely_sure(kind):
    logits = torch.tensor([[500.0, -500.0, -600.0]])
    targets = torch.tensor([0]) if kind == "multiclass" else torch.tensor([[1.0, 0, 0]])
    assert float(uphill(logits, targets, kind).norm()) >= 0.5


def test_margins_still_tell_nearly_sure_answers_apart():
    """The margin of probabilities 1 - 1e-12 and 1 - 1e-9 is 0 apart as a difference."""
    sure = torch.tensor([[1.0, 1e-12], [1.0, 1e-9]])
    first, second = margins(sure, torch.tensor([0, 0]), "binary").tolist()
    assert first > second
