"""Weight gradients taken from several losses, one backward pass each, and handed over as one loss.

Free adversarial training: the pass that finds a perturbation's gradient yields those of the weights
too (Zhu et al. 2019, https://arxiv.org/abs/1909.11764). They reach the optimizer through the loss
that a training step returns, so that accumulation, fp16 scaling, DDP and clipping see ordinary
gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_tune.models.classifier import Classifier
from lightning_tune.training.objectives.base import Scale, unscaled
from lightning_tune.training.objectives.perturbation import word_table

Gradients = Sequence[Tensor | None]


class CollectedGradients:
    """Gradients of the weights, summed over losses; as large as one set of gradients.

    The table of word embeddings gets its gradient from that of the words, in one lookup for all.

    Args:
        classifier: The model under training.
        words: Its word embeddings of the batch, as `classifier.embed` returns them.
        scale: The factor of fp16 training.
    """

    def __init__(self, classifier: Classifier, words: Tensor, *, scale: Scale = unscaled) -> None:
        table = set(word_table(classifier).parameters())
        trained = (each for each in classifier.parameters() if each.requires_grad)
        self._words = words
        self._weights = [each for each in trained if each not in table]
        self._scale = scale
        self._value = words.new_zeros(())
        self._gradients: Gradients = [None] * (1 + len(self._weights))

    def take(self, loss: Tensor, at: Tensor) -> Tensor:
        """Add the gradients of a loss; its graph is freed.

        Args:
            loss: Scalar that was computed from `at`.
            at: Word embeddings, the leaf of the graph.

        Returns:
            The scaled gradient at the embeddings.
        """
        with torch.autocast(loss.device.type, enabled=False):  # of the forward pass only
            found = torch.autograd.grad(
                self._scale(loss), [at, *self._weights], allow_unused=True, materialize_grads=False
            )
        self._gradients = _sum(self._gradients, found)
        self._value = self._value + loss.detach()
        return found[0]

    def hand_over(self) -> Tensor:
        """Return the sum of the losses, whose backward pass yields what was collected."""
        factor = self._scale(torch.ones_like(self._value))
        total: Tensor = _HandOver.apply(  # type: ignore[no-untyped-call]
            self._value, factor, self._gradients, self._words, *self._weights
        )
        return total


class _HandOver(torch.autograd.Function):
    """A scalar whose gradients are known already."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, factor: Tensor, gradients: Gradients, *inputs: Tensor
    ) -> Tensor:
        ctx.factor, ctx.gradients = factor, gradients
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        by = upstream / ctx.factor
        wanted = zip(ctx.gradients, ctx.needs_input_grad[3:], strict=True)
        found = (None if each is None or not needed else each * by for each, needed in wanted)
        return None, None, None, *found


def _sum(first: Gradients, second: Gradients) -> Gradients:
    pairs = zip(first, second, strict=True)
    return [b if a is None else a if b is None else a + b for a, b in pairs]
