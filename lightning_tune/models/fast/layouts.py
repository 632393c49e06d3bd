"""Where the families whose layers normalise after each block keep the parts of a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lightning_tune.models.fast.linear import is_linear, weight_and_bias


@dataclass(frozen=True)
class Parts:
    """The parts of one encoder layer: attention, then a feed-forward block, each with its norm."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    project: nn.Module
    attention_norm: nn.LayerNorm
    up: nn.Module
    down: nn.Module
    output_norm: nn.LayerNorm
    head_size: int
    scaling: float
    attention_dropout: float
    projection_dropout: float
    output_dropout: float
    prefix: Tensor | None = None

    @property
    def are_linear(self) -> bool:
        """Whether each part is a linear layer in effect, and nothing stands beside them."""
        linears = (self.query, self.key, self.value, self.project, self.up, self.down)
        return self.prefix is None and all(map(is_linear, linears))

    def attention_weights(self) -> list[Tensor]:
        """Weight and bias of each part of the attention block, in its order."""
        linears = (self.query, self.key, self.value, self.project)
        return _weights(*linears, norm=self.attention_norm)

    def feed_forward_weights(self) -> list[Tensor]:
        """Weight and bias of each part of the feed-forward block, in its order."""
        return _weights(self.up, self.down, norm=self.output_norm)


def _weights(*linears: nn.Module, norm: nn.LayerNorm) -> list[Tensor]:
    of_linears = [tensor for part in linears for tensor in weight_and_bias(part)]
    return [*of_linears, norm.weight, norm.bias]


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
