"""The plain objective: the loss of the batch as it stands."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.training.losses import Loss
from lightning_tune.training.objectives.base import Objective


@dataclass
class Plain(Objective):
    """Minimise the loss of the batch, with nothing added."""

    def __call__(self, classifier: Classifier, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Return the loss and the logits of the batch."""
        logits = classifier(batch)
        return loss(logits, batch), logits
