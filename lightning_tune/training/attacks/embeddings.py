"""Projected gradient ascent on the word embeddings: the small shift of them that turns an answer.

Madry et al. 2017, https://arxiv.org/abs/1706.06083. From a random start the embeddings of a text
move along the gradient of its loss, and back into the ball around where they stood. A text is
broken as soon as one of the points on the way gets a wrong answer; it then leaves the batch.
Nothing of the weights changes, and their gradients are not computed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import torch
from torch import Tensor

from lightning_tune.errors import ConfigError, nearest
from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.schema import TaskKind
from lightning_tune.training.attacks.answers import are_right, uphill
from lightning_tune.training.metrics import probabilities
from lightning_tune.training.objectives.perturbation import Ball, Norm, median_norm, movable

_SEQUENCES = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class EmbeddingAttack:
    """How word embeddings are attacked; special tokens and padding are left alone.

    Args:
        radius: How far they may move, as a share of the median l2 norm of the encoder's word
            embeddings, at least 0.
        norm: What the radius limits: l2, the norm of a whole text (of a window of it, where texts
            are read in windows); l2_token, that of each token; linf, each component, in shares of
            the median norm over the square root of the width.
        steps: Gradient steps from each start, at least 1.
        restarts: Random starts, at least 1; a text counts as broken if one of them breaks it.
        step_size: Length of a step as a share of the radius, above 0; null: 2.5 / steps.

    Raises:
        ConfigError: if a value is out of its range.
    """

    radius: float = 0.2
    norm: Norm = "l2"
    steps: int = 20
    restarts: int = 3
    step_size: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.radius < math.inf:
            raise ConfigError(f"pgd.radius={self.radius} is no number from 0 on; 0 moves nothing.")
        norms = get_args(Norm)
        if self.norm not in norms:
            raise ConfigError(
                f"pgd.norm={self.norm!r} is not one of {', '.join(norms)}."
                + nearest(str(self.norm), norms)
            )
        for name in ("steps", "restarts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"pgd.{name}={getattr(self, name)} is below 1; use 1 or more.")
        if self.step_size is not None and not 0 < self.step_size < math.inf:
            raise ConfigError(
                f"pgd.step_size={self.step_size} is not above 0; null takes 2.5 / steps."
            )


@dataclass(frozen=True)
class Attacked:
    """The texts of a batch whose answers are still right.

    Args:
        batch: Their tokens.
        words: Their word embeddings as they are, [sequences, longest, width].
        shift: What is added to these, of the same shape.
        ball: The shifts that are allowed.
        targets: Class indices [examples]; in multi-label tasks zeros and ones [examples, labels].
        places: Where the texts stood in the batch that was given, [examples] int64.
    """

    batch: Batch
    words: Tensor
    shift: Tensor
    ball: Ball
    targets: Tensor
    places: Tensor

    def keep(self, held: Tensor) -> Attacked:
        """Return the texts of which `held`, [examples] bool, is true."""
        window_of = self.batch.get("window_of")
        of_sequence = held if window_of is None else held[window_of]
        batch = {name: self.batch[name][of_sequence] for name in _SEQUENCES if name in self.batch}
        if window_of is not None:
            batch["window_of"] = (held.cumsum(0) - 1)[window_of[of_sequence]]
        return Attacked(
            batch,
            self.words[of_sequence],
            self.shift[of_sequence],
            replace(self.ball, movable=self.ball.movable[of_sequence]),
            self.targets[held],
            self.places[held],
        )


def withstands(
    classifier: Classifier,
    batch: Batch,
    targets: Tensor,
    settings: EmbeddingAttack,
    *,
    kind: TaskKind,
    special_ids: Collection[int],
    seeds: Sequence[int],
) -> Tensor:
    """Attack a batch from one random start, and return whether each answer stays right, [n] bool.

    Args:
        classifier: The model, in evaluation mode.
        batch: Token sequences of texts whose answers are right.
        targets: Class indices [n]; in multi-label tasks zeros and ones [n, labels].
        settings: Radius and steps; of the restarts this is one.
        kind: binary, multiclass or multilabel.
        special_ids: Ids of tokens that are no words.
        seeds: One number a text, which decides about its start.
    """
    held = torch.ones(len(targets), dtype=torch.bool, device=targets.device)
    if not settings.radius:
        return held
    length = settings.step_size or 2.5 / settings.steps
    attacked = _start(classifier, batch, targets, settings, special_ids, seeds)
    for taken in range(settings.steps + 1):
        shift = attacked.shift.requires_grad_()
        logits = classifier(attacked.batch, embeddings=attacked.words + shift)
        right = are_right(probabilities(logits.detach(), kind), attacked.targets, kind)
        held[attacked.places[~right]] = False
        if taken == settings.steps or not right.any():
            break
        way = uphill(logits.detach(), attacked.targets, kind)
        with torch.autocast(logits.device.type, enabled=False):  # of the forward pass only
            (gradient,) = torch.autograd.grad(logits, shift, way)
        moved = shift.detach() + attacked.ball.steepest(gradient, length)
        attacked = replace(attacked, shift=attacked.ball.project(moved))
        if not right.all():
            attacked = attacked.keep(right)
    return held


def _start(
    classifier: Classifier,
    batch: Batch,
    targets: Tensor,
    settings: EmbeddingAttack,
    special_ids: Collection[int],
    seeds: Sequence[int],
) -> Attacked:
    with torch.no_grad():
        words = classifier.embed(batch)
    ids = torch.tensor(sorted(special_ids), dtype=torch.int64, device=words.device)
    radius = settings.radius * median_norm(classifier)
    ball = Ball(radius, settings.norm, movable(batch, ids))
    window_of = batch.get("window_of", torch.arange(len(words)))
    shift = _random(ball, words, [seeds[text] for text in window_of.tolist()])
    places = torch.arange(len(targets), device=words.device)
    return Attacked(batch, words, shift, ball, targets, places)


def _random(ball: Ball, like: Tensor, seeds: Sequence[int]) -> Tensor:
    """Draw a start for each sequence that depends on its seed and its words, not on its batch.

    Its direction is uniform, and under l2 its distance too; under linf each component is.
    """
    drawn, shares = torch.zeros_like(like), torch.ones(len(seeds))
    for sequence, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(seed)
        own = ball.movable[sequence, :, 0]
        size = int(own.sum()), like.shape[2]
        if ball.norm == "linf":
            values = 2 * torch.rand(size, generator=generator) - 1
        else:
            shares[sequence] = torch.rand((), generator=generator)
            values = torch.randn(size, generator=generator)
        drawn[sequence, own] = values.to(drawn)
    if ball.norm == "linf":
        return drawn * (ball.radius / math.sqrt(like.shape[2]))
    return ball.steepest(drawn) * shares.to(drawn)[:, None, None]
