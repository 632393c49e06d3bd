"""Gradients that were taken one loss at a time arrive as those of the sum."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.training.objectives.collected import CollectedGradients

FACTOR = 1024.0


def collect(setting, deltas, **settings):
    """The loss at several perturbations, collected, as one loss."""
    words = setting.classifier.embed(setting.batch)
    collected = CollectedGradients(setting.classifier, words, **settings)
    seen = []
    for delta in deltas:
        at = (words.detach() + delta).requires_grad_()
        loss = setting.loss(setting.classifier(setting.batch, at), setting.batch)
        seen.append(collected.take(loss, at))
    return collected.hand_over(), seen


def summed(setting, deltas):
    """The same by eager PyTorch: one graph over all passes."""
    words = setting.classifier.embed(setting.batch)
    return sum(
        setting.loss(setting.classifier(setting.batch, words + delta), setting.batch)
        for delta in deltas
    )


@pytest.fixture
def deltas():
    torch.manual_seed(3)
    return [0.1 * torch.randn(4, 9, 16) for _ in range(3)]


def test_what_is_handed_over_is_the_gradient_of_the_sum(arrange, assert_same, deltas):
    setting = arrange()
    total, _ = collect(setting, deltas)
    expected = summed(setting, deltas)
    torch.testing.assert_close(total, expected)
    found = setting.gradients_of(total)
    assert "encoder.bert.embeddings.word_embeddings.weight" in found
    assert_same(found, setting.gradients_of(expected), rtol=1e-4, atol=1e-6)


def test_a_factor_on_the_loss_reaches_every_gradient(arrange, assert_same, deltas):
    """As accumulation divides it, and the scaler of fp16 multiplies it."""
    setting = arrange()
    total, _ = collect(setting, deltas)
    expected = setting.gradients_of(summed(setting, deltas) * 0.25)
    assert_same(setting.gradients_of(total * 0.25), expected, rtol=1e-4, atol=1e-6)


def test_scaling_inside_is_taken_back(arrange, assert_same, deltas):
    setting = arrange()
    total, seen = collect(setting, deltas, scale=lambda loss: loss * FACTOR)
    _, plainly = collect(setting, deltas)
    for scaled, plain in zip(seen, plainly, strict=True):
        torch.testing.assert_close(scaled, plain * FACTOR)
    expected = setting.gradients_of(summed(setting, deltas) * FACTOR)
    assert_same(setting.gradients_of(total * FACTOR), expected, rtol=1e-4, atol=1e-2)


def test_an_overflow_inside_arrives_as_one(arrange, deltas):
    setting = arrange()
    total, _ = collect(setting, deltas[:1], scale=lambda loss: loss * float("inf"))
    found = setting.gradients_of(total)
    assert not all(value.isfinite().all() for value in found.values())


def test_nothing_is_left_on_the_weights_before_the_backward_pass(arrange, deltas):
    setting = arrange()
    collect(setting, deltas)
    assert all(each.grad is None for each in setting.classifier.parameters())


@pytest.mark.parametrize("frozen", ["word_embeddings", "layer.0", "encoder.bert"])
def test_frozen_weights_get_nothing_and_the_others_all(arrange, assert_same, deltas, frozen):
    setting = arrange()
    for name, weight in setting.classifier.named_parameters():
        weight.requires_grad_(frozen not in name)
    total, _ = collect(setting, deltas)
    found = setting.gradients_of(total)
    assert found
    assert not [name for name in found if frozen in name]
    assert_same(found, setting.gradients_of(summed(setting, deltas)), rtol=1e-4, atol=1e-6)


def test_a_weight_that_nothing_uses_keeps_no_gradient(arrange, deltas):
    setting = arrange()
    setting.classifier.spare = torch.nn.Parameter(torch.ones(2))
    total, _ = collect(setting, deltas)
    assert "spare" not in setting.gradients_of(total)


def test_without_any_loss_it_hands_over_nothing(arrange):
    setting = arrange()
    total, _ = collect(setting, [])
    assert total.item() == 0
    assert setting.gradients_of(total) == {}
