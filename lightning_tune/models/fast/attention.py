"""Self-attention with its residual and normalisation as one operation with a written-out backward.

Attention: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762. Written out, the three projections
are one product, the weights are cast once, dropout is a bit mask, and nothing is kept twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_tune.models.fast.autograd import wanted
from lightning_tune.models.fast.blocks import (
    NormSaved,
    add_norm,
    add_norm_backward,
    cast,
    linear_backward,
    product,
)
from lightning_tune.models.fast.dropout import keep_bits, mask, mask_, scale_of


@dataclass(frozen=True)
class AttentionShape:
    """What an attention block is beside its weights.

    Args:
        heads: Attention heads.
        scaling: Factor on the scores.
        attention_dropout: Probability of dropping an attention weight, in [0, 1).
        hidden_dropout: Probability of dropping an output element, in [0, 1).
        eps: Added to the variance in the normalisation.
        dtype: Type to compute in.
    """

    heads: int
    scaling: float
    attention_dropout: float
    hidden_dropout: float
    eps: float
    dtype: torch.dtype


class AttentionBlock(torch.autograd.Function):
    """norm(x + dropout(project(attend(x)))), [batch, seq, width] in and out.

    Weights in order: query, key, value, output projection, normalisation; each weight and bias.
    `bias` is [batch, 1, 1, seq], added to the scores, or None.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, bias: Tensor | None, shape: AttentionShape, *weights: Tensor
    ) -> Tensor:
        """Return the block's output in the type it computes in."""
        q_w, q_b, k_w, k_b, v_w, v_b, o_w, o_b, norm_w, norm_b = weights
        batch, length, _ = x.shape
        rows = cast(x, shape.dtype).reshape(batch * length, -1)
        inward = _stacked((q_w, k_w, v_w), shape.dtype)
        qkv = product(rows, inward.t(), _stacked((q_b, k_b, v_b), shape.dtype))
        heads = _split_heads(qkv, batch, length, shape.heads)
        probs, bits = _attend(heads, bias, shape)
        context = _merge_heads(_weighted(probs, bits, heads[2], shape), batch, shape.heads)
        outward = cast(o_w, shape.dtype)
        out = product(context, outward.t(), cast(o_b, shape.dtype))
        normed, saved = add_norm(rows, out, norm_w, norm_b, shape.hidden_dropout, shape.eps)
        ctx.shape, ctx.sizes, ctx.given = shape, (batch, length), x.dtype
        ctx.save_for_backward(
            rows, heads, probs, bits, context, inward, outward, norm_w, norm_b, *saved
        )
        return normed.view(batch, length, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the input and of the weights that are asked for."""
        rows, heads, probs, bits, context, inward, outward, norm_w, norm_b, *saved = (
            ctx.saved_tensors
        )
        shape, (batch, length) = ctx.shape, ctx.sizes
        d_sum, d_out, d_norm_w, d_norm_b = add_norm_backward(
            grad.reshape(batch * length, -1),
            NormSaved(*saved),
            norm_w,
            norm_b,
            shape.hidden_dropout,
        )
        asked = wanted(ctx, 10)
        d_context, d_o_w, d_o_b = linear_backward(d_out, context, outward, asked[6:8])
        d_heads = _attend_backward(d_context, heads, probs, bits, shape, batch)
        d_qkv = _join_heads(d_heads, batch, length)
        any_asked = (any(asked[0:6:2]), any(asked[1:6:2]))
        d_rows, d_in_w, d_in_b = linear_backward(d_qkv, rows, inward, any_asked)
        d_x = d_rows.add_(d_sum).view(batch, length, -1).to(ctx.given)
        in_w, in_b = ((None,) * 3 if part is None else part.chunk(3) for part in (d_in_w, d_in_b))
        projections = [part for pair in zip(in_w, in_b, strict=True) for part in pair]
        return (d_x, None, None, *projections, d_o_w, d_o_b, d_norm_w, d_norm_b)


def _stacked(parts: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
    rows = sum(len(part) for part in parts)
    stacked = parts[0].new_empty((rows, *parts[0].shape[1:]), dtype=dtype)
    start = 0
    for part in parts:
        stacked[start : start + len(part)].copy_(part)
        start += len(part)
    return stacked


def _split_heads(qkv: Tensor, batch: int, length: int, heads: int) -> Tensor:
    """[batch * seq, 3 * width] to [3, batch * heads, seq, head width]."""
    split = qkv.view(batch, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
    return split.reshape(3, batch * heads, length, -1)


def _join_heads(heads: Tensor, batch: int, length: int) -> Tensor:
    """[3, batch * heads, seq, head width] to [batch * seq, 3 * width]."""
    split = heads.view(3, batch, -1, length, heads.shape[-1])
    return split.permute(1, 3, 0, 2, 4).reshape(batch * length, -1)


def _merge_heads(context: Tensor, batch: int, heads: int) -> Tensor:
    """[batch * heads, seq, head width] to [batch * seq, width]."""
    split = context.view(batch, heads, *context.shape[1:])
    return split.transpose(1, 2).reshape(batch * context.shape[1], -1)


def _attend(
    heads: Tensor, bias: Tensor | None, shape: AttentionShape
) -> tuple[Tensor, Tensor | None]:
    """Return the attention weights [batch * heads, seq, seq] and which of them dropout keeps."""
    query, key, _ = heads
    scores = _scaled(query, key.transpose(1, 2), shape.scaling)
    if bias is not None:
        batch, length = len(bias), scores.shape[-1]
        scores.view(batch, -1, length, length).add_(bias)
    probs = _softmax(scores)
    if not shape.attention_dropout:
        return probs, None
    return probs, keep_bits(tuple(probs.shape), shape.attention_dropout, probs.dtype)


def _softmax(scores: Tensor) -> Tensor:
    """The kernel for bfloat16 is several times slower than float32's at most lengths."""
    if scores.shape[-1] % 32 == 0:
        return torch.softmax(scores, dim=-1)
    return torch.softmax(scores, dim=-1, dtype=torch.float32).to(scores.dtype)


def _softmax_backward(grad: Tensor, probs: Tensor) -> Tensor:
    backward = torch.ops.aten._softmax_backward_data
    dtype = probs.dtype
    if probs.shape[-1] >= 32:
        return backward(grad, probs, -1, dtype)  # type: ignore[no-any-return]
    return backward(grad.float(), probs.float(), -1, torch.float32).to(dtype)  # type: ignore[no-any-return]


def _weighted(probs: Tensor, bits: Tensor | None, value: Tensor, shape: AttentionShape) -> Tensor:
    if bits is None:
        return torch.bmm(probs, value)
    return _scaled(mask(probs, bits), value, scale_of(shape.attention_dropout))


def _attend_backward(
    d_merged: Tensor,
    heads: Tensor,
    probs: Tensor,
    bits: Tensor | None,
    shape: AttentionShape,
    batch: int,
) -> Tensor:
    """Return the gradient of query, key and value, [3, batch * heads, seq, head width]."""
    query, key, value = heads
    length = probs.shape[-1]
    d_context = d_merged.view(batch, length, shape.heads, -1).transpose(1, 2)
    d_context = d_context.reshape(batch * shape.heads, length, -1)
    kept = probs if bits is None else mask(probs, bits)
    scale = 1.0 if bits is None else scale_of(shape.attention_dropout)
    d_heads = torch.empty_like(heads)
    _scaled(kept.transpose(1, 2), d_context, scale, out=d_heads[2])
    d_probs = _scaled(d_context, value.transpose(1, 2), scale)
    if bits is not None:
        mask_(d_probs, bits)
    d_scores = _softmax_backward(d_probs, probs)
    _scaled(d_scores, key, shape.scaling, out=d_heads[0])
    _scaled(d_scores.transpose(1, 2), query, shape.scaling, out=d_heads[1])
    return d_heads


def _scaled(left: Tensor, right: Tensor, factor: float, out: Tensor | None = None) -> Tensor:
    """Return factor * left @ right, batched, in one operation."""
    if out is None:
        out = left.new_empty(left.shape[0], left.shape[1], right.shape[2])
    return torch.baddbmm(out, left, right, beta=0, alpha=factor, out=out)
