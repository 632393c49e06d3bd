"""Prefix tuning: learned keys and values that every token of every layer attends to.

Li and Liang 2021, https://arxiv.org/abs/2101.00190; in encoders Liu et al. 2021 (P-tuning v2),
https://arxiv.org/abs/2110.07602. The keys and values are parameters themselves, without a network
that makes them. Positions stay as they are: a prefix takes none of an encoder's.

The peft library wraps the encoder for it, refuses activations that are checkpointed, and
counts its tokens as positions; here each attention module holds its own part.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_tune.errors import ConfigError
from lightning_tune.models.peft.base import Tuning, at_least

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass
class Prefix(Tuning):
    """Train keys and values in front of each layer's own.

    Args:
        tokens: How many, at least 1.
        std: Standard deviation of their random start, at least 0.
    """

    tokens: int = 20
    std: float = 0.02

    merges = False

    def __post_init__(self) -> None:
        at_least(self.tokens, 1, "tokens", "20 is usual")
        at_least(self.std, 0, "std", "0.02 is usual")

    def insert(self, encoder: PreTrainedModel) -> None:
        """Give each attention module its keys and values."""
        attentions = [module for module in encoder.modules() if _takes_keys_and_values(module)]
        if not attentions:
            raise ConfigError(
                f"Prefix needs attention that takes keys and values from outside, and this "
                f"{encoder.config.model_type}'s does not; use LoRA, IA3 or Adapters."
            )
        for attention in attentions:
            width = int(attention.key.out_features)  # type: ignore[union-attr, arg-type]
            start = torch.empty(2, self.tokens, width).normal_(std=self.std)
            attention.prefix = nn.Parameter(start)
            attention.register_forward_pre_hook(_with_prefix, with_kwargs=True)

    def trains(self, name: str, layers: int) -> bool:
        """The prefixes."""
        return name.endswith(".prefix")


class _Prepend:
    """What an attention module takes for a cache: it puts the prefix before keys and values.

    Args:
        prefix: [2, tokens, width], keys and values.
    """

    def __init__(self, prefix: Tensor) -> None:
        self.prefix = prefix

    def update(self, keys: Tensor, values: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
        """Return both longer; they are [sequences, heads, longest, head size]."""
        sequences, heads, _, size = keys.shape
        tokens = self.prefix.shape[1]
        split = self.prefix.to(keys.dtype).view(2, 1, tokens, heads, size).transpose(2, 3)
        own_keys, own_values = split.expand(2, sequences, heads, tokens, size)
        return torch.cat([own_keys, keys], dim=2), torch.cat([own_values, values], dim=2)


def _with_prefix(
    attention: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Hand an attention module its prefix, and a mask that lets every token see it."""
    prefix: Tensor = attention.prefix  # type: ignore[assignment]
    mask: Tensor | None = kwargs.get("attention_mask")
    if mask is not None:  # True or 1 lets a token be seen, and so does 0 where masks are added
        seen = 0.0 if mask.is_floating_point() else 1
        mask = functional.pad(mask, (prefix.shape[1], 0), value=seen)
    return args, kwargs | {"attention_mask": mask, "past_key_values": _Prepend(prefix)}


def _takes_keys_and_values(module: nn.Module) -> bool:
    taken = inspect.signature(module.forward).parameters
    return "past_key_values" in taken and isinstance(getattr(module, "key", None), nn.Linear)
