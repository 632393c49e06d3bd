"""FreeLB against a loop that accumulates its gradients pass by pass."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.training.objectives import FreeLB, Plain
from lightning_tune.training.objectives.perturbation import median_norm


def accumulated(setting, *, radius, steps, step_size):
    """The paper's algorithm by plain `backward()` calls; returns mean loss and gradients."""
    classifier, batch, loss = setting.classifier, setting.batch, setting.loss
    limit = radius * median_norm(classifier)
    text = (batch["input_ids"] > 3).unsqueeze(2)
    classifier.zero_grad(set_to_none=True)
    delta = torch.zeros(4, 9, 16)
    mean = 0.0
    for _ in range(steps):
        delta.requires_grad_()
        value = loss(classifier(batch, classifier.embed(batch) + delta), batch) / steps
        value.backward()
        mean += value.item()
        with torch.no_grad():
            slope = delta.grad * text
            sizes = slope.flatten(1).norm(dim=1)[:, None, None]
            delta = delta + step_size * limit * slope / sizes
            sizes = delta.flatten(1).norm(dim=1)[:, None, None]
            delta = torch.where(sizes > limit, delta * limit / sizes, delta)
    return mean, {name: each.grad for name, each in classifier.named_parameters()}


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_it_is_the_loop_that_accumulates(arrange, assert_same, steps):
    setting = arrange()
    settings = {"radius": 0.7, "steps": steps, "step_size": 0.4}
    mean, expected = accumulated(setting, **settings)
    objective = setting.prepared(FreeLB(start="zero", **settings))
    value, _ = objective(setting.classifier, setting.batch, setting.loss)
    assert value.item() == pytest.approx(mean, rel=1e-5)
    assert_same(setting.gradients_of(value), expected, rtol=1e-3, atol=1e-5)


def test_it_starts_at_random_unless_told(arrange):
    setting = arrange()
    objective = setting.prepared(FreeLB(steps=1))
    values = {
        objective(setting.classifier, setting.batch, setting.loss)[0].item() for _ in range(3)
    }
    assert len(values) == 3


def test_k_steps_cost_k_passes_and_one_lookup(arrange):
    setting = arrange()
    plain = setting.products(Plain())
    lookups = []
    table = setting.classifier.encoder.get_input_embeddings()
    table.register_forward_hook(lambda *_: lookups.append(1))
    found = setting.products(setting.prepared(FreeLB(steps=3)))
    assert len(lookups) == 1
    assert found == pytest.approx(3 * plain, rel=0.01)


def test_the_loss_at_the_end_of_the_way_is_told(arrange):
    setting = arrange()
    objective = setting.prepared(FreeLB(start="zero", radius=0.7, step_size=0.7))
    value, _ = objective(setting.classifier, setting.batch, setting.loss)
    assert objective.parts["adversarial_loss"] > value.detach()
