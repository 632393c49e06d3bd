"""FreeLB: the mean loss along several steps uphill, each of which trains the weights too.

Zhu et al. 2019, https://arxiv.org/abs/1909.11764. Dropout is drawn anew in every step; there it is
kept over the steps of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from torch import Tensor

from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.training.losses import Loss
from lightning_tune.training.objectives.adversarial import Adversarial
from lightning_tune.training.objectives.collected import CollectedGradients
from lightning_tune.training.objectives.perturbation import Start
from lightning_tune.training.objectives.plain import Plain
from lightning_tune.training.objectives.ranges import require_one_of, require_steps


@dataclass
class FreeLB(Adversarial):
    """Minimise the mean loss of texts at every point of a way uphill.

    Each point takes one forward and one backward pass: what it yields at the embeddings leads to
    the next point, what it yields at the weights is kept. The last point's is left to the trainer.

    Args:
        steps: Points on the way, at least 1.
        step_size: Length of a step as a share of the radius, above 0.
        start: Where the way starts: at the clean texts (zero), or anywhere in the radius.
    """

    steps: int = 3
    step_size: float = 0.5
    start: Start = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_steps(self.steps, self.step_size)
        require_one_of(get_args(Start), "start", self.start)

    @property
    def needs_whole_weights(self) -> bool:
        """Each point's backward pass yields weight gradients."""
        return bool(self.radius)

    def __call__(self, classifier: Classifier, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Return the mean loss along the way, and the logits at its end."""
        if not self.radius:
            return Plain()(classifier, batch, loss)
        words = classifier.embed(batch)
        ball = self.ball(classifier, batch)
        delta = ball.start(self.start, words)
        collected = CollectedGradients(classifier, words, scale=self.scale)
        for _ in range(self.steps - 1):
            at = (words.detach() + delta).requires_grad_()
            gradient = collected.take(loss(classifier(batch, at), batch) / self.steps, at)
            delta = ball.project(delta + ball.steepest(gradient, self.step_size))
        logits = classifier(batch, words + delta)
        last = loss(logits, batch)
        self.parts = {"adversarial_loss": last.detach()}
        return collected.hand_over() + last / self.steps, logits.detach()
