"""How much each attention head and neuron matters: the Fisher information of its mask.

Kwon et al. 2022, https://arxiv.org/abs/2204.09656, section 4.2: a mask multiplies what a head or
a neuron gives; the squared gradient of the loss by it, summed over texts, is what leaving it out
costs. Here the gradients are those of each text by itself, and the Fisher information is the
model's own, of the answers that it gives: no label is read, and texts that it has learnt by heart
count as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.models.layout import names_of, stack_of
from lightning_tune.schema import TaskKind
from lightning_tune_export.prune.probing import fast_products


@dataclass(frozen=True)
class Importance:
    """Of each layer, lowest first.

    Args:
        heads: Importance of each head that the layer has, [heads] float64.
        neurons: Importance of each neuron, [neurons] float64.
        attending: How much what attention adds to a token matters, for each batch, [sequences,
            longest] float32.
        feeding: The same of what the feed-forward block adds.
    """

    heads: tuple[Tensor, ...]
    neurons: tuple[Tensor, ...]
    attending: tuple[tuple[Tensor, ...], ...]
    feeding: tuple[tuple[Tensor, ...], ...]


def importance(
    classifier: Classifier, batches: Sequence[Batch], kind: TaskKind, *, seed: int = 0
) -> Importance:
    """Measure the importance of all heads and neurons.

    Args:
        classifier: As `plain_classifier` returns it.
        batches: Texts of the training split.
        kind: What the classifier answers.
        seed: Decides about what is drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    names = names_of(classifier.encoder.config.model_type)
    layers = list(stack_of(classifier.encoder))
    outward = [Meter(layer.get_submodule(names.outward)) for layer in layers]
    down = [Meter(layer.get_submodule(names.down)) for layer in layers]
    for batch in batches:
        with fast_products():
            logits = classifier(batch, classifier.embed(batch).requires_grad_())
        (logits * drawn_scores(logits.detach(), kind, generator)).sum().backward()
    sizes = [_head_size(layer, names.attention) for layer in layers]
    for meter in (*outward, *down):
        meter.stop()
    return Importance(
        heads=tuple(each.squared(size) for each, size in zip(outward, sizes, strict=True)),
        neurons=tuple(each.squared(1) for each in down),
        attending=tuple(tuple(each.tokens) for each in outward),
        feeding=tuple(tuple(each.tokens) for each in down),
    )


def drawn_scores(logits: Tensor, kind: TaskKind, generator: torch.Generator) -> Tensor:
    """Draw gradients by the logits whose covariance is the Fisher information of the answers.

    Those of drawn answers have it too (p minus one-hot), but are nearly all tiny and a few huge
    where the model is sure; normal ones need fewer texts.

    Args:
        logits: [texts, outputs].
        kind: Whether answers are classes, labels of their own, or numbers of variance 1.
        generator: Draws them.

    >>> sure = torch.tensor([[30.0, 0.0]])
    >>> drawn_scores(sure, "binary", torch.Generator()).abs().max().item() < 1e-5
    True
    """
    normal = torch.randn(logits.shape, generator=generator)
    if kind == "regression":
        return normal
    if kind == "multilabel":
        chances = logits.sigmoid()
        return normal * (chances * (1 - chances)).sqrt()
    chances = logits.softmax(dim=1)
    spread = normal * chances.sqrt()
    return spread - chances * spread.sum(dim=1, keepdim=True)


class Meter:
    """Watches the gradients at a linear layer, text by text.

    Args:
        linear: The layer; one that was emptied has no features.
    """

    def __init__(self, linear: nn.Module) -> None:
        self.tokens: list[Tensor] = []
        self._gradients: list[Tensor] = []
        self._handle = linear.register_forward_hook(self._watch)

    def _watch(self, linear: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        (given,) = args

        def at_features(grad: Tensor) -> None:
            self._gradients.append((grad.float() * given.detach().float()).sum(dim=1))

        def at_output(grad: Tensor) -> None:
            self.tokens.append(grad.float().square().sum(dim=-1))

        if isinstance(linear, nn.Linear):
            given.register_hook(at_features)  # type: ignore[no-untyped-call]
        if out.requires_grad:
            out.register_hook(at_output)  # type: ignore[no-untyped-call]

    def squared(self, size: int) -> Tensor:
        """Return the squared gradients of masks, each of `size` neighbouring features, summed."""
        if not self._gradients:
            return torch.zeros(0, dtype=torch.float64)
        each = torch.cat(self._gradients).double()  # [texts, features]
        return each.view(len(each), -1, size).sum(dim=2).square().sum(dim=0)

    def stop(self) -> None:
        """Watch no longer."""
        self._handle.remove()


def _head_size(layer: nn.Module, attention: str) -> int:
    return int(getattr(layer.get_submodule(attention), "attention_head_size", 1))
