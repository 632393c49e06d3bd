"""How far two answers to the same texts differ, by task kind."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_tune.models.classifier import Batch
from lightning_tune.schema import TaskKind


def divergence(kind: TaskKind, first: Tensor, second: Tensor, batch: Batch) -> Tensor:
    """Measure the mean difference of two answers, a symmetric and differentiable scalar.

    For classes it is KL(p, q) + KL(q, p) of the two distributions; in multi-label tasks the same of
    each label's probability, averaged over labels as their loss is; in regression the squared
    error, which is that sum for two normal distributions of variance 1.

    Args:
        kind: The task kind.
        first: Logits [examples, outputs] float32.
        second: Logits [examples, outputs] float32.
        batch: Its `weights`, where it has them, weigh the examples.

    >>> half, sure = torch.tensor([[0.0]]), torch.tensor([[2.0]])
    >>> round(divergence("multilabel", half, sure, {}).item(), 4)  # (0.8808 - 0.5) * (2 - 0)
    0.7616
    """
    each = _per_example(kind, first, second)
    weights = batch.get("weights")
    if weights is None:
        return each.mean()
    return (each * weights).sum() / weights.sum().clamp_min(torch.finfo(each.dtype).tiny)


def _per_example(kind: TaskKind, first: Tensor, second: Tensor) -> Tensor:
    if kind == "regression":
        return (first - second).square().mean(dim=1)
    if kind == "multilabel":
        return ((first.sigmoid() - second.sigmoid()) * (first - second)).mean(dim=1)
    p, q = first.log_softmax(dim=1), second.log_softmax(dim=1)
    return ((p.exp() - q.exp()) * (p - q)).sum(dim=1)
