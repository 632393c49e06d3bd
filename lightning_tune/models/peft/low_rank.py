"""LoRA: a change of low rank beside each linear layer, W + (alpha / rank) B A; and DoRA.

Hu et al. 2021, https://arxiv.org/abs/2106.09685. DoRA learns the length of each row of the changed
weight by itself: Liu et al. 2024, https://arxiv.org/abs/2402.09353. With rank_stabilized the factor
is alpha / sqrt(rank): Kalajdzievski 2023, https://arxiv.org/abs/2312.03732.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lightning_tune.errors import ConfigError
from lightning_tune.models.peft.base import Tuning, at_least, check_dropout
from lightning_tune.models.peft.injection import inject, merge_injected
from lightning_tune.models.peft.targets import linear_layers, named

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass
class LoRA(Tuning):
    """Train two thin matrices beside each linear layer, whose product starts at zero.

    Args:
        rank: Inner width of the two, at least 1.
        alpha: Factor on their product, divided by the rank, above 0.
        dropout: Dropout on what they read, in [0, 1).
        targets: Ends of the names of the linear layers that get them, such as query; null: all
            linear layers of the encoder.
        rank_stabilized: Divide alpha by the root of the rank instead.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: list[str] | None = None
    rank_stabilized: bool = False

    has_magnitudes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least(self.rank, 1, "rank", "8 is usual")
        check_dropout(self.dropout)
        if not self.alpha > 0:
            raise ConfigError(f"tuning.alpha={self.alpha} is not above 0; twice the rank is usual.")

    def insert(self, encoder: PreTrainedModel) -> None:
        """Put both matrices beside each target."""
        from peft import LoraConfig

        targets = self.targets
        found = linear_layers(encoder) if targets is None else named(encoder, targets, "targets")
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,  # type: ignore[arg-type]  # it works with any number
            lora_dropout=self.dropout,
            target_modules=found,
            use_rslora=self.rank_stabilized,
            use_dora=self.has_magnitudes,
        )
        inject(encoder, config)

    def trains(self, name: str, layers: int) -> bool:
        """The matrices, and DoRA's magnitudes."""
        return ".lora_" in name

    def merge(self, encoder: PreTrainedModel) -> None:
        """Add the products to the weights."""
        merge_injected(encoder)


@dataclass
class DoRA(LoRA):
    """LoRA that also trains the length of each row of the changed weights.

    Args:
        rank: Inner width of the two matrices, at least 1.
        alpha: Factor on their product, divided by the rank, above 0.
        dropout: Dropout on what they read, in [0, 1).
        targets: Ends of the names of the linear layers that get them, such as query; null: all
            linear layers of the encoder.
        rank_stabilized: Divide alpha by the root of the rank instead.
    """

    has_magnitudes = True
