"""The difference of two answers is what torch's own divergences say, both ways."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from lightning_tune.training.objectives.divergence import divergence

FIRST = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
SECOND = torch.tensor([[0.5, 1.0, 0.0], [2.0, 2.5, -1.0]])
WEIGHTS = torch.tensor([1.0, 3.0])


def of_torch(kind, first, second):
    made = {
        "binary": lambda logits: Categorical(logits=logits),
        "multiclass": lambda logits: Categorical(logits=logits),
        "multilabel": lambda logits: Bernoulli(logits=logits),
        "regression": lambda logits: Normal(logits, 1.0),
    }[kind]
    p, q = made(first), made(second)
    both = kl_divergence(p, q) + kl_divergence(q, p)
    return both if both.ndim == 1 else both.mean(dim=1)


def outputs(kind):
    width = {"binary": 2, "regression": 1}.get(kind, 3)
    return FIRST[:, :width].clone().requires_grad_(), SECOND[:, :width]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_it_is_the_divergence_in_both_directions(kind):
    first, second = outputs(kind)
    found = divergence(kind, first, second, {})
    expected = of_torch(kind, first, second).mean()
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(value, first)[0] for value in (found, expected)]
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(divergence(kind, second, first, {}), found)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_rows_count_by_their_weight(kind):
    first, second = outputs(kind)
    each = of_torch(kind, first, second)
    found = divergence(kind, first, second, {"weights": WEIGHTS})
    torch.testing.assert_close(found, (each[0] + 3 * each[1]) / 4)
    assert divergence(kind, first, second, {"weights": torch.zeros(2)}).item() == 0


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_equal_answers_differ_by_nothing_and_have_no_gradient(kind):
    first, _ = outputs(kind)
    found = divergence(kind, first, first.detach().clone(), {})
    assert found.item() == 0
    assert torch.autograd.grad(found, first)[0].eq(0).all()


def test_sure_answers_stay_finite():
    sure = torch.tensor([[200.0, -200.0]], requires_grad=True)
    for kind in ("binary", "multilabel"):
        found = divergence(kind, sure, -sure, {})
        assert found.isfinite()
        assert torch.autograd.grad(found, sure)[0].isfinite().all()
