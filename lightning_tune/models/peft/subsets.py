"""Training a part of the backbone's own weights: its biases, or its last layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning_tune.errors import ConfigError
from lightning_tune.models.naming import depth, is_above_layers, is_embedding, layer_index
from lightning_tune.models.peft.base import Tuning

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass
class BitFit(Tuning):
    """Train the biases alone: Ben Zaken et al. 2021, https://arxiv.org/abs/2106.10199."""

    def insert(self, encoder: PreTrainedModel) -> None:
        """Add nothing; refuse an encoder without biases.

        Raises:
            ConfigError: naming its family.
        """
        biases = [name for name, _ in encoder.named_parameters() if self.trains(name, 0)]
        if all(is_above_layers(encoder, name) for name in biases):
            raise ConfigError(
                f"BitFit trains biases, and this {encoder.config.model_type} has none; use LoRA, "
                "IA3 or Adapters."
            )

    def trains(self, name: str, layers: int) -> bool:
        """The biases."""
        return name.endswith("bias")


@dataclass
class LastLayers(Tuning):
    """Train the uppermost layers; embeddings and the layers below stay as they are.

    Args:
        layers: How many, at least 0; 0 trains head and pooler alone.
    """

    layers: int

    def insert(self, encoder: PreTrainedModel) -> None:
        """Add nothing; refuse more layers than there are.

        Raises:
            ConfigError: naming how many there are.
        """
        most = depth(encoder)
        if not 0 <= self.layers <= most:
            raise ConfigError(
                f"tuning.layers={self.layers} is outside 0 to {most}, the layers with weights of "
                f"their own in this {encoder.config.model_type}."
            )

    def trains(self, name: str, layers: int) -> bool:
        """The layers, and with at least one of them the normalisation above them."""
        index = layer_index(name)
        if index is not None:
            return index >= layers - self.layers
        return self.layers > 0 and not is_embedding(name)
