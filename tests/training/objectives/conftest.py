"""A tiny encoder, a batch of four texts, gradients and what they cost: for every objective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_tune.models.classifier import Classifier
from lightning_tune.models.encoder import DropoutSettings, build_encoder
from lightning_tune.schema import LabelSet
from lightning_tune.training.losses import Loss, LossSettings
from lightning_tune.training.objectives import FitContext, Objective

LABELS = {
    "binary": LabelSet("binary", ("a", "b")),
    "multiclass": LabelSet("multiclass", ("a", "b", "c")),
    "multilabel": LabelSet("multilabel", ("a", "b", "c")),
    "regression": LabelSet("regression"),
}
TARGETS = {
    "binary": torch.tensor([0, 1, 1, 0]),
    "multiclass": torch.tensor([0, 1, 2, 1]),
    "multilabel": torch.tensor([[0.0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]]),
    "regression": torch.tensor([0.5, -1.0, 2.0, 0.0]),
}
LENGTHS = (9, 9, 7, 5)
PAD, CLS, SEP = 0, 2, 3


PRODUCTS = {  # where the two factors stand among the arguments
    torch.ops.aten.mm.default: (0, 1),
    torch.ops.aten.addmm.default: (1, 2),
}


class CountProducts(TorchDispatchMode):
    """Counts the multiplications of all matrix products, forward and backward."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in PRODUCTS:
            left, right = (args[at] for at in PRODUCTS[func])
            self.count += left.shape[0] * left.shape[1] * right.shape[1]
        return func(*args, **(kwargs or {}))


@dataclass
class Setting:
    """A model without dropout, a batch, the loss of its task."""

    classifier: Classifier
    batch: dict[str, Tensor]
    loss: Loss

    def prepared(self, objective: Objective) -> Objective:
        objective.prepare(FitContext(self.classifier, special_ids=[PAD, CLS, SEP]))
        return objective

    def gradients(self, objective: Objective) -> dict[str, Tensor]:
        """The gradient of each weight after one step of an objective."""
        value, _ = objective(self.classifier, self.batch, self.loss)
        return self.gradients_of(value)

    def products(self, objective: Objective) -> int:
        """The multiplications of a step's matrix products."""
        with CountProducts() as counter:
            self.gradients(objective)
        assert counter.count
        return counter.count

    def gradients_of(self, value: Tensor) -> dict[str, Tensor]:
        self.classifier.zero_grad(set_to_none=True)
        value.backward()
        named = self.classifier.named_parameters()
        return {name: each.grad.clone() for name, each in named if each.grad is not None}


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """Four texts of 9, 9, 7 and 5 tokens; [CLS] is 2, [SEP] 3, [PAD] 0."""
    ids = torch.zeros(len(LENGTHS), max(LENGTHS), dtype=torch.int64)
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = torch.arange(40 + 11 * row, 40 + 11 * row + length)
        ids[row, 0], ids[row, length - 1] = CLS, SEP
    return {
        "input_ids": ids,
        "attention_mask": (ids != PAD).long(),
        "index": torch.arange(len(LENGTHS)),
    }


@pytest.fixture
def arrange(
    tiny_backbone: Callable[[str], Path], batch: dict[str, Tensor]
) -> Callable[..., Setting]:
    """Return a function: task kind and family -> a setting, without dropout unless told."""

    def make(kind: str = "multiclass", family: str = "bert", *, dropout: bool = False) -> Setting:
        torch.manual_seed(0)
        off = DropoutSettings(*(None, None) if dropout else (0.0, 0.0))
        encoder = build_encoder(str(tiny_backbone(family)), LABELS[kind], dropout=off)
        with torch.no_grad():  # steeper than random weights are: a small step changes something
            for name, weight in encoder.named_parameters():
                if weight.ndim == 2 and "embedding" not in name:
                    weight.mul_(6)
        classifier = Classifier(encoder)
        classifier.train(dropout)
        loss = Loss(kind, LossSettings(), None)
        return Setting(classifier, batch | {"labels": TARGETS[kind]}, loss)

    return make


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """Return a function that compares gradients by name."""

    def compare(found: dict[str, Tensor], expected: dict[str, Tensor], **tolerance: float) -> None:
        assert found.keys() == expected.keys()
        assert any(value.abs().max() > 1e-4 for value in expected.values())
        for name, value in expected.items():
            torch.testing.assert_close(
                found[name], value, msg=lambda text, name=name: f"{name}: {text}", **tolerance
            )

    return compare
