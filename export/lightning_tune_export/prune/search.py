"""Which heads and neurons to keep: those that matter most, under a budget.

Each block of each layer is cut to one of a few sizes, whose cost is known and whose loss is the
summed importance of what goes. The least total loss under the budget is a multiple-choice knapsack
(Kwon et al. 2022, https://arxiv.org/abs/2204.09656, algorithm 1 with a budget of latency too),
solved exactly but for the rounding of costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightning_tune.errors import ConfigError

_STEPS = 6000
"""Parts that a budget is counted in."""


@dataclass(frozen=True)
class Costs:
    """What the blocks of a layer cost, in any unit.

    Args:
        attention: By the number of heads, from none on, [heads + 1].
        feed_forward: By the number of neurons, from none on, [neurons + 1].
    """

    attention: NDArray[np.float64]
    feed_forward: NDArray[np.float64]


@dataclass(frozen=True)
class Kept:
    """What stays of one layer.

    Args:
        heads: Places among the heads that it has, ascending.
        neurons: Places among its neurons, ascending.
    """

    heads: tuple[int, ...]
    neurons: tuple[int, ...]


def remaining(kept: Sequence[Kept]) -> list[int]:
    """Return which layers remain: those with a head or a neuron, and the lowest.

    >>> remaining([Kept((), ()), Kept((0,), ()), Kept((), ()), Kept((), (3,))])
    [0, 1, 3]
    """
    return [place for place, each in enumerate(kept) if place == 0 or each.heads or each.neurons]


def weight_costs(heads: int, neurons: int, *, width: int, head_size: int) -> Costs:
    """Count the weights of a layer's matrix products.

    >>> weight_costs(2, 3, width=4, head_size=2).attention.tolist()
    [0.0, 32.0, 64.0]
    """
    of_heads = np.arange(heads + 1, dtype=np.float64)
    of_neurons = np.arange(neurons + 1, dtype=np.float64)
    return Costs(of_heads * (4 * width * head_size), of_neurons * (2 * width))


def flop_costs(heads: int, neurons: int, *, width: int, head_size: int, tokens: float) -> Costs:
    """Count the operations of a layer for a token of a text of so many tokens.

    >>> flop_costs(1, 1, width=4, head_size=2, tokens=3).attention.tolist()
    [0.0, 88.0]
    """
    weights = weight_costs(heads, neurons, width=width, head_size=head_size)
    pairs = np.arange(heads + 1) * 4.0 * head_size * tokens
    return Costs(2 * weights.attention + pairs, 2 * weights.feed_forward)


def search(
    heads: Sequence[Tensor],
    neurons: Sequence[Tensor],
    costs: Costs,
    *,
    keep: float,
    step: int = 32,
) -> list[Kept]:
    """Choose what stays of each layer.

    Args:
        heads: Importance of each layer's heads, [heads] each.
        neurons: Importance of each layer's neurons, [neurons] each.
        costs: What a layer costs.
        keep: Share of the whole cost that may stay, in (0, 1].
        step: Neurons come in multiples of this, or all of them.

    Raises:
        ConfigError: if nothing is as cheap as that.
    """
    groups = []
    for of_heads, of_neurons in zip(heads, neurons, strict=True):
        groups.append(_options(of_heads, costs.attention, 1))
        groups.append(_options(of_neurons, costs.feed_forward, step))
    whole = sum(group.costs[-1] for group in groups)
    chosen = choose([(group.costs, group.losses) for group in groups], keep * whole)
    sizes = [group.sizes[index] for group, index in zip(groups, chosen, strict=True)]
    return [
        Kept(_most(of_heads, sizes[2 * layer]), _most(of_neurons, sizes[2 * layer + 1]))
        for layer, (of_heads, of_neurons) in enumerate(zip(heads, neurons, strict=True))
    ]


@dataclass(frozen=True)
class _Options:
    sizes: list[int]
    costs: NDArray[np.float64]
    losses: NDArray[np.float64]


def _options(importance: Tensor, costs: NDArray[np.float64], step: int) -> _Options:
    count = len(importance)
    sizes = sorted({*range(0, count, step), count})
    descending = importance.sort(descending=True).values.numpy()
    left = np.concatenate(([0.0], np.cumsum(descending)))
    return _Options(sizes, costs[sizes], left[-1] - left[sizes])


def choose(
    groups: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], budget: float
) -> list[int]:
    """Choose one option of each group so that the summed loss is least and the cost in budget.

    Args:
        groups: Costs and losses of each group's options.
        budget: Most that the chosen ones may cost together.

    Raises:
        ConfigError: if even the cheapest cost more.

    >>> tens = np.array([0.0, 10.0])
    >>> choose([(tens, np.array([5.0, 0.0])), (tens, np.array([3.0, 0.0]))], 10.0)
    [1, 0]
    """
    freely = [int(losses.argmin()) for _, losses in groups]
    if sum(costs[one] for (costs, _), one in zip(groups, freely, strict=True)) <= budget:
        return freely  # which the rounding of costs could prevent
    unit = budget / _STEPS if budget > 0 else 1.0
    best: NDArray[Any] = np.zeros(_STEPS + 1)  # least loss by the steps that are spent at most
    picks = []
    for costs, losses in groups:
        steps = np.ceil(costs / unit - 1e-9).astype(int)
        table = np.full((len(costs), _STEPS + 1), np.inf)
        for option, (cost, loss) in enumerate(zip(steps, losses, strict=True)):
            if cost <= _STEPS:
                table[option, cost:] = best[: _STEPS + 1 - cost] + loss
        picks.append((table.argmin(axis=0), steps))
        best = table.min(axis=0)
    if not np.isfinite(best[-1]):
        raise ConfigError(
            "prune.keep is below what an encoder costs that has no heads and no neurons left; "
            "raise it, or prune by weights."
        )
    left, chosen = _STEPS, []
    for pick, steps in reversed(picks):
        chosen.append(int(pick[left]))
        left -= int(steps[chosen[-1]])
    return chosen[::-1]


def _most(importance: Tensor, count: int) -> tuple[int, ...]:
    return tuple(sorted(importance.argsort(descending=True, stable=True)[:count].tolist()))
