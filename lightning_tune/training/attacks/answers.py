"""Whether answers are right, by how much, and which way is wrong; for one class and for several."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lightning_tune.schema import TaskKind

_TINY = torch.finfo(torch.float32).tiny


def are_right(probabilities: Tensor, targets: Tensor, kind: TaskKind) -> Tensor:
    """Return whether each answer is right, [n] bool.

    In a multi-label task the whole set of labels has to be.

    Args:
        probabilities: Of each label, [n, labels].
        targets: Class indices [n]; in multi-label tasks zeros and ones [n, labels].
        kind: The task kind.

    >>> are_right(torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 0]), "binary").tolist()
    [True, False]
    """
    if kind == "multilabel":
        return ((probabilities > 0.5) == (targets > 0.5)).all(dim=1)
    return probabilities.argmax(dim=1) == targets


def margins(probabilities: Tensor, targets: Tensor, kind: TaskKind) -> Tensor:
    """Return how far each answer is from being wrong, [n]: log odds, below 0 where it is wrong.

    The odds are those of the true class against the likeliest other one; in a multi-label task
    those of a label's own side against the other side, of the label where they are worst.

    Args:
        probabilities: Of each label, [n, labels].
        targets: Class indices [n]; in multi-label tasks zeros and ones [n, labels].
        kind: The task kind.
    """
    if kind == "multilabel":
        own = torch.where(targets > 0.5, probabilities, 1 - probabilities)
        return (_log(own) - _log(1 - own)).min(dim=1).values
    true = probabilities.gather(1, targets.unsqueeze(1)).squeeze(1)
    others = probabilities.scatter(1, targets.unsqueeze(1), 0.0).max(dim=1).values
    return _log(true) - _log(others)


def uphill(logits: Tensor, targets: Tensor, kind: TaskKind) -> Tensor:
    """Return the direction in logits in which the loss of each answer grows, [n, labels].

    It is the gradient of the cross-entropy (multi-label: the binary one) over the probability of a
    wrong answer, so that it is as long where the model is sure as where it is not; the gradient
    itself would vanish there.

    Args:
        logits: [n, labels].
        targets: Class indices [n]; in multi-label tasks zeros and ones [n, labels].
        kind: The task kind.

    >>> uphill(torch.tensor([[90.0, 0.0]]), torch.tensor([0]), "binary").tolist()
    [[-1.0, 1.0]]
    """
    if kind == "multilabel":
        side = torch.where(targets > 0.5, 1.0, -1.0).to(logits)
        return -side * functional.logsigmoid(-side * logits).softmax(dim=1)
    true = targets.unsqueeze(1)
    others = logits.scatter(1, true, float("-inf")).softmax(dim=1)
    return others.scatter(1, true, -1.0)


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.clamp_min(_TINY).log()
