"""Where the families whose layers normalise after each block keep the parts of a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Parts:
    """The parts of one encoder layer: attention, then a feed-forward block, each with its norm."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    project: nn.Linear
    attention_norm: nn.LayerNorm
    up: nn.Linear
    down: nn.Linear
    output_norm: nn.LayerNorm
    head_size: int
    scaling: float
    attention_dropout: float
    projection_dropout: float
    output_dropout: float
    prefix: Tensor | None = None

    @property
    def are_plain(self) -> bool:
        """Whether nothing was put in or beside a linear layer, as tuning fewer weights does."""
        linears = (self.query, self.key, self.value, self.project, self.up, self.down)
        bare = all(type(part) is nn.Linear and part.bias is not None for part in linears)
        bare = bare and all(part.weight.dtype == torch.float32 for part in linears)
        return bare and self.prefix is None

    def attention_weights(self) -> list[Tensor]:
        """Weight and bias of each part of the attention block, in its order."""
        return _weights(self.query, self.key, self.value, self.project, self.attention_norm)

    def feed_forward_weights(self) -> list[Tensor]:
        """Weight and bias of each part of the feed-forward block, in its order."""
        return _weights(self.up, self.down, self.output_norm)


def _weights(*parts: nn.Linear | nn.LayerNorm) -> list[Tensor]:
    return [tensor for part in parts for tensor in (part.weight, part.bias)]


def _probability(dropout: nn.Module) -> float:
    return float(dropout.p) if dropout.training else 0.0  # type: ignore[arg-type]


def _of_bert(layer: Any) -> Parts:
    inner, outer = layer.attention.self, layer.attention.output
    return Parts(
        query=inner.query,
        key=inner.key,
        value=inner.value,
        project=outer.dense,
        attention_norm=outer.LayerNorm,
        up=layer.intermediate.dense,
        down=layer.output.dense,
        output_norm=layer.output.LayerNorm,
        head_size=inner.attention_head_size,
        scaling=inner.scaling,
        attention_dropout=_probability(inner.dropout),
        projection_dropout=_probability(outer.dropout),
        output_dropout=_probability(layer.output.dropout),
        prefix=getattr(inner, "prefix", None),
    )


def _of_distilbert(layer: Any) -> Parts:
    inner = layer.attention
    return Parts(
        query=inner.q_lin,
        key=inner.k_lin,
        value=inner.v_lin,
        project=inner.out_lin,
        attention_norm=layer.sa_layer_norm,
        up=layer.ffn.lin1,
        down=layer.ffn.lin2,
        output_norm=layer.output_layer_norm,
        head_size=inner.attention_head_size,
        scaling=inner.scaling,
        attention_dropout=_probability(inner.dropout),
        projection_dropout=0.0,
        output_dropout=_probability(layer.ffn.dropout),
    )


LAYOUTS: Mapping[str, Callable[[Any], Parts]] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra", "camembert", "ernie"), _of_bert),
    "distilbert": _of_distilbert,
}
"""By model type, how to find the parts of a layer."""


def has_exact_gelu(config: Any) -> bool:
    """Whether a config asks for the activation that the feed-forward block writes out."""
    name = getattr(config, "hidden_act", None) or getattr(config, "activation", None)
    return bool(name == "gelu")
