"""SMART against its two regularisers written by hand; its averaged weights follow and survive."""

from __future__ import annotations

import copy

import pytest
import torch

from lightning_tune.training.objectives import SMART, Plain
from lightning_tune.training.objectives.divergence import divergence
from lightning_tune.training.objectives.perturbation import Ball, median_norm, movable

KINDS = ["binary", "multiclass", "multilabel", "regression"]


def train(setting, objective, steps: int) -> None:
    optimizer = torch.optim.SGD(setting.classifier.parameters(), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(setting.classifier, setting.batch, setting.loss)[0].backward()
        optimizer.step()
        objective.after_step(setting.classifier)


@pytest.mark.parametrize("kind", KINDS)
def test_smoothness_is_the_answers_greatest_change(arrange, assert_same, kind):
    """The perturbation of one step from the same random start, on a graph with all weights."""
    setting = arrange(kind)
    classifier, batch, loss = setting.classifier, setting.batch, setting.loss
    objective = setting.prepared(SMART(radius=0.8, step_size=0.5, smoothness=3.0, proximal=0.0))
    torch.manual_seed(1)
    value, _ = objective(classifier, batch, loss)
    found = setting.gradients_of(value)

    torch.manual_seed(1)
    words = classifier.embed(batch)
    ball = Ball(0.8 * median_norm(classifier), "l2", movable(batch, torch.tensor([0, 2, 3])))
    delta = ball.start("random", words)
    logits = classifier(batch)
    at = (words.detach() + delta).requires_grad_()
    change = divergence(kind, logits.detach(), classifier(batch, at), batch)
    (gradient,) = torch.autograd.grad(change, at)
    delta = ball.project(delta + ball.steepest(gradient, 0.5))
    moved = classifier(batch, words + delta)
    expected = loss(logits, batch) + 3.0 * divergence(kind, logits, moved, batch)
    torch.testing.assert_close(value, expected)
    assert_same(found, setting.gradients_of(expected), rtol=1e-3, atol=1e-5)
    assert objective.parts.keys() == {"clean_loss", "smoothness"}
    assert objective.parts["smoothness"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_proximal_part_is_the_distance_to_the_averaged_models_answers(arrange, kind):
    setting = arrange(kind)
    objective = setting.prepared(SMART(radius=0.0, proximal=2.0, momentum=0.6))
    averaged = copy.deepcopy(setting.classifier)
    value, _ = objective(setting.classifier, setting.batch, setting.loss)
    plain = setting.loss(setting.classifier(setting.batch), setting.batch)
    torch.testing.assert_close(value, plain)  # nothing has moved yet

    for _ in range(3):
        train(setting, objective, 1)
        for old, new in zip(averaged.parameters(), setting.classifier.parameters(), strict=True):
            old.data = 0.6 * old.data + 0.4 * new.data
    value, _ = objective(setting.classifier, setting.batch, setting.loss)
    with torch.no_grad():
        before = averaged(setting.batch)
    logits = setting.classifier(setting.batch)
    distance = divergence(kind, logits, before, setting.batch)
    assert distance > 1e-5
    torch.testing.assert_close(value, setting.loss(logits, setting.batch) + 2.0 * distance)
    torch.testing.assert_close(objective.parts["proximal"], distance.detach())


def test_the_averaged_weights_answer_under_autocast_too(arrange):
    setting = arrange()
    objective = setting.prepared(SMART(radius=0.0, momentum=0.9))
    train(setting, objective, 5)
    with torch.autocast("cpu", torch.bfloat16):
        value, _ = objective(setting.classifier, setting.batch, setting.loss)
    in_bf16 = objective.parts["proximal"].item()
    assert setting.gradients_of(value)
    objective(setting.classifier, setting.batch, setting.loss)
    assert objective.parts["proximal"].item() > 1e-3
    assert in_bf16 == pytest.approx(objective.parts["proximal"].item(), rel=0.2)


def test_the_averaged_model_answers_without_dropout_and_leaves_modes_as_they_were(arrange):
    setting = arrange(dropout=True)
    setting.classifier.encoder.bert.pooler.eval()
    modes = [module.training for module in setting.classifier.modules()]
    objective = setting.prepared(SMART(radius=0.0))
    modes_seen = []
    hook = lambda module, *_: modes_seen.append(module.training)  # noqa: E731
    setting.classifier.encoder.bert.embeddings.register_forward_hook(hook)
    objective(setting.classifier, setting.batch, setting.loss)
    assert modes_seen == [True, False]
    assert [module.training for module in setting.classifier.modules()] == modes


def test_only_trained_weights_are_averaged(arrange):
    setting = arrange()
    setting.classifier.encoder.bert.embeddings.requires_grad_(False)
    objective = setting.prepared(SMART())
    kept = objective.state_dict()
    assert kept
    assert not [name for name in kept if "embeddings" in name]
    frozen = setting.classifier.encoder.get_input_embeddings().weight
    train(setting, objective, 2)
    assert frozen.grad is None
    name = "encoder.classifier.weight"
    after = objective.state_dict()[f"averaged.{name}"]
    assert not torch.equal(after, dict(setting.classifier.named_parameters())[name])


def test_without_the_proximal_part_nothing_is_kept(arrange):
    setting = arrange()
    objective = setting.prepared(SMART(proximal=0.0))
    objective.after_step(setting.classifier)
    assert objective.state_dict().keys() == {"unit"}


def test_a_state_comes_back(arrange, tmp_path):
    setting = arrange()
    objective = setting.prepared(SMART(momentum=0.5))
    train(setting, objective, 3)
    torch.save(objective.state_dict(), tmp_path / "state.pt")
    again = setting.prepared(SMART(momentum=0.5))
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for name, value in objective.state_dict().items():
        assert torch.equal(torch.as_tensor(again.state_dict()[name]), torch.as_tensor(value))
    again.after_step(setting.classifier)
    assert not all(
        torch.equal(torch.as_tensor(value), torch.as_tensor(again.state_dict()[name]))
        for name, value in objective.state_dict().items()
    )


def test_a_state_of_another_objective_leaves_the_averages_at_the_start(arrange):
    setting = arrange()
    objective = setting.prepared(SMART())
    objective.load_state_dict({"unit": 3.0})
    assert objective.state_dict()["unit"] == 3.0
    named = dict(setting.classifier.named_parameters())
    for name, value in objective.state_dict().items():
        if name != "unit":
            assert torch.equal(value, named[name.removeprefix("averaged.")])


def test_without_both_parts_it_is_plain(arrange, assert_same):
    setting = arrange()
    objective = SMART(radius=0.0, proximal=0.0)
    assert_same(setting.gradients(objective), setting.gradients(Plain()))
    assert objective.parts.keys() == {"clean_loss"}


def test_it_works_without_a_trainer(arrange):
    setting = arrange()
    for radius, parts in ((0.1, {"smoothness", "proximal"}), (0.0, {"proximal"})):
        objective = SMART(radius)
        assert setting.gradients(objective)
        assert objective.parts.keys() == {"clean_loss", *parts}


def test_it_costs_seven_thirds_of_a_plain_step_and_two_thirds_for_each_step_uphill(arrange):
    setting = arrange()
    plain = setting.products(Plain())
    for steps in (1, 2):
        found = setting.products(setting.prepared(SMART(steps=steps)))
        assert found == pytest.approx((7 + 2 * steps) / 3 * plain, rel=0.03)
