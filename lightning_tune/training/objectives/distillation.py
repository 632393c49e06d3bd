"""Distillation: a student learns to answer, and to think layer by layer, as its teacher does.

Answers: Hinton et al. 2015, https://arxiv.org/abs/1503.02531. Hidden states: Jiao et al. 2020
(TinyBERT), https://arxiv.org/abs/1909.10351, here without a projection, as a pruned student has its
teacher's width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.models.encoder import restore_encoder
from lightning_tune.models.sharding import layers
from lightning_tune.schema import TaskKind
from lightning_tune.training.losses import Loss
from lightning_tune.training.objectives.base import FitContext, Objective
from lightning_tune.training.objectives.ranges import require, require_weight


@dataclass
class Distillation(Objective):
    """Minimise the difference to the answers and hidden states of another classifier.

    Args:
        teacher: Its checkpoint, with the same labels and tokenizer.
        temperature: What both logits are divided by in classification, above 0.
        labels: Share of the loss against the labels, in [0, 1]; the rest is that of the answers.
        hidden: Weight of the hidden states' difference, at least 0.
        layers: The teacher's layer, counted from 0, that each layer of the student is compared
            with; null: the same, or spread evenly where the teacher has more.
    """

    teacher: str = ""
    temperature: float = 2.0
    labels: float = 0.0
    hidden: float = 1.0
    layers: list[int] | None = None
    _teacher: Classifier | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_weight("hidden", self.hidden)
        rule = "is not a number above 0; 1 to 4 are usual."
        require(0 < self.temperature < math.inf, "temperature", self.temperature, rule)
        require(0 <= self.labels <= 1, "labels", self.labels, "is outside [0, 1].")

    def learn_from(self, teacher: Classifier) -> Distillation:
        """Take a classifier that is at hand as the teacher; return itself."""
        self._teacher = teacher
        return self

    def prepare(self, fit: FitContext) -> None:
        """Load the teacher, and compare its labels and shape with the student's.

        Raises:
            ConfigError: if there is none, or the student cannot learn from it.
            CheckpointError: if its checkpoint cannot be used.
        """
        if self._teacher is None:
            if not self.teacher:
                raise ConfigError(
                    "objective.teacher is missing; name the checkpoint of the unpruned model."
                )
            self._teacher = Classifier(restore_encoder(read_checkpoint(self.teacher), self.teacher))
        device = next(fit.classifier.parameters()).device
        self._teacher.eval().requires_grad_(False).to(device)
        _check_pair(fit.classifier, self._teacher, hidden=self.hidden > 0)
        self._pairs(fit.classifier)

    def __call__(self, classifier: Classifier, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Return the weighted differences, and the student's logits."""
        teacher = self._ready_teacher()
        pairs = self._pairs(classifier) if self.hidden else []
        with torch.no_grad(), recorded([layer for _, layer in pairs]) as wanted:
            answers = teacher(batch)
        with recorded([layer for layer, _ in pairs]) as states:
            logits = classifier(batch)
        parts = {"answers": answer_loss(loss.kind, logits, answers, self.temperature, batch)}
        total = (1 - self.labels) * parts["answers"]
        if self.labels:
            parts["labels"] = loss(logits, batch)
            total = total + self.labels * parts["labels"]
        if self.hidden:
            parts["hidden"] = state_loss(states, wanted, batch["attention_mask"])
            total = total + self.hidden * parts["hidden"]
        self.parts = {name: value.detach() for name, value in parts.items()}
        return total, logits.detach()

    def _ready_teacher(self) -> Classifier:
        """Return the teacher, its weights in the type that training computes in."""
        teacher = self._teacher
        if teacher is None:
            raise ConfigError(
                "Distillation was not prepared: it needs a fit, which names its model."
            )
        weight = next(teacher.parameters())
        kind = weight.device.type
        if torch.is_autocast_enabled(kind) and weight.dtype == torch.float32:
            teacher.to(torch.get_autocast_dtype(kind))
        return teacher

    def _pairs(self, classifier: Classifier) -> list[tuple[nn.Module, nn.Module]]:
        own, theirs = layers(classifier), layers(self._ready_teacher())
        chosen = self.layers
        if chosen is None:
            chosen = evenly(len(own), len(theirs))
        if len(chosen) != len(own) or not all(0 <= one < len(theirs) for one in chosen):
            raise ConfigError(
                f"objective.layers={chosen} has to name one of the teacher's {len(theirs)} layers, "
                f"from 0 on, for each of the student's {len(own)}; null spreads them evenly."
            )
        return [(layer, theirs[one]) for layer, one in zip(own, chosen, strict=True)]


