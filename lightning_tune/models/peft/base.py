"""What a way of tuning is: what it adds to an encoder, and which weights it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import require_known_class
from lightning_tune.models.naming import depth, is_above_layers
from lightning_tune.models.specs import describe_object, make_object

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Tuning(ABC):
    """Train a part of an encoder's weights; head and pooler are always among them.

    A subclass is a dataclass whose fields are its settings: that is what the command line shows,
    checks and stores.
    """

    partial: ClassVar[bool] = True
    """Whether weights stay as the backbone has them, so that checkpoints leave them out."""
    merges: ClassVar[bool] = True
    """Whether what is trained can become plain weights of the backbone's own shape."""

    def apply(self, encoder: PreTrainedModel) -> None:
        """Change an encoder in place, and mark what is trained.

        Raises:
            ConfigError: if the encoder cannot take the method.
        """
        self.insert(encoder)
        layers = depth(encoder)
        for name, parameter in encoder.named_parameters():
            parameter.requires_grad_(is_above_layers(encoder, name) or self.trains(name, layers))

    def insert(self, encoder: PreTrainedModel) -> None:  # noqa: B027 - most add nothing
        """Add what the method adds to an encoder; it answers as before, or nearly so."""

    @abstractmethod
    def trains(self, name: str, layers: int) -> bool:
        """Whether a parameter below head and pooler is trained, in an encoder of so many layers."""

    def merge(self, encoder: PreTrainedModel) -> None:
        """Turn what was added into plain weights, in place.

        Raises:
            ConfigError: if the method cannot.
        """
        self.check_mergeable()

    def check_mergeable(self) -> None:
        """Refuse a method that adds more than a change of weights.

        Raises:
            ConfigError: naming it.
        """
        if not self.merges:
            raise ConfigError(
                f"{type(self).__name__} cannot be merged: what it adds is no change of the "
                "backbone's own weights; answer with the checkpoint as it is."
            )


@dataclass
class Full(Tuning):
    """Train all weights."""

    partial = False

    def trains(self, name: str, layers: int) -> bool:
        """Every parameter is trained."""
        return True


def as_tuning(value: Tuning | Mapping[str, Any] | None) -> Tuning:
    """Return a tuning, also from what a checkpoint holds, which may name known classes only.

    Raises:
        CheckpointError: if its class is neither ours nor imported already.
    """
    if value is None:
        return Full()
    if isinstance(value, Tuning):
        return value
    require_known_class(str(value["class_path"]))
    return make_object(value, Tuning, "tuning")  # type: ignore[type-abstract]


def same_function(first: Tuning, second: Tuning) -> bool:
    """Whether two tunings make the same function of the same weights: dropout may differ."""

    def described(tuning: Tuning) -> tuple[str, dict[str, Any]]:
        spec = describe_object(tuning, "tuning")
        return spec["class_path"], {**spec["init_args"], "dropout": None}

    return described(first) == described(second)


def count_weights(encoder: PreTrainedModel) -> tuple[int, int]:
    """Return how many weights are trained, and how many there are, the head's among them."""
    sizes = [(each.numel(), each.requires_grad) for each in encoder.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def at_least(value: float, least: float, name: str, advice: str) -> None:
    """Check a setting of a method.

    Raises:
        ConfigError: if it is below its least value, or not a number.
    """
    if not value >= least:
        raise ConfigError(f"tuning.{name}={value} is below {least}; {advice}.")


def check_dropout(value: float) -> None:
    """Check a dropout probability.

    Raises:
        ConfigError: if it is outside [0, 1).
    """
    if not 0 <= value < 1:
        raise ConfigError(f"tuning.dropout={value} is outside [0, 1); 0 turns it off.")
