"""IA3: learned factors on keys, values and the inner activations of the feed-forward block.

Liu et al. 2022, https://arxiv.org/abs/2205.05638.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning_tune.errors import ConfigError
from lightning_tune.models.peft.base import Tuning
from lightning_tune.models.peft.injection import inject, merge_injected
from lightning_tune.models.peft.targets import feed_forward_outputs, keys_and_values, named

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass
class IA3(Tuning):
    """Train one factor a feature, which starts at one.

    Args:
        targets: Ends of the names of linear layers whose outputs are multiplied; null: those of
            keys and values.
        feed_forward: Ends of the names of linear layers whose inputs are multiplied; null: the
            second of each feed-forward block.
    """

    targets: list[str] | None = None
    feed_forward: list[str] | None = None

    def insert(self, encoder: PreTrainedModel) -> None:
        """Put the factors at the targets."""
        from peft import IA3Config

        outputs = (
            keys_and_values(encoder)
            if self.targets is None
            else named(encoder, self.targets, "targets")
        )
        inputs = (
            feed_forward_outputs(encoder)
            if self.feed_forward is None
            else named(encoder, self.feed_forward, "feed_forward")
        )
        if not outputs + inputs:
            raise ConfigError(
                f"IA3 does not know the keys, values and feed-forward blocks of this "
                f"{encoder.config.model_type}; name its layers in tuning.targets."
            )
        inject(encoder, IA3Config(target_modules=outputs + inputs, feedforward_modules=inputs))

    def trains(self, name: str, layers: int) -> bool:
        """The factors."""
        return ".ia3_l." in name

    def merge(self, encoder: PreTrainedModel) -> None:
        """Multiply the weights by the factors."""
        merge_injected(encoder)
