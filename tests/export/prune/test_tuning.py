"""Least squares against numpy, and against what they can and cannot mend."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lightning_tune.models.emptied import Constant
from lightning_tune.models.layout import NAMES, stack_of
from lightning_tune_export.prune.importance import importance
from lightning_tune_export.prune.probing import plain_classifier, some_batches
from lightning_tune_export.prune.search import Kept
from lightning_tune_export.prune.surgery import cut
from lightning_tune_export.prune.tuning import Equations, scale_and_shift, tune

ALL = tuple(range(32))


def missed(smaller, classifier, batches):
    with torch.no_grad():
        return sum(float((smaller(b) - classifier(b)).square().sum()) for b in batches)


def test_the_equations_are_those_of_weighted_least_squares():
    random = np.random.default_rng(0)
    features, wanted = random.normal(size=(4, 10, 3)), random.normal(size=(4, 10, 2))
    weights = random.random((4, 10)) * (random.random((4, 10)) > 0.3)
    linear = nn.Linear(3, 2)
    equations = Equations(linear)
    for each in range(4):
        parts = (torch.from_numpy(a[each : each + 1]).float() for a in (features, wanted, weights))
        equations.add(*parts)
    equations.solve(0.0)
    roots = np.sqrt(weights.reshape(-1, 1))
    rows = np.hstack([features.reshape(-1, 3), np.ones((40, 1))]) * roots
    expected, *_ = np.linalg.lstsq(rows, wanted.reshape(-1, 2) * roots, rcond=None)
    np.testing.assert_allclose(linear.weight.detach().numpy(), expected[:3].T, atol=1e-4)
    np.testing.assert_allclose(linear.bias.detach().numpy(), expected[3], atol=1e-4)


def test_what_has_no_inputs_left_gives_the_weighted_mean():
    constant = Constant(2)
    equations = Equations(constant)
    wanted = torch.tensor([[[1.0, 0.0], [3.0, 8.0]]])
    equations.add(torch.zeros(1, 2, 5), wanted, torch.tensor([[1.0, 3.0]]))
    equations.solve(0.1)
    torch.testing.assert_close(constant.bias.detach(), torch.tensor([2.5, 6.0]))


def test_a_large_ridge_leaves_the_weights_where_they_are():
    linear = nn.Linear(3, 2)
    before = linear.weight.detach().clone()
    equations = Equations(linear)
    equations.add(torch.randn(1, 20, 3), torch.randn(1, 20, 2), torch.ones(1, 20))
    equations.solve(1e9)
    torch.testing.assert_close(linear.weight.detach(), before, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet", "electra"])
def test_neurons_and_heads_that_others_repeat_are_made_up_for_wholly(arrange, exact, family):
    module, data = arrange(family)
    classifier = plain_classifier(module)
    names = NAMES[classifier.encoder.config.model_type]
    for layer in stack_of(classifier.encoder):
        for part in names.inward:  # both heads attend alike
            linear = layer.get_submodule(part)
            linear.weight[:8], linear.bias[:8] = linear.weight[8:], linear.bias[8:]
        up = layer.get_submodule(names.up)
        up.weight[:16], up.bias[:16] = up.weight[16:], up.bias[16:]
    if family == "mpnet":
        classifier.encoder.mpnet.encoder.relative_attention_bias.weight.zero_()
    batches = some_batches(data, 64)
    found = importance(classifier, batches, "binary")
    smaller = cut(classifier, module.label_set, [Kept((1,), ALL[16:])] * 2)
    with torch.no_grad():
        expected = classifier(batches[0])
        assert (smaller(batches[0]) - expected).abs().max() > 1e-2
        tune(smaller, classifier, batches, found, sources=[0, 1], ridge=1e-7)
        torch.testing.assert_close(smaller(batches[0]), expected, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("plan", [[Kept((1,), ALL[:20])] * 2, [Kept((), ()), Kept((0, 1), ALL)]])
def test_what_is_tuned_answers_nearer_to_the_original(arrange, exact, plan):
    module, data = arrange()
    classifier = plain_classifier(module)
    batches = some_batches(data, 72)
    found = importance(classifier, batches, "binary")
    smaller = cut(classifier, module.label_set, plan)

    before = missed(smaller, classifier, batches)
    tune(smaller, classifier, batches, found, sources=[0, 1])
    assert missed(smaller, classifier, batches) < 0.5 * before


def test_a_normalisation_takes_the_factors_of_a_weighted_regression():
    random = np.random.default_rng(0)
    own, wanted = random.normal(size=(2, 1, 20, 3))
    weights = random.random((1, 20))
    norm = nn.LayerNorm(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 0.5]))
        norm.bias.copy_(torch.tensor([0.0, 1.0, -1.0]))
    factors, shifts = norm.weight.tolist(), norm.bias.tolist()
    states = [torch.from_numpy(own).float()]
    with torch.no_grad():
        scale_and_shift(
            norm, states, [torch.from_numpy(wanted).float()], [torch.from_numpy(weights).float()]
        )
    for each in range(3):
        slope, shift = np.polyfit(own[0, :, each], wanted[0, :, each], 1, w=np.sqrt(weights[0]))
        assert norm.weight[each].item() == pytest.approx(slope * factors[each], rel=1e-4)
        assert norm.bias[each].item() == pytest.approx(slope * shifts[each] + shift, rel=1e-4)
        np.testing.assert_allclose(
            states[0][0, :, each].numpy(), slope * own[0, :, each] + shift, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("family", ["bert", "distilbert", "mpnet"])
def test_the_layer_below_a_dropped_one_makes_up_for_a_part_of_it(arrange, exact, family):
    module, data = arrange(family)
    classifier = plain_classifier(module)
    batches = some_batches(data, 72)
    found = importance(classifier, batches, "binary")
    smaller = cut(classifier, module.label_set, [Kept((0, 1), ALL), Kept((), ())])
    before = missed(smaller, classifier, batches)
    tune(smaller, classifier, batches, found, sources=[0])
    assert missed(smaller, classifier, batches) < 0.8 * before
