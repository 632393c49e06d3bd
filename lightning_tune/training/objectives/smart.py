"""SMART: answers that stay the same under perturbation, and steps that do not jump.

Jiang et al. 2019, https://arxiv.org/abs/1911.03437: smoothness-inducing adversarial regularisation,
and Bregman proximal point optimisation with momentum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.training.losses import Loss
from lightning_tune.training.objectives.adversarial import Adversarial
from lightning_tune.training.objectives.base import FitContext
from lightning_tune.training.objectives.divergence import divergence
from lightning_tune.training.objectives.perturbation import climb
from lightning_tune.training.objectives.ranges import require_share, require_steps, require_weight

PREFIX = "averaged."


@dataclass
class SMART(Adversarial):
    """Minimise the loss, how far a perturbation moves the answers, and how far a step does.

    The perturbation is the one that moves the answers most; it starts at random, as nothing moves
    them where they are. The steps are held back by the answers of averaged weights, a running mean
    that is kept beside the trained ones; a radius of 0 leaves this part in force.

    Args:
        steps: Steps uphill, at least 1.
        step_size: Length of a step as a share of the radius, above 0.
        smoothness: Weight of the answers' change under perturbation, at least 0.
        proximal: Weight of the answers' distance from those of the averaged weights, at least 0; 0
            keeps no averaged weights.
        momentum: Share of the averaged weights that a step leaves as it is, in [0, 1).
    """

    steps: int = 1
    step_size: float = 1.0
    smoothness: float = 1.0
    proximal: float = 1.0
    momentum: float = 0.99
    _averaged: dict[str, Tensor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_steps(self.steps, self.step_size)
        require_weight("smoothness", self.smoothness)
        require_weight("proximal", self.proximal)
        require_share("momentum", self.momentum)

    @property
    def needs_whole_weights(self) -> bool:
        """The proximal part keeps averaged weights."""
        return bool(self.proximal)

    def __call__(self, classifier: Classifier, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Return the loss with both regularisers, and the logits of the clean texts."""
        words = classifier.embed(batch)
        logits = classifier(batch, words)
        total = loss(logits, batch)
        self.parts = {"clean_loss": total.detach()}
        if self.radius and self.smoothness:
            change = self._change(classifier, batch, words, logits, loss)
            total = total + self.smoothness * change
            self.parts = {**self.parts, "smoothness": change.detach()}
        if self.proximal:
            distance = self._distance(classifier, batch, logits, loss)
            total = total + self.proximal * distance
            self.parts = {**self.parts, "proximal": distance.detach()}
        return total, logits.detach()

    def _change(
        self, classifier: Classifier, batch: Batch, words: Tensor, logits: Tensor, loss: Loss
    ) -> Tensor:
        """Return how far the worst perturbation that is found moves the answers."""
        ball, still = self.ball(classifier, batch), logits.detach()

        def change_at(at: Tensor) -> Tensor:
            with classifier.weights_held():
                return divergence(loss.kind, still, classifier(batch, at), batch)

        delta = climb(
            change_at,
            words,
            ball.start("random", words),
            ball=ball,
            steps=self.steps,
            length=self.step_size,
            scale=self.scale,
        )
        return divergence(loss.kind, logits, classifier(batch, words + delta), batch)

    def _distance(self, classifier: Classifier, batch: Batch, logits: Tensor, loss: Loss) -> Tensor:
        """Return how far the answers are from those of the averaged weights, without dropout."""
        if not self._averaged:  # called without a trainer
            self.prepare(FitContext(classifier))
        with torch.no_grad(), _evaluating(classifier):
            before: Tensor = functional_call(classifier, self._averaged, (batch,))
        return divergence(loss.kind, logits, before, batch)

    def prepare(self, fit: FitContext) -> None:
        """Start the averaged weights at those that training starts from."""
        super().prepare(fit)
        if self.proximal:
            self._averaged = {name: w.detach().clone() for name, w in _trained(fit.classifier)}

    @torch.no_grad()
    def after_step(self, classifier: Classifier) -> None:
        """Move the averaged weights towards the trained ones."""
        for name, weight in _trained(classifier) if self._averaged else ():
            self._averaged[name].lerp_(weight, 1 - self.momentum)

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged weights beside the rest."""
        averaged = {f"{PREFIX}{name}": weight for name, weight in self._averaged.items()}
        return {**super().state_dict(), **averaged}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the averaged weights of the run that is resumed, where it had any."""
        super().load_state_dict(state)
        with torch.no_grad():
            for name, weight in self._averaged.items():
                weight.copy_(state.get(f"{PREFIX}{name}", weight))


def _trained(classifier: Classifier) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, each) for name, each in classifier.named_parameters() if each.requires_grad)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Turn dropout off for a while; what was in evaluation mode stays in it."""
    training = [each for each in module.modules() if each.training]
    module.eval()
    try:
        yield
    finally:
        for each in training:
            each.training = True
