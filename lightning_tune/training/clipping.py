"""Clip gradients by their norm with fewer passes over them than torch's `clip_grad_norm_`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import lightning as L
import torch
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn

from lightning_tune.models.fast import ReusingEmbedding
from lightning_tune.models.sharding import own_part
from lightning_tune.training.strategies import holds_whole_weights


def is_scaled(trainer: L.Trainer) -> bool:
    """Whether losses are scaled, as fp16 needs it, and steps with too large gradients left out."""
    return getattr(trainer.precision_plugin, "scaler", None) is not None


def clip_step(
    module: L.LightningModule,
    words: nn.Module,
    optimizer: torch.optim.Optimizer,
    limit: float | None,
    algorithm: str | None,
) -> Tensor:
    """Clip a step's gradients on a CPU with fewer passes; also where Lightning declines to.

    Lightning refuses a fused optimizer under bf16, where nothing is scaled.

    Args:
        module: The module in training.
        words: Its word embeddings.
        optimizer: Whose gradients.
        limit: Largest norm or value, above 0; nothing is clipped without one.
        algorithm: norm, or value; None: norm.

    Returns:
        The norm of the gradients before.
    """
    trainer = module.trainer
    kind, scaled = GradClipAlgorithmType(algorithm or "norm"), is_scaled(trainer)
    by_norm = bool(limit) and kind == GradClipAlgorithmType.NORM
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if by_norm and holds_whole_weights(trainer) and not scaled and module.device.type == "cpu":
        return clip_gradients(parameters, limit or 0.0, words)
    if not holds_whole_weights(trainer):
        return _clip_split(parameters, limit if by_norm else None, trainer.strategy)
    norm = gradient_norm(parameters, words)
    if isinstance(trainer.precision_plugin, MixedPrecision) and not scaled:
        Precision.clip_gradients(trainer.precision_plugin, optimizer, limit or 0.0, kind)
    else:
        module.clip_gradients(optimizer, limit, algorithm)
    return norm


def _clip_split(
    parameters: Sequence[nn.Parameter], limit: float | None, strategy: Strategy
) -> Tensor:
    """Clip gradients of which each device has a part by the norm of them all."""
    grads = [own_part(each.grad) for each in parameters if each.grad is not None]
    norm: Tensor = strategy.reduce(total_norm(grads).square(), reduce_op="sum").sqrt()
    if limit is not None and not norm <= limit:
        torch._foreach_mul_(grads, limit / (norm + 1e-6))
    return norm


def clip_gradients(
    parameters: Iterable[nn.Parameter], limit: float, words: nn.Module | None = None
) -> Tensor:
    """Scale all gradients so that their norm together is at most `limit`; in place, on a CPU.

    Of the word embeddings' gradient only the rows of this step's tokens are read: the others are
    zero. Nothing is written where the norm is within the limit.

    Args:
        parameters: Whose gradients; one without is left out.
        limit: Largest norm, above 0.
        words: The word embeddings, whose weight may be among the parameters.

    Returns:
        The norm before, a scalar.
    """
    dense, rows = _without_zeros(parameters, words)
    norm = total_norm(dense if rows is None else [*dense, rows])
    factor = limit / (norm + 1e-6)
    if not factor >= 1:  # also where the norm is no number: what is broken must not look whole
        torch._foreach_mul_(dense, factor)
        if rows is not None and isinstance(words, ReusingEmbedding):
            words.overwrite(rows.mul_(factor))
    return norm


def gradient_norm(parameters: Iterable[nn.Parameter], words: nn.Module | None = None) -> Tensor:
    """Return the norm of all gradients together, a scalar, reading what `clip_gradients` reads."""
    dense, rows = _without_zeros(parameters, words)
    return total_norm(dense if rows is None else [*dense, rows])


def _without_zeros(
    parameters: Iterable[nn.Parameter], words: nn.Module | None
) -> tuple[list[Tensor], Tensor | None]:
    """Return the gradients, and apart from them the rows of the words' that are not zero."""
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not isinstance(words, ReusingEmbedding):
        return grads, None
    whole = words.weight.grad
    rows = words.touched_rows() if any(grad is whole for grad in grads) else None
    return (grads if rows is None else [grad for grad in grads if grad is not whole]), rows


def total_norm(grads: Sequence[Tensor]) -> Tensor:
    """Return the norm of all gradients together, a scalar.

    By dot products: on a CPU they take half the time of `torch.nn.utils.get_total_norm`, and lose
    fewer digits.

    >>> float(total_norm([torch.tensor([3.0]), torch.tensor([[4.0]])]))
    5.0
    """
    flat = [grad.reshape(-1) for grad in grads]
    if not flat:
        return torch.zeros(())
    return torch.stack([torch.dot(one, one) for one in flat]).sum().sqrt()
