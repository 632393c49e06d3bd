"""FGM and R-Drop together: the answers to clean and to perturbed texts are to agree.

The perturbation is Miyato et al. 2016's, https://arxiv.org/abs/1605.07725; the loss of two passes
and their difference is Liang et al. 2021's, https://arxiv.org/abs/2106.14448.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.training.losses import Loss
from lightning_tune.training.objectives.adversarial import Adversarial
from lightning_tune.training.objectives.divergence import divergence
from lightning_tune.training.objectives.perturbation import gradient_at
from lightning_tune.training.objectives.ranges import require_weight
from lightning_tune.training.objectives.rdrop import agreeing


@dataclass
class FGMRDrop(Adversarial):
    """Minimise the loss of clean and of perturbed texts and the difference of the answers.

    With a radius of 0 it is R-Drop: the two passes differ by dropout alone.

    Args:
        weight: Weight of the difference (R-Drop's alpha), at least 0.
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weight("weight", self.weight)

    @property
    def keeps_graph(self) -> bool:
        """The difference needs the graph of the pass that finds the direction."""
        return bool(self.radius)

    def __call__(self, classifier: Classifier, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Return the loss of both passes, and the logits of the clean texts."""
        words = classifier.embed(batch)
        at = words if words.requires_grad else words.requires_grad_()  # the table may be frozen
        logits = classifier(batch, at)
        clean = loss(logits, batch)
        delta = words.new_zeros(())
        if self.radius:  # the graph is kept: the difference needs it once more
            gradient = gradient_at(clean, at, scale=self.scale, keep_graph=True)
            delta = self.ball(classifier, batch).steepest(gradient)
        logits_there = classifier(batch, words + delta)
        perturbed = loss(logits_there, batch)
        difference = divergence(loss.kind, logits, logits_there, batch)
        self.parts = {
            "clean_loss": clean.detach(),
            "adversarial_loss": perturbed.detach(),
            "consistency": difference.detach(),
        }
        return agreeing((clean, perturbed), difference, self.weight), logits.detach()
