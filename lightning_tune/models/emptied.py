"""What stands in a layer for parts that were pruned, so that the rest computes as before."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Constant(nn.Module):
    """What a linear layer is that has no inputs left: its bias.

    Args:
        width: Its outputs.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, like: Tensor) -> Tensor:
        """Return the bias, [width], in training for every token, [..., width], for dropout."""
        return self.bias.expand_as(like) if self.training else self.bias


class NoHeads(nn.Module):
    """What an attention module is that has no heads left.

    Args:
        outward: Name of the linear layer that the family keeps inside it, if it does.
        width: Outputs of that layer.
    """

    def __init__(self, outward: str | None, width: int) -> None:
        super().__init__()
        self.outward = outward
        if outward is not None:
            setattr(self, outward, Constant(width))

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        """Return what comes in for a constant behind it, or what the constant inside returns."""
        if self.outward is None:
            return hidden_states, None
        return getattr(self, self.outward)(hidden_states), None


class ChosenBias(nn.Module):
    """MPNet's attention with some of its heads: it reads theirs of the bias that layers share."""

    kept: Tensor

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return what the family's own attention returns."""
        bias = None if position_bias is None else position_bias.index_select(1, self.kept)
        return super().forward(hidden_states, attention_mask, bias, **kwargs)