def evenly(student: int, teacher: int) -> list[int]:
    """Spread a student's layers over its teacher's; the last is compared with the last.

    >>> evenly(3, 6), evenly(2, 2)
    ([1, 3, 5], [0, 1])
    """
    return [(index + 1) * teacher // student - 1 for index in range(student)]


@contextmanager
def recorded(watched: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """Keep what layers return, in the order in which they compute."""
    states: list[Tensor] = []

    def keep(layer: nn.Module, args: Any, out: Any) -> None:
        states.append(out[0] if isinstance(out, tuple) else out)

    handles = [layer.register_forward_hook(keep) for layer in watched]
    try:
        yield states
    finally:
        for handle in handles:
            handle.remove()


def answer_loss(
    kind: TaskKind, logits: Tensor, wanted: Tensor, temperature: float, batch: Batch
) -> Tensor:
    """Return how far answers are from the wanted ones, a mean over the examples by their weights.

    For classes the Kullback-Leibler divergence at a temperature, for labels of their own the same
    of each, times its square; in regression the squared error.

    >>> wanted = torch.tensor([[0.0, 1.0]])
    >>> answer_loss("binary", wanted + 3, wanted, 2.0, {}).abs().item() < 1e-6
    True
    """
    wanted = wanted.to(logits.dtype)
    if kind == "regression":
        each = (logits - wanted).square().mean(dim=1)
    elif kind == "multilabel":
        chances = (wanted / temperature).sigmoid()
        scaled = logits / temperature
        cross = functional.binary_cross_entropy_with_logits(scaled, chances, reduction="none")
        own = functional.binary_cross_entropy(chances, chances, reduction="none")
        each = temperature**2 * (cross - own).mean(dim=1)
    else:
        logs = (logits / temperature).log_softmax(dim=1), (wanted / temperature).log_softmax(dim=1)
        both = functional.kl_div(*logs, log_target=True, reduction="none")
        each = temperature**2 * both.sum(dim=1)
    weights = batch.get("weights")
    if weights is None:
        return each.mean()
    return (each * weights).sum() / weights.sum().clamp_min(torch.finfo(each.dtype).tiny)


def state_loss(states: Sequence[Tensor], wanted: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Return the squared difference of hidden states over the wanted ones' square, mean of layers.

    Args:
        states: Of each layer, [sequences, longest, width].
        wanted: The same of the teacher.
        mask: Real tokens, [sequences, longest].
    """
    real = mask.unsqueeze(2).float()
    shares = []
    for own, theirs in zip(states, wanted, strict=True):
        theirs = theirs.float()
        missed = (own.float() - theirs).square()
        shares.append((missed * real).sum() / (theirs.square() * real).sum())
    return torch.stack(shares).mean()


def _check_pair(student: Classifier, teacher: Classifier, *, hidden: bool) -> None:
    own: Any = student.encoder.config
    theirs: Any = teacher.encoder.config
    if own.id2label != theirs.id2label:
        raise ConfigError(
            f"the teacher answers {list(theirs.id2label.values())[:8]}, the student "
            f"{list(own.id2label.values())[:8]}; name a teacher with the same labels."
        )
    if own.vocab_size != theirs.vocab_size:
        raise ConfigError(
            f"the teacher reads {theirs.vocab_size} tokens, the student {own.vocab_size}; name a "
            "teacher with the same tokenizer."
        )
    if hidden and own.hidden_size != theirs.hidden_size:
        raise ConfigError(
            f"the teacher's hidden states have width {theirs.hidden_size}, the student's "
            f"{own.hidden_size}; set objective.hidden to 0."
        )
