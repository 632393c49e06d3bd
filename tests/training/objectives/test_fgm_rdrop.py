"""FGM and R-Drop together against the two written side by side."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.training.objectives import FGM, FGMRDrop, Plain, RDrop
from lightning_tune.training.objectives.divergence import divergence
from lightning_tune.training.objectives.perturbation import Ball, median_norm, movable


def by_hand(setting, *, radius, weight):
    classifier, batch, loss = setting.classifier, setting.batch, setting.loss
    words = classifier.encoder.get_input_embeddings().weight[batch["input_ids"]]
    leaf = words.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(classifier(batch, leaf), batch), leaf)
    ball = Ball(radius * median_norm(classifier), "l2", movable(batch, torch.tensor([0, 2, 3])))
    first, second = classifier(batch), classifier(batch, words + ball.steepest(gradient))
    mean = (loss(first, batch) + loss(second, batch)) / 2
    return mean + weight / 4 * divergence(loss.kind, first, second, batch)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_it_is_both_at_once(arrange, assert_same, kind):
    setting = arrange(kind)
    objective = setting.prepared(FGMRDrop(radius=0.6, weight=3.0))
    value, logits = objective(setting.classifier, setting.batch, setting.loss)
    expected = by_hand(setting, radius=0.6, weight=3.0)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(logits, setting.classifier(setting.batch).detach())
    assert set(objective.parts) == {"clean_loss", "adversarial_loss", "consistency"}
    assert_same(setting.gradients_of(value), setting.gradients_of(expected), rtol=1e-3, atol=1e-5)


def test_without_weight_it_is_fgm(arrange, assert_same):
    setting = arrange()
    found = setting.gradients(setting.prepared(FGMRDrop(radius=0.6, weight=0.0)))
    expected = setting.gradients(setting.prepared(FGM(radius=0.6)))
    assert_same(found, expected, rtol=1e-3, atol=1e-5)


def test_with_a_radius_of_0_it_is_r_drop(arrange, assert_same):
    setting = arrange(dropout=True)
    found = []
    for objective in (FGMRDrop(radius=0.0, weight=2.0), RDrop(weight=2.0)):
        torch.manual_seed(5)
        found.append(setting.gradients(objective))
    assert_same(*found, rtol=1e-5, atol=1e-7)


def test_it_works_on_a_frozen_table(arrange):
    setting = arrange()
    setting.classifier.encoder.get_input_embeddings().requires_grad_(False)
    found = setting.gradients(setting.prepared(FGMRDrop(radius=0.6)))
    assert "encoder.bert.embeddings.word_embeddings.weight" not in found
    assert found


def test_it_costs_seven_thirds_of_a_plain_step(arrange):
    setting = arrange()
    found = setting.products(setting.prepared(FGMRDrop()))
    assert found <= 2.35 * setting.products(Plain())
