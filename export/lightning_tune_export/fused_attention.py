"""One operator for attention: what transformers' attention interface calls while a graph is traced.

ONNX Runtime's own optimizer does not find attention in what PyTorch's exporter writes today. Where
a family goes through transformers' attention interface, the exporter can be handed the operator.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "onnxruntime_attention"
LOWEST = torch.finfo(torch.float32).min


@contextmanager
def registered() -> Iterator[str]:
    """Register the operator as an attention function, yield its name, and take it out again."""
    functions: MutableMapping[str, Any] = AttentionInterface._global_mapping
    masks: MutableMapping[str, Any] = AttentionMaskInterface._global_mapping
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, keep_mask)
    try:
        yield NAME
    finally:
        functions.pop(NAME, None)
        masks.pop(NAME, None)


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
    """Attend by ONNX Runtime's MultiHeadAttention.

    Args:
        module: The attention module; heads are counted from its tensors, as pruned layers differ.
        query: [batch, heads, sequence, size]; key and value alike.
        key: Keys.
        value: Values.
        attention_mask: [batch, keys] int32, 1 at tokens; or [batch, 1, sequence, keys] to be added.
        dropout: Not used: a graph answers.
        scaling: Of the products; null: the root of the size.
        others: What a family says besides.

    Returns:
        [batch, sequence, heads, size], and no weights.
    """
    batch, heads, length, size = query.shape
    flat = [each.transpose(1, 2).flatten(2) for each in (query, key, value)]
    is_bias = attention_mask is not None and attention_mask.ndim == 4
    inputs = [*flat, None, None if is_bias else attention_mask, attention_mask if is_bias else None]
    attended = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        inputs if is_bias else inputs[:5],
        {
            "num_heads": int(heads),
            "head_size": int(size),  # for who rewrites it: the operator itself has none
            "scale": float(size**-0.5 if scaling is None else scaling),
            "mask_filter_value": LOWEST,
        },
        dtype=query.dtype,
        shape=(batch, length, heads * size),
        version=1,
    )
    return attended.view(batch, length, heads, size), None


def keep_mask(
    *,
    q_length: int,
    attention_mask: Tensor | None = None,
    mask_function: Any = None,
    dtype: torch.dtype = torch.float32,
    **others: Any,
) -> Tensor | None:
    """Hand the mask of tokens through; layers that look at neighbours only get what to add.

    Args:
        q_length: Sequence length.
        attention_mask: [batch, keys] bool.
        mask_function: What may attend to what.
        dtype: Of the result, where it is to be added.
        others: What the caller says besides.

    Returns:
        [batch, keys] int32, or [batch, 1, sequence, keys].
    """
    from transformers.masking_utils import bidirectional_mask_function, eager_mask

    if mask_function is None or mask_function is bidirectional_mask_function:
        return None if attention_mask is None else attention_mask.to(torch.int32)
    bias: Tensor | None = eager_mask(
        q_length=q_length,
        attention_mask=attention_mask,
        mask_function=mask_function,
        dtype=dtype,
        **others,
    )
    return bias
