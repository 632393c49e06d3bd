"""PGD against a loop written by hand: step, back into the ball, step."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.training.objectives import FGM, PGD, Plain
from lightning_tune.training.objectives.perturbation import median_norm


def by_hand(setting, *, radius, steps, step_size, clean_share):
    """Projected ascent in the l2 ball of each text."""
    classifier, batch, loss = setting.classifier, setting.batch, setting.loss
    limit = radius * median_norm(classifier)
    words = classifier.embed(batch)
    text = (batch["input_ids"] > 3).unsqueeze(2)
    delta = torch.zeros_like(words)
    for _ in range(steps):
        at = (words.detach() + delta).requires_grad_()
        (gradient,) = torch.autograd.grad(loss(classifier(batch, at), batch), at)
        for row in range(len(delta)):
            slope = gradient[row] * text[row]
            delta[row] = delta[row] + step_size * limit * slope / slope.norm()
            if delta[row].norm() > limit:
                delta[row] = delta[row] * limit / delta[row].norm()
        delta = delta.detach()
    moved = loss(classifier(batch, words + delta), batch)
    return clean_share * loss(classifier(batch, words), batch) + (1 - clean_share) * moved


@pytest.mark.parametrize("clean_share", [0.0, 0.4])
def test_it_is_the_loop_written_by_hand(arrange, assert_same, clean_share):
    setting = arrange()
    settings = {"radius": 0.7, "steps": 4, "step_size": 0.4, "clean_share": clean_share}
    objective = setting.prepared(PGD(start="zero", **settings))
    expected = by_hand(setting, **settings)
    value, logits = objective(setting.classifier, setting.batch, setting.loss)
    torch.testing.assert_close(value, expected)
    assert logits.shape == (4, 3)
    clean = torch.allclose(logits, setting.classifier(setting.batch))
    assert clean == (clean_share > 0)
    assert ("clean_loss" in objective.parts) == (clean_share > 0)
    assert_same(setting.gradients_of(value), setting.gradients_of(expected), rtol=1e-3, atol=1e-5)


def test_one_whole_step_from_zero_is_fgm(arrange, assert_same):
    setting = arrange()
    single = setting.prepared(PGD(radius=0.5, steps=1, step_size=1.0, start="zero"))
    fgm = setting.prepared(FGM(radius=0.5, clean_share=0.0))
    assert_same(setting.gradients(single), setting.gradients(fgm))


def test_a_random_start_is_another_one_each_time_and_the_same_by_seed(arrange):
    setting = arrange()
    objective = setting.prepared(PGD(radius=0.5, steps=1, step_size=0.1))

    def seeded(seed: int) -> float:
        torch.manual_seed(seed)
        return objective(setting.classifier, setting.batch, setting.loss)[0].item()

    assert seeded(1) == seeded(1)
    assert seeded(1) != seeded(2)


def test_more_steps_find_a_greater_loss(arrange):
    setting = arrange()
    found = []
    for steps in (1, 4, 12):
        objective = setting.prepared(PGD(steps=steps, step_size=0.25, start="zero"))
        found.append(objective(setting.classifier, setting.batch, setting.loss)[0].item())
    assert found == sorted(found)
    assert found[-1] > found[0] + 1e-3


def test_the_steps_uphill_cost_no_weight_gradients(arrange):
    setting = arrange()
    found = setting.products(setting.prepared(PGD(steps=3)))
    # Three steps at two thirds of a plain one each, and a plain one.
    assert found <= 3.05 * setting.products(Plain())
