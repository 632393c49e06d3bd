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
from lightning_tune.models.layout import names_of
from lightning_tune_export.prune.importance import Importance
from lightning_tune_export.prune.probing import Replay, fast_products, watching


@torch.inference_mode()
def tune(
    pruned: Classifier,
    original: Classifier,
    batches: Sequence[Batch],
    importance: Importance,
    *,
    ridge: float = 1e-2,
    floor: float = 0.1,
) -> None:
    """Fit the matrices behind heads and neurons to the original's layers, in place.

    Args:
        pruned: Has as many layers as the original.
        original: As `plain_classifier` returns it.
        batches: Texts of the training split, those that the importance was measured on.
        importance: How much each token matters in each block.
        ridge: How hard the weights are held where they are, over the mean square of the features.
        floor: Weight of a token that does not matter at all, over the mean weight.
    """
    names = names_of(original.encoder.config.model_type)
    theirs, ours = Replay(original, batches), Replay(pruned, batches)
    for depth, (layer, cut_layer) in enumerate(zip(theirs.layers, ours.layers, strict=True)):
        wanted: list[tuple[Tensor, Tensor]] = []
        watched = {
            "outward": layer.get_submodule(names.outward),
            "middle": layer.get_submodule(names.active[0]),
            "down": layer.get_submodule(names.down),
        }
        for index, states in enumerate(theirs.states):
            with watching(watched) as seen, fast_products():
                after = theirs.run(layer, index, states)
            middle = seen["middle"][0].float()
            wanted.append((states + seen["outward"][1], middle + seen["down"][1]))
            theirs.states[index] = after.float()
        for block, (part, tokens) in enumerate(
            ((names.outward, importance.attending), (names.down, importance.feeding))
        ):
            linear = cut_layer.get_submodule(part)
            equations = Equations(linear)
            watched = {"part": linear, "middle": cut_layer.get_submodule(names.active[0])}
            for index, states in enumerate(ours.states):
                with watching(watched) as seen, fast_products():
                    ours.run(cut_layer, index, states)
                residual = (states if block == 0 else seen["middle"][0]).float()
                weights = weights_of(tokens[depth], index, batches[index], floor)
                equations.add(seen["part"][0], wanted[index][block] - residual, weights)
            equations.solve(ridge)
        for index, states in enumerate(ours.states):
            with fast_products():
                ours.states[index] = ours.run(cut_layer, index, states).float()


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
