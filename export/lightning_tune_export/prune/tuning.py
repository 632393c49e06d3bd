"""Let what is left of each block make up for what went: least squares, block by block.

Kwon et al. 2022, https://arxiv.org/abs/2204.09656, section 4.4, fit one factor for each head and
neuron that stays, so that a block gives what it gave before. Here the whole matrix behind them is
fitted, bias included: the normal equations of a block are solved in a second, no factor has to be
folded in, and more of the loss comes back. From the lowest block up, each meets what the pruned
ones below it give, so that their errors are mended too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.models.emptied import Constant
from lightning_tune.models.layout import LayerNames, names_of
from lightning_tune_export.prune.importance import Importance
from lightning_tune_export.prune.probing import Replay, fast_products, watching


@torch.inference_mode()
def tune(
    pruned: Classifier,
    original: Classifier,
    batches: Sequence[Batch],
    importance: Importance,
    *,
    sources: Sequence[int],
    ridge: float = 1e-2,
    floor: float = 0.1,
) -> None:
    """Fit the matrices behind heads and neurons to the original's layers, in place.

    What ends a layer, factor and shift of its normalisation, is fitted too: to what the next one
    that remains was given.

    Args:
        pruned: The classifier with fewer heads, neurons and layers.
        original: As `plain_classifier` returns it.
        batches: Texts of the training split, those that the importance was measured on.
        importance: How much each token matters in each block.
        sources: Which of the original's layers remain.
        ridge: How hard the weights are held where they are, over the mean square of the features.
        floor: Weight of a token that does not matter at all, over the mean weight.
    """
    names = names_of(original.encoder.config.model_type)
    theirs, ours = Replay(original, batches), Replay(pruned, batches)
    ends = [*sources[1:], len(theirs.layers)]
    for layer, source, end in zip(ours.layers, sources, ends, strict=True):
        watched = [theirs.layers[source].get_submodule(part) for part in _parts(names)]
        blocks = _blocks(theirs, source, watched)
        for above in range(source + 1, end):
            theirs.advance(theirs.layers[above])
        weights = [
            [weights_of(tokens[source], index, batch, floor) for index, batch in enumerate(batches)]
            for tokens in (importance.attending, importance.feeding)
        ]
        for block, part in enumerate((names.outward, names.down)):
            equations = Equations(layer.get_submodule(part))
            own = [layer.get_submodule(each) for each in (part, names.active[0])]
            for index, states in enumerate(ours.states):
                with watching(own) as seen, fast_products():
                    ours.run(layer, index, states)
                residual = (states if block == 0 else seen[1][0]).float()
                wanted = blocks[index][block] - residual
                equations.add(seen[0][0], wanted, weights[block][index])
            equations.solve(ridge)
        ours.advance(layer)
        norm: nn.LayerNorm = layer.get_submodule(names.norm)  # type: ignore[assignment]
        scale_and_shift(norm, ours.states, theirs.states, weights[1])


def _parts(names: LayerNames) -> tuple[str, str, str]:
    return names.outward, names.active[0], names.down


def _blocks(
    replay: Replay, depth: int, watched: Sequence[nn.Module]
) -> list[tuple[Tensor, Tensor]]:
    """Run a layer on all batches; return the sums that it normalises, of attention and after."""
    sums = []
    for index, states in enumerate(replay.states):
        with watching(watched) as seen, fast_products():
            after = replay.run(replay.layers[depth], index, states)
        middle = seen[1][0].float()
        sums.append((states + seen[0][1], middle + seen[2][1]))
        replay.states[index] = after.float()
    return sums


def scale_and_shift(
    norm: nn.LayerNorm,
    states: list[Tensor],
    wanted: Sequence[Tensor],
    weights: Sequence[Tensor],
) -> None:
    """Give a normalisation the factors and shifts that miss least, and the states with them.

    Args:
        norm: The normalisation; its factors are not zero.
        states: What it gives for each batch, [sequences, longest, width]; changed in place.
        wanted: What it is to give.
        weights: How much each token counts, [sequences, longest].
    """
    counts, sums = 0.0, torch.zeros(5, len(norm.bias), dtype=torch.float64)
    for own, theirs, weight in zip(states, wanted, weights, strict=True):
        each, rows, goal = weight.flatten()[:, None], own.flatten(0, 1), theirs.flatten(0, 1)
        counts += float(each.sum())
        products = (rows, goal, rows * rows, rows * goal, goal * goal)
        sums += torch.stack([(each * product).sum(dim=0) for product in products]).double()
    mean, goal_mean, square, both, _ = sums / counts
    variance = square - mean.square()
    slope = torch.where(
        variance > 1e-8 * square, (both - mean * goal_mean) / variance, torch.ones_like(mean)
    )
    shift = goal_mean - slope * mean
    norm.weight.mul_(slope)
    norm.bias.mul_(slope).add_(shift)
    for index, own in enumerate(states):
        states[index] = own * slope.float() + shift.float()


def weights_of(tokens: tuple[Tensor, ...], index: int, batch: Batch, floor: float) -> Tensor:
    """Return the weight of each token of a batch, [sequences, longest]; 0 on padding."""
    mask = batch["attention_mask"].float()
    if not tokens:
        return mask
    mean = sum(float(each.sum()) for each in tokens) / sum(each.numel() for each in tokens)
    return (tokens[index] / max(mean, 1e-30) + floor) * mask


class Equations:
    """The normal equations of a linear layer: weighted squares of what it misses.

    Args:
        linear: The layer whose weights are fitted.
    """

    def __init__(self, linear: nn.Module) -> None:
        self._linear = linear
        inputs = linear.in_features if isinstance(linear, nn.Linear) else 0
        width = len(linear.get_parameter("bias"))
        self._products = torch.zeros(inputs + 1, inputs + 1)
        self._targets = torch.zeros(inputs + 1, width)

    def add(self, features: Tensor, wanted: Tensor, weights: Tensor) -> None:
        """Add tokens.

        Args:
            features: What the layer reads, [sequences, longest, inputs].
            wanted: What it is to give, [sequences, longest, width].
            weights: How much each token counts, [sequences, longest].
        """
        counted = weights.flatten() > 0
        roots = weights.flatten()[counted].sqrt().unsqueeze(1)
        inputs = len(self._products) - 1
        rows = features.float().flatten(0, 1)[counted, :inputs]
        rows = torch.cat([rows, torch.ones(len(rows), 1)], dim=1) * roots
        self._products += rows.T @ rows
        self._targets += rows.T @ (wanted.float().flatten(0, 1)[counted] * roots)

    def solve(self, ridge: float) -> None:
        """Give the layer the weights that miss least."""
        with torch.no_grad():
            if isinstance(self._linear, Constant):
                self._linear.bias.copy_(self._targets[0] / self._products[0, 0])
                return
            linear: nn.Linear = self._linear  # type: ignore[assignment]
            now = torch.cat([linear.weight.T, linear.bias.unsqueeze(0)]).double()
            products = self._products.double()
            held = ridge * products.diagonal()[:-1].mean()
            missed = self._targets.double() - products @ now
            products.diagonal()[:-1] += held
            solved = now + torch.linalg.solve(products, missed)
            linear.weight.copy_(solved[:-1].T)
            linear.bias.copy_(solved[-1])
