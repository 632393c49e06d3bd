"""Perturbations of word embeddings: which positions, how far, from where, and the way uphill.

Projected steps along the steepest direction of a norm: Madry et al. 2017,
https://arxiv.org/abs/1706.06083.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.models.sharding import whole
from lightning_tune.training.objectives.base import Scale, unscaled

Norm = Literal["l2", "l2_token", "linf"]
Start = Literal["zero", "random"]


@dataclass(frozen=True)
class Ball:
    """The perturbations of one batch that an attack may choose from.

    A perturbation is added to the word embeddings, [sequences, longest, width] float32.

    Args:
        radius: Greatest size of a perturbation, in the unit of the embeddings.
        norm: What the radius limits: the l2 norm of a whole sequence, that of each token, or each
            component. linf allows radius / sqrt(width) a component: a token whose components all
            stand at the limit has the l2 norm `radius`.
        movable: Positions that may be perturbed, [sequences, longest, 1] bool.
    """

    radius: float
    norm: Norm
    movable: Tensor

    def steepest(self, gradient: Tensor, length: float = 1.0) -> Tensor:
        """Return the step of `length` radii that raises a loss with this gradient the most."""
        # In fp16 a gradient may overflow: such a component moves nothing.
        slope = gradient.nan_to_num(0.0, 0.0, 0.0) * self.movable
        if self.norm == "linf":
            return slope.sign() * (length * self._limit(slope))
        tiny = torch.finfo(slope.dtype).tiny
        # Divided by its largest component first: the square of a small gradient would be zero.
        slope = slope / slope.abs().amax(self._over, keepdim=True).clamp_min(tiny)
        return slope / self._norms(slope).clamp_min(tiny) * (length * self.radius)

    def project(self, delta: Tensor) -> Tensor:
        """Return the nearest perturbation inside the ball."""
        if self.norm == "linf":
            limit = self._limit(delta)
            return delta.clamp(-limit, limit)
        tiny = torch.finfo(delta.dtype).tiny
        return delta * (self.radius / self._norms(delta).clamp_min(tiny)).clamp_max(1.0)

    def start(self, where: Start, like: Tensor) -> Tensor:
        """Return the first perturbation: zero, or a random one inside the ball."""
        if where == "zero":
            return torch.zeros_like(like)
        if self.norm == "linf":
            return torch.empty_like(like).uniform_(-1, 1) * self.movable * self._limit(like)
        direction = self.steepest(torch.randn_like(like))
        return direction * torch.rand_like(self._norms(direction))

    @property
    def _over(self) -> tuple[int, ...]:
        return (1, 2) if self.norm == "l2" else (2,)

    def _norms(self, values: Tensor) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(values, dim=self._over, keepdim=True)
        return norms

    def _limit(self, values: Tensor) -> float:
        return self.radius / math.sqrt(values.shape[2])


def climb(
    loss_at: Callable[[Tensor], Tensor],
    words: Tensor,
    delta: Tensor,
    *,
    ball: Ball,
    steps: int,
    length: float,
    scale: Scale = unscaled,
) -> Tensor:
    """Follow a loss uphill inside a ball; no weight gets a gradient.

    Args:
        loss_at: The scalar loss of the batch with other word embeddings.
        words: The word embeddings of the batch, [sequences, longest, width] float32.
        delta: Where to start.
        ball: Where to stay.
        steps: Number of steps.
        length: Length of a step in radii.
        scale: The factor of fp16 training.

    Returns:
        The perturbation that was reached, without a history.
    """
    for _ in range(steps):
        at = (words.detach() + delta).requires_grad_()
        gradient = gradient_at(loss_at(at), at, scale=scale)
        delta = ball.project(delta + ball.steepest(gradient, length))
    return delta


def gradient_at(
    loss: Tensor, at: Tensor, *, scale: Scale = unscaled, keep_graph: bool = False
) -> Tensor:
    """Differentiate a loss by word embeddings alone; the gradient is scaled."""
    with torch.autocast(loss.device.type, enabled=False):  # of the forward pass only
        (gradient,) = torch.autograd.grad(scale(loss), at, retain_graph=keep_graph)
    return gradient


def movable(batch: Batch, special_ids: Tensor) -> Tensor:
    """Return which positions hold a part of the text, [sequences, longest, 1] bool.

    >>> ids = {"input_ids": torch.tensor([[2, 7, 3, 0]]), "attention_mask": torch.ones(1, 4)}
    >>> movable(ids, torch.tensor([0, 2, 3])).flatten().tolist()
    [False, True, False, False]
    """
    text = ~torch.isin(batch["input_ids"], special_ids)
    return (text & batch["attention_mask"].bool()).unsqueeze(2)


def special_ids_of(config: Any) -> Collection[int]:
    """Return the special tokens that an encoder's config names: fewer than its tokenizer knows."""
    names = ("pad", "cls", "sep", "bos", "eos")
    found = (getattr(config, f"{name}_token_id", None) for name in names)
    return {value for value in found if isinstance(value, int)}


def word_table(classifier: Classifier) -> nn.Module:
    """Return the word embeddings of an encoder.

    Raises:
        ConfigError: if it has none.
    """
    try:
        table: Any = classifier.encoder.get_input_embeddings()
    except (AttributeError, NotImplementedError):  # transformers' answer where it finds none
        table = None
    if getattr(table, "weight", None) is None:
        raise ConfigError(
            "the objective works on word embeddings, and this encoder has none (its model_type is "
            f"{classifier.encoder.config.model_type}); use another backbone, or objective=Plain."
        )
    found: nn.Module = table
    return found


def median_norm(classifier: Classifier) -> float:
    """Return the median l2 norm of the rows of the word embeddings."""
    table: Any = word_table(classifier)
    weight = whole(table.weight.detach()).float()
    return float(torch.linalg.vector_norm(weight, dim=1).median())
