"""PGD: several projected steps uphill, then the loss there.

Madry et al. 2017, https://arxiv.org/abs/1706.06083.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from torch import Tensor

from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.training.losses import Loss
from lightning_tune.training.objectives.adversarial import Adversarial
from lightning_tune.training.objectives.perturbation import Start, climb
from lightning_tune.training.objectives.plain import Plain
from lightning_tune.training.objectives.ranges import require_one_of, require_share, require_steps


@dataclass
class PGD(Adversarial):
    """Minimise the loss of texts that were perturbed in several steps.

    Args:
        steps: Steps uphill, at least 1.
        step_size: Length of a step as a share of the radius, above 0.
        start: Where the steps start: at the clean texts (zero), or anywhere in the radius.
        clean_share: Share of the clean loss in the whole, in [0, 1); 0 leaves it out.
    """

    steps: int = 3
    step_size: float = 0.5
    start: Start = "random"
    clean_share: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_steps(self.steps, self.step_size)
        require_one_of(get_args(Start), "start", self.start)
        require_share("clean_share", self.clean_share)

    def __call__(self, classifier: Classifier, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Return the loss of perturbed texts, and the logits of the clean ones where it has any."""
        if not self.radius:
            return Plain()(classifier, batch, loss)
        words = classifier.embed(batch)
        ball = self.ball(classifier, batch)

        def loss_at(at: Tensor) -> Tensor:
            with classifier.weights_held():
                found: Tensor = loss(classifier(batch, at), batch)
            return found

        delta = climb(
            loss_at,
            words,
            ball.start(self.start, words),
            ball=ball,
            steps=self.steps,
            length=self.step_size,
            scale=self.scale,
        )
        logits = classifier(batch, words + delta)
        perturbed = loss(logits, batch)
        self.parts = {"adversarial_loss": perturbed.detach()}
        if not self.clean_share:
            return perturbed, logits.detach()
        logits = classifier(batch, words)
        clean = loss(logits, batch)
        self.parts = {"clean_loss": clean.detach(), **self.parts}
        return self.clean_share * clean + (1 - self.clean_share) * perturbed, logits.detach()
