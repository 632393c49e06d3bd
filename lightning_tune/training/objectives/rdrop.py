"""R-Drop: two answers to the same texts under different dropout, which are to agree.

Liang et al. 2021, https://arxiv.org/abs/2106.14448.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.training.losses import Loss
from lightning_tune.training.objectives.base import Objective
from lightning_tune.training.objectives.divergence import divergence
from lightning_tune.training.objectives.perturbation import word_table
from lightning_tune.training.objectives.ranges import require_clean_epochs, require_weight

logger = logging.getLogger(__name__)


@dataclass
class RDrop(Objective):
    """Minimise the loss of two passes and the difference of their answers.

    It is half of the paper's loss, so that gradients are as large as the plain ones.

    Args:
        weight: Weight of the difference (the paper's alpha), at least 0.
        clean_epochs: Epochs at the beginning in which the plain loss is minimised, at least 0.
    """

    weight: float = 1.0
    clean_epochs: int = 0
    _checked: bool = field(default=False, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_weight("weight", self.weight)
        require_clean_epochs(self.clean_epochs)

    def check(self, classifier: Classifier) -> None:
        """Refuse an encoder without word embeddings, which both passes share."""
        word_table(classifier)

    def __call__(self, classifier: Classifier, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Return the loss of both passes, and the logits of the first."""
        words = classifier.embed(batch)
        first, second = classifier(batch, words), classifier(batch, words)
        self._tell_if_equal(first, second)
        losses = loss(first, batch), loss(second, batch)
        difference = divergence(loss.kind, first, second, batch)
        self.parts = {"consistency": difference.detach()}
        return agreeing(losses, difference, self.weight), first.detach()

    def _tell_if_equal(self, first: Tensor, second: Tensor) -> None:
        if not self._checked and torch.equal(first, second):
            logger.warning(
                "RDrop compares two passes that are equal, as the encoder has no dropout: it costs "
                "time and changes nothing; set dropout.hidden, or use another objective."
            )
        self._checked = True


def agreeing(losses: tuple[Tensor, Tensor], difference: Tensor, weight: float) -> Tensor:
    """Return the mean of two losses and the weighted difference of their answers.

    >>> agreeing((torch.tensor(1.0), torch.tensor(2.0)), torch.tensor(0.4), 5.0).item()
    2.0
    """
    return (losses[0] + losses[1]) / 2 + weight / 4 * difference
