"""FGM: one step along the gradient at the word embeddings, and the loss there.

Miyato et al. 2016, https://arxiv.org/abs/1605.07725. They normalise the embeddings; here the radius
is relative to the size of these instead.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

from torch import Tensor

from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.training.losses import Loss
from lightning_tune.training.objectives.adversarial import Adversarial
from lightning_tune.training.objectives.collected import CollectedGradients
from lightning_tune.training.objectives.perturbation import gradient_at
from lightning_tune.training.objectives.plain import Plain
from lightning_tune.training.objectives.ranges import require_share


@dataclass
class FGM(Adversarial):
    """Minimise the loss of texts that were perturbed in one step, beside that of the clean ones.

    Args:
        clean_share: Share of the clean loss in the whole, in [0, 1); 0 leaves it out and saves the
            time of its weight gradients.
    """

    clean_share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share("clean_share", self.clean_share)

    @property
    def needs_whole_weights(self) -> bool:
        """Beside the clean loss: its backward pass yields direction and weight gradients."""
        return bool(self.radius and self.clean_share)

    def __call__(self, classifier: Classifier, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Return the loss of clean and perturbed texts, and the logits of the clean ones."""
        if not self.radius:
            return Plain()(classifier, batch, loss)
        words = classifier.embed(batch)
        at = words.detach().requires_grad_()
        with nullcontext() if self.clean_share else classifier.weights_held():
            logits = classifier(batch, at)
            clean = loss(logits, batch)
        total = words.new_zeros(())
        if self.clean_share:  # one backward pass for the direction and for the weights
            collected = CollectedGradients(classifier, words, scale=self.scale)
            gradient = collected.take(self.clean_share * clean, at)
            total = collected.hand_over()
        else:
            gradient = gradient_at(clean, at, scale=self.scale)
        delta = self.ball(classifier, batch).steepest(gradient)
        perturbed = loss(classifier(batch, words + delta), batch)
        self.parts = {"clean_loss": clean.detach(), "adversarial_loss": perturbed.detach()}
        return total + (1 - self.clean_share) * perturbed, logits.detach()
