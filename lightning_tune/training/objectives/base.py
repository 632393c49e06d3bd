"""What an objective is, and how one is stored in a checkpoint as plain values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor

from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.models.specs import describe_object, make_object
from lightning_tune.training.losses import Loss

OBJECTIVE_KEY = "objective_state"
"""Where a checkpoint keeps what the objective of its run has to know to go on."""
Scale = Callable[[Tensor], Tensor]
"""Multiplies a loss by the factor of fp16 training, so that its gradients do not underflow."""


def unscaled(loss: Tensor) -> Tensor:
    """Return the loss as it is: no precision but fp16 needs a factor."""
    return loss


@dataclass(frozen=True)
class FitContext:
    """What an objective may want to know of a fit before it begins.

    Args:
        classifier: The model that will be trained, with the weights that it starts from.
        special_ids: Ids of the tokenizer's special tokens; None where no data module knows them.
        scale: Scales a loss that the objective itself differentiates, in fp16 training.
    """

    classifier: Classifier
    special_ids: Collection[int] | None = None
    scale: Scale = unscaled


class Objective(ABC):
    """Turn one batch into one loss.

    A subclass is a dataclass whose fields are its settings: that is what the command line shows,
    checks and stores. Example:

        @dataclass
        class Scaled(Objective):
            factor: float = 0.5

            def __call__(self, classifier, batch, loss):
                logits = classifier(batch)
                return self.factor * loss(logits, batch), logits

    Only `__call__` has to be written. Tensors that are needed from one step to the next are kept
    as attributes that are no settings: `field(init=False)`.

    Attributes:
        clean_epochs: Epochs at the beginning in which the module minimises the plain loss instead.
        parts: What the last call's loss was made of, by name; logged as train/NAME.
    """

    clean_epochs: int = 0
    parts: Mapping[str, Tensor] = MappingProxyType({})

    @property
    def needs_whole_weights(self) -> bool:
        """Whether it differentiates by the weights itself, or keeps some.

        A strategy that splits them over devices is then refused.
        """
        return False

    @property
    def keeps_graph(self) -> bool:
        """Whether it differentiates one forward pass twice, which compiled layers cannot."""
        return False

    @abstractmethod
    def __call__(self, classifier: Classifier, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Compute the loss of a training step.

        Args:
            classifier: The model under training.
            batch: Token sequences with labels.
            loss: The loss of logits against labels, as the config states it.

        Returns:
            The scalar to minimise, and the logits [examples, outputs]: of the clean texts where the
            objective reads these, else of its last pass.
        """

    def check(self, classifier: Classifier) -> None:  # noqa: B027 - may be left out
        """Refuse a model that the objective cannot train.

        Raises:
            ConfigError: saying why.
        """

    def prepare(self, fit: FitContext) -> None:  # noqa: B027
        """Look at the model before the first step; a state that is restored comes afterwards."""

    def after_step(self, classifier: Classifier) -> None:  # noqa: B027
        """Look at the weights after each step of the optimizer."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a run has to know to go on, as tensors and plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Take the state of the run that goes on, which another objective may have left."""


def spec_of(objective: Objective) -> dict[str, Any]:
    """Describe an objective by its class and settings, in plain values.

    Raises:
        ConfigError: if it is not a dataclass of plain values.
    """
    return describe_object(objective, "objective")


def from_spec(spec: Mapping[str, Any]) -> Objective:
    """Rebuild an objective from `spec_of`.

    Raises:
        ConfigError: if the class is not an objective, or has other settings.
    """
    return make_object(spec, Objective, "objective")  # type: ignore[type-abstract]
