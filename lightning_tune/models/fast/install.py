"""Put the faster parts in the place of an encoder's own: same names, same weights, same answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from lightning_tune.models.fast.attention import AttentionBlock, AttentionShape
from lightning_tune.models.fast.autograd import apply
from lightning_tune.models.fast.dropout import ByteDropout
from lightning_tune.models.fast.eager import use_cheap_attention
from lightning_tune.models.fast.embedding import ReusingEmbedding
from lightning_tune.models.fast.feed_forward import FeedForwardBlock, FeedForwardShape
from lightning_tune.models.fast.layouts import LAYOUTS, Parts, has_exact_gelu
from lightning_tune.models.layout import is_whole

_TYPES = (torch.float32, torch.bfloat16)


def accelerate(model: PreTrainedModel) -> None:
    """Replace dropout, word embeddings and, where the family has BERT's, the layers, in place.

    They are faster in training on a CPU; elsewhere and in evaluation all computes as before.
    """
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            kind = _faster_kind(child, module, model)
            if kind is not None:
                setattr(module, name, become(child, kind))
    use_cheap_attention(model)


def _faster_kind(
    child: nn.Module, parent: nn.Module, model: PreTrainedModel
) -> type[nn.Module] | None:
    if type(child) is nn.Dropout:
        return ByteDropout
    if type(child) is nn.Embedding and child is model.get_input_embeddings():
        return ReusingEmbedding
    config: Any = model.config
    layout = LAYOUTS.get(config.model_type)
    unusual = getattr(config, "is_decoder", False) or config.chunk_size_feed_forward
    if layout is None or unusual or not has_exact_gelu(config):
        return None
    in_a_stack = isinstance(parent, nn.ModuleList) and hasattr(child, "attention")
    return _fast_layer(type(child)) if in_a_stack and is_whole(child) else None


def become(module: nn.Module, kind: type[nn.Module]) -> nn.Module:
    """Return an instance of a subclass of a module's class with the very same contents."""
    other = kind.__new__(kind)
    other.__dict__.update(module.__dict__)
    return other


_FAST: dict[type[nn.Module], type[nn.Module]] = {}


def _fast_layer(kind: type[nn.Module]) -> type[nn.Module]:
    if issubclass(kind, _FastLayer):
        return kind
    if kind not in _FAST:
        _FAST[kind] = type(f"Fast{kind.__name__}", (_FastLayer, kind), {})
    return _FAST[kind]


class _FastLayer(nn.Module):
    """A layer that computes in two written-out blocks while it trains on a CPU."""

    config: Any

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Return the layer's output, [batch, seq, width]."""
        parts = _parts_of(self)
        if not _can_be_fast(parts, hidden_states, attention_mask):
            out: Tensor = super().forward(hidden_states, attention_mask, *args, **kwargs)
            return out
        dtype = _compute_type(hidden_states)
        bias = None if attention_mask is None else _as_bias(attention_mask, dtype)
        with torch.autocast("cpu", enabled=False):
            attended = _attention(parts, hidden_states, bias, dtype)
            return _feed_forward(parts, attended, dtype)


def _parts_of(layer: Any) -> Parts:
    return LAYOUTS["distilbert" if hasattr(layer, "ffn") else "bert"](layer)


def _can_be_fast(parts: Parts, hidden_states: Tensor, attention_mask: Tensor | None) -> bool:
    if hidden_states.device.type != "cpu" or not torch.is_grad_enabled():
        return False
    masked = attention_mask is None or attention_mask.ndim == 4
    return masked and parts.are_linear and _compute_type(hidden_states) in _TYPES


def _compute_type(hidden_states: Tensor) -> torch.dtype:
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu")
    return hidden_states.dtype


def _as_bias(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a mask of keys, boolean or already additive, into [batch, 1, 1, seq] to be added."""
    keys = attention_mask[:, :, :1]
    if keys.dtype != torch.bool:
        return keys.to(dtype)
    lowest = torch.finfo(dtype).min
    return torch.zeros(keys.shape, dtype=dtype).masked_fill_(~keys, lowest)


def _attention(parts: Parts, x: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    weights = parts.attention_weights()
    shape = AttentionShape(
        heads=len(weights[0]) // parts.head_size,
        scaling=parts.scaling,
        attention_dropout=parts.attention_dropout,
        hidden_dropout=parts.projection_dropout,
        eps=parts.attention_norm.eps,
        dtype=dtype,
    )
    return apply(AttentionBlock, x, bias, shape, *weights)


def _feed_forward(parts: Parts, x: Tensor, dtype: torch.dtype) -> Tensor:
    shape = FeedForwardShape(parts.output_dropout, parts.output_norm.eps, dtype)
    return apply(FeedForwardBlock, x, shape, *parts.feed_forward_weights())
