"""Attention in a row of sequences: each token sees those of its own sequence.

On a GPU it is FlashAttention-2's kernel for sequences of any length (Dao 2023,
https://arxiv.org/abs/2307.08691), which torch has as `torch.nn.attention.varlen.varlen_attn`. It
has no dropout of attention weights. Elsewhere the sequences attend one after the other: the same
answers, at no gain.
"""

from __future__ import annotations

import inspect
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from lightning_tune.errors import ConfigError

Heads = tuple[Tensor, Tensor, Tensor]
"""Query, key and value of all tokens in a row, each [total, heads, size]."""


def check_device(device: torch.device) -> None:
    """Refuse a GPU, or a torch for it, that has no attention over packed sequences.

    Raises:
        ConfigError: saying what is missing.
    """
    if device.type != "cuda":
        return
    try:
        from torch.nn.attention.varlen import varlen_attn

        known = "window_size" in inspect.signature(varlen_attn).parameters
    except ImportError:
        known = False
    if not known:
        raise ConfigError(
            f"model.packed=true needs torch 2.13 or newer on a GPU, this is {torch.__version__}; "
            "upgrade it, or leave the setting out."
        )
    capability = torch.cuda.get_device_capability(device)
    if capability < (8, 0):
        raise ConfigError(
            f"model.packed=true needs a GPU of compute capability 8.0 (Ampere) or newer, this one "
            f"has {capability[0]}.{capability[1]}; leave the setting out."
        )


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int = 0,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers asks: heads [batch, heads, seq, size] to [batch, seq, heads, size].

    With `cu_seq_lens_q`, a row's offsets, the batch is one row of sequences; else they are padded.
    """
    if cu_seq_lens_q is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        padded = (module, query, key, value, attention_mask, dropout, scaling)
        return sdpa_attention_forward(*padded, **others)[0], None
    heads = (query[0].transpose(0, 1), key[0].transpose(0, 1), value[0].transpose(0, 1))
    near = None if sliding_window is None else sliding_window - 1  # tokens seen to either side
    if query.device.type == "cuda":
        out = by_kernel(heads, cu_seq_lens_q, max_length_q, scaling=scaling, near=near)
    else:
        out = one_by_one(heads, cu_seq_lens_q, scaling=scaling, near=near)
    return out.unsqueeze(0), None


def by_kernel(
    heads: Heads,
    offsets: Tensor,
    longest: int,
    *,
    scaling: float | None = None,
    near: int | None = None,
) -> Tensor:
    """The same as `one_by_one`, in one kernel of a GPU.

    Args:
        heads: In bf16 or fp16.
        offsets: Where each sequence starts, and the end, [sequences + 1] int32.
        longest: No sequence is longer, in tokens.
        scaling: Factor on the scores; None: 1 / sqrt(size).
        near: How many tokens to either side are seen; None: all.

    Raises:
        ConfigError: if the heads are of another type.
    """
    if heads[0].dtype not in (torch.bfloat16, torch.float16):
        raise ConfigError(
            f"model.packed=true: a GPU attends over packed sequences in bf16 or fp16, not in "
            f"{str(heads[0].dtype).removeprefix('torch.')}; set trainer.precision=bf16-mixed."
        )
    from torch.nn.attention.varlen import varlen_attn

    side = -1 if near is None else near
    out = varlen_attn(
        *heads, offsets, offsets, longest, longest, scale=scaling, window_size=(side, side)
    )
    return cast(Tensor, out)


@torch.compiler.disable  # type: ignore[untyped-decorator]  # the lengths are read
def one_by_one(
    heads: Heads, offsets: Tensor, *, scaling: float | None = None, near: int | None = None
) -> Tensor:
    """Let each sequence of a row attend to itself, one after the other.

    Args:
        heads: Of the row.
        offsets: Where each sequence starts, and the end, [sequences + 1].
        scaling: Factor on the scores; None: 1 / sqrt(size).
        near: How many tokens to either side are seen; None: all.

    Returns:
        [total, heads, size].
    """
    parts = []
    for start, end in pairwise(offsets.tolist()):
        query, key, value = (each[start:end].transpose(0, 1) for each in heads)
        seen = None
        if near is not None:
            at = torch.arange(end - start, device=query.device)
            seen = (at.unsqueeze(0) - at.unsqueeze(1)).abs() <= near
        parts.append(scaled_dot_product_attention(query, key, value, seen, scale=scaling))
    return torch.cat(parts, dim=1).transpose(0, 1)
