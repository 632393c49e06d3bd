"""Bottleneck adapters: two small layers with a residual, put behind a block of each layer.

Houlsby et al. 2019, https://arxiv.org/abs/1902.00751, put one behind attention and one behind the
feed-forward block; Pfeiffer et al. 2020, https://arxiv.org/abs/2005.00247, found the latter enough.
Here both stand before the block's residual and normalisation, and start as the identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn
from torch.nn import functional

from lightning_tune.errors import ConfigError
from lightning_tune.models.peft.base import Tuning, at_least
from lightning_tune.models.peft.targets import attention_outputs, feed_forward_outputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass
class Adapters(Tuning):
    """Train small layers between the encoder's own.

    Args:
        placement: houlsby: two a layer, behind attention and feed-forward block; pfeiffer: one,
            behind the feed-forward block.
        reduction: Width of the encoder over that of an adapter, at least 1.
    """

    placement: Literal["houlsby", "pfeiffer"] = "pfeiffer"
    reduction: float = 16.0

    merges = False

    def __post_init__(self) -> None:
        at_least(self.reduction, 1, "reduction", "16 is usual")
        if self.placement not in ("houlsby", "pfeiffer"):
            raise ConfigError(
                f"tuning.placement={self.placement!r} is unknown; choose houlsby or pfeiffer."
            )

    def insert(self, encoder: PreTrainedModel) -> None:
        """Put an adapter behind each block."""
        targets = feed_forward_outputs(encoder)
        if self.placement == "houlsby":
            targets += attention_outputs(encoder)
        if not targets:
            raise ConfigError(
                f"Adapters does not know the blocks of this {encoder.config.model_type}; use LoRA."
            )
        for name in targets:
            parent, _, child = name.rpartition(".")
            layer = encoder.get_submodule(name)
            setattr(encoder.get_submodule(parent), child, Adapted(layer, self.reduction))

    def trains(self, name: str, layers: int) -> bool:
        """The adapters."""
        return ".adapter." in name


class Adapted(nn.Module):
    """A linear layer followed by an adapter.

    Args:
        base_layer: The layer, whose output has the adapter's width.
        reduction: Its width over the adapter's inner one.
    """

    def __init__(self, base_layer: nn.Module, reduction: float) -> None:
        super().__init__()
        width: int = base_layer.out_features  # type: ignore[assignment]
        self.base_layer = base_layer
        self.adapter = Bottleneck(width, max(1, int(width / reduction)))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return [..., width]."""
        changed: Tensor = self.adapter(self.base_layer(hidden))
        return changed


class Bottleneck(nn.Module):
    """x + up(gelu(down(x))), where up starts at zero.

    Args:
        width: Of what comes in and goes out.
        inner: Of what lies between.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, inner)
        self.up = nn.Linear(inner, width)
        nn.init.normal_(self.down.weight, std=0.02)
        for start_at_zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(start_at_zero)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return [..., width]."""
        change: Tensor = self.up(functional.gelu(self.down(hidden)))
        return hidden + change
