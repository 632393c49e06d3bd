"""The search against trying every choice."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune_export.prune.search import Costs, choose, flop_costs, search, weight_costs


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_no_choice_in_the_budget_loses_less(seed, share):
    random = np.random.default_rng(seed)
    groups = []
    for _ in range(4):
        costs = np.concatenate(([0], np.cumsum(random.integers(1, 9, 4)))).astype(float)
        groups.append((costs, np.sort(random.random(5))[::-1].copy()))
    # Whole budgets, so that counting costs in its parts rounds nothing up.
    budget = float(round(share * sum(costs[-1] for costs, _ in groups)))
    chosen = choose(groups, budget)
    assert sum(c[i] for (c, _), i in zip(groups, chosen, strict=True)) <= budget
    found = sum(losses[i] for (_, losses), i in zip(groups, chosen, strict=True))
    best = min(
        sum(losses[i] for (_, losses), i in zip(groups, each, strict=True))
        for each in product(range(5), repeat=4)
        if sum(c[i] for (c, _), i in zip(groups, each, strict=True)) <= budget * 0.999
    )
    assert found <= best + 1e-12


def importances(heads=4, neurons=128, layers=3):
    generator = torch.Generator().manual_seed(0)
    return (
        [torch.rand(heads, generator=generator).double() for _ in range(layers)],
        [torch.rand(neurons, generator=generator).double() for _ in range(layers)],
    )


@pytest.mark.parametrize("keep", [0.1, 0.35, 0.65, 1.0])
def test_what_stays_is_in_the_budget_in_steps_and_the_most_important(keep):
    heads, neurons = importances()
    costs = weight_costs(4, 128, width=32, head_size=8)
    kept = search(heads, neurons, costs, keep=keep, step=32)
    spent = sum(4 * 32 * 8 * len(k.heads) + 2 * 32 * len(k.neurons) for k in kept)
    whole = 3 * (4 * 32 * 32 + 2 * 32 * 128)
    assert 0.8 * keep * whole <= spent <= keep * whole + 1e-9
    for layer, each in enumerate(kept):
        assert len(each.neurons) % 32 == 0
        for chosen, values in ((each.heads, heads[layer]), (each.neurons, neurons[layer])):
            left_out = set(range(len(values))) - set(chosen)
            assert list(chosen) == sorted(chosen)
            if chosen and left_out:
                assert min(values[list(chosen)]) >= max(values[list(left_out)])


def test_layers_that_matter_nothing_go_whole():
    heads, neurons = importances()
    heads[1], neurons[1] = torch.zeros(4).double(), torch.zeros(128).double()
    costs = weight_costs(4, 128, width=32, head_size=8)
    kept = search(heads, neurons, costs, keep=2 / 3, step=32)
    assert [(len(k.heads), len(k.neurons)) for k in kept] == [(4, 128), (0, 0), (4, 128)]


def test_a_layer_with_fewer_heads_than_others_is_searched_too():
    heads, neurons = importances(layers=2)
    heads[0], neurons[0] = heads[0][:1], neurons[0][:40]
    kept = search(heads, neurons, weight_costs(4, 128, width=32, head_size=8), keep=1.0, step=32)
    assert [(len(k.heads), len(k.neurons)) for k in kept] == [(1, 40), (4, 128)]


def test_fixed_costs_let_whole_blocks_go():
    heads, neurons = [torch.ones(4).double()] * 2, [torch.ones(128).double()] * 2
    steep = Costs(np.array([0, 9.0, 9.2, 9.4, 10]), np.linspace(0, 10, 129))
    kept = search(heads, neurons, steep, keep=0.75, step=32)
    assert sorted(len(k.heads) for k in kept) == [0, 4]


def test_operations_count_pairs_of_tokens():
    few, many = (
        flop_costs(2, 4, width=16, head_size=8, tokens=tokens).attention[2] for tokens in (1, 101)
    )
    # Scores and weighted values: two products of the head's size for each pair.
    assert many - few == 100 * 2 * (2 * 2 * 8)


def test_a_budget_that_nothing_fits_is_refused():
    costs = np.array([5.0, 10.0])
    with pytest.raises(ConfigError, match=r"prune\.keep is below"):
        choose([(costs, np.array([1.0, 0.0]))], 4.0)
