"""Attention for layers that are not written out: cheap dropout in training, torch's kernel else.

In training on a CPU `scaled_dot_product_attention` with dropout draws a random number a weight, and
without dropout its flash kernel is fast forward but slow backward. Layers whose linear parts
were replaced (by LoRA, say) and families with other layers come here, through transformers'
attention interface.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from lightning_tune.models.fast.autograd import apply
from lightning_tune.models.fast.dropout import Dropout

NAME = "cheap_dropout"


def use_cheap_attention(model: PreTrainedModel) -> None:
    """Let a model that asks transformers for torch's attention ask for this one."""
    if model.config._attn_implementation != "sdpa" or not model._can_set_attn_implementation():
        return
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers asks: heads [batch, heads, seq, size] to [batch, seq, heads, size]."""
    training = torch.is_grad_enabled() and query.requires_grad and query.device.type == "cpu"
    causal = others.get("is_causal") or getattr(module, "is_causal", False)
    if not training or causal or query.shape != key.shape:
        out, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **others
        )
        return out, None
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None and attention_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    elif attention_mask is not None:
        scores = scores + attention_mask
    probs = torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    if dropout:
        probs = apply(Dropout, probs, dropout)
    return (probs @ value).transpose(1, 2).contiguous(), None
