"""The feed-forward part with its residual and normalisation, backward written out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lightning_tune.models.fast.autograd import wanted
from lightning_tune.models.fast.blocks import (
    NormSaved,
    add_norm,
    add_norm_backward,
    cast,
    linear_backward,
    product,
)


@dataclass(frozen=True)
class FeedForwardShape:
    """What a feed-forward block is beside its weights.

    Args:
        hidden_dropout: Probability of dropping an output element, in [0, 1).
        eps: Added to the variance in the normalisation.
        dtype: Type to compute in.
    """

    hidden_dropout: float
    eps: float
    dtype: torch.dtype


class FeedForwardBlock(torch.autograd.Function):
    """norm(x + dropout(down(gelu(up(x))))), [batch, seq, width] in and out.

    Weights in order: up, down, normalisation; each weight and bias.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: FeedForwardShape, *weights: Tensor) -> Tensor:
        """Return the block's output in the type it computes in."""
        up_w, up_b, down_w, down_b, norm_w, norm_b = weights
        rows = cast(x, shape.dtype).reshape(-1, x.shape[-1])
        up, down = cast(up_w, shape.dtype), cast(down_w, shape.dtype)
        inner = product(rows, up.t(), cast(up_b, shape.dtype))
        active = functional.gelu(inner)
        out = product(active, down.t(), cast(down_b, shape.dtype))
        normed, saved = add_norm(rows, out, norm_w, norm_b, shape.hidden_dropout, shape.eps)
        ctx.shape, ctx.given = shape, x.dtype
        ctx.save_for_backward(rows, inner, active, up, down, norm_w, norm_b, *saved)
        # no view: hooks on a layer's output (FSDP's) warn of changes in place of one
        shaped: Tensor = torch.ops.aten._unsafe_view(normed, x.shape)
        return shaped

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input and of the weights that are asked for."""
        rows, inner, active, up, down, norm_w, norm_b, *saved = ctx.saved_tensors
        d_sum, d_out, d_norm_w, d_norm_b = add_norm_backward(
            grad.reshape(rows.shape), NormSaved(*saved), norm_w, norm_b, ctx.shape.hidden_dropout
        )
        asked = wanted(ctx, 6)
        d_active, d_down_w, d_down_b = linear_backward(d_out, active, down, asked[2:4])
        d_inner = torch.ops.aten.gelu_backward(d_active, inner)
        d_rows, d_up_w, d_up_b = linear_backward(d_inner, rows, up, asked[:2])
        d_x = d_rows.add_(d_sum).view(grad.shape).to(ctx.given)
        return (d_x, None, d_up_w, d_up_b, d_down_w, d_down_b, d_norm_w, d_norm_b)
