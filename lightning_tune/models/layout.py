"""The shape of a pruned encoder: which heads and how many neurons each of its layers has left.

transformers builds all layers of one width, and refuses weights of another. The layout therefore
travels inside the encoder's config, and shapes the layers before their weights are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.emptied import ChosenBias, Constant, NoHeads

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LAYOUT_KEY = "pruned"
"""Name under which a config, and so a checkpoint's architecture, holds the layout."""


@dataclass(frozen=True)
class LayerShape:
    """What is left of one layer.

    Args:
        heads: Which of the attention heads that the encoder was built with, ascending; none: the
            attention block is its output's bias, residual and normalisation.
        neurons: Width of the feed-forward block; 0: the same is left of that.
    """

    heads: tuple[int, ...]
    neurons: int


@dataclass(frozen=True)
class Layout:
    """What is left of an encoder.

    Args:
        layers: The layers that are left, lowest first.
    """

    layers: tuple[LayerShape, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, which JSON can hold."""
        return {"layers": [{"heads": [*one.heads], "neurons": one.neurons} for one in self.layers]}

    @classmethod
    def from_dict(cls, values: Any) -> Layout:
        """Read what `to_dict` returned.

        Raises:
            CheckpointError: if it is something else.
        """
        try:
            layers = [
                LayerShape(tuple(map(int, layer["heads"])), int(layer["neurons"]))
                for layer in values["layers"]
            ]
        except (KeyError, TypeError, ValueError) as err:
            raise CheckpointError(
                f"the architecture's {LAYOUT_KEY!r} is no layout of pruned layers; use another "
                "checkpoint."
            ) from err
        return cls(tuple(layers))


@dataclass(frozen=True)
class LayerNames:
    """Where a family keeps the linear parts of a layer, by names within the layer.

    Args:
        attention: The module that attends.
        inward: Its queries, keys and values.
        outward: The layer behind the heads.
        up: The layer that widens.
        active: What stands between `up` and `down`, `up` included.
        down: The layer that narrows.
        norm: The normalisation that ends the layer.
    """

    attention: str
    inward: tuple[str, str, str]
    outward: str
    up: str
    active: tuple[str, ...]
    down: str
    norm: str = "output.LayerNorm"


_BERT = LayerNames(
    attention="attention.self",
    inward=("attention.self.query", "attention.self.key", "attention.self.value"),
    outward="attention.output.dense",
    up="intermediate.dense",
    active=("intermediate",),
    down="output.dense",
)
_DISTILBERT = LayerNames(
    attention="attention",
    inward=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    outward="attention.out_lin",
    up="ffn.lin1",
    active=("ffn.lin1", "ffn.activation"),
    down="ffn.lin2",
    norm="output_layer_norm",
)
_MPNET = LayerNames(
    attention="attention.attn",
    inward=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
    outward="attention.attn.o",
    up="intermediate.dense",
    active=("intermediate",),
    down="output.dense",
)
NAMES: Mapping[str, LayerNames] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra", "camembert", "ernie"), _BERT),
    "distilbert": _DISTILBERT,
    "mpnet": _MPNET,
}
"""By model type, the families whose layers can be pruned one by one.

ALBERT's layers share their weights, DeBERTa's heads read projected positions too, ModernBERT's
queries, keys, values and gates are fused: these are refused.
"""


def names_of(model_type: str) -> LayerNames:
    """Return where a family keeps the parts of a layer.

    Raises:
        ConfigError: if its layers cannot be pruned.
    """
    if model_type not in NAMES:
        raise ConfigError(
            f"{model_type} encoders cannot be pruned: their layers share weights or fuse them; "
            f"leave pruning out, or use one of {', '.join(NAMES)}."
        )
    return NAMES[model_type]


def stack_of(encoder: nn.Module) -> nn.ModuleList:
    """Return the stack of an encoder's layers."""
    found = [
        module
        for name, module in encoder.named_modules()
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[2] == "layer"
    ]
    return found[0]


def layout_of(encoder: PreTrainedModel) -> Layout:
    """Return the layout of an encoder, pruned or not.

    Raises:
        ConfigError: if its family's layers cannot be pruned.
    """
    config: Any = encoder.config
    stored = getattr(config, LAYOUT_KEY, None)
    if stored is not None:
        return Layout.from_dict(stored)
    up = names_of(config.model_type).up
    heads = tuple(range(config.num_attention_heads))
    return Layout(
        tuple(LayerShape(heads, _outputs(layer.get_submodule(up))) for layer in stack_of(encoder))
    )


def is_pruned(encoder: PreTrainedModel) -> bool:
    """Whether an encoder has a layout of its own."""
    return getattr(encoder.config, LAYOUT_KEY, None) is not None


def apply_layout(encoder: PreTrainedModel, layout: Layout) -> None:
    """Give the layers of a freshly built encoder their shapes, in place; weights become random.

    Args:
        encoder: An encoder with as many layers as the layout, each of full width.
        layout: What is left of each.

    Raises:
        ConfigError: if its family's layers cannot be pruned.
        CheckpointError: if the layout is not one of this encoder's.
    """
    config: Any = encoder.config
    names = names_of(config.model_type)
    stack = stack_of(encoder)
    if len(stack) != len(layout.layers):
        raise CheckpointError(
            f"the layout has {len(layout.layers)} layers, the encoder {len(stack)}; use another "
            "checkpoint."
        )
    for layer, shape in zip(stack, layout.layers, strict=True):
        _check(shape, config.num_attention_heads)
        _shape_attention(layer, shape.heads, names)
        _shape_feed_forward(layer, shape.neurons, names)
    setattr(config, LAYOUT_KEY, layout.to_dict())


def apply_own_layout(encoder: PreTrainedModel) -> None:
    """Give a freshly built encoder the layout that its config holds, if it holds one."""
    if is_pruned(encoder):
        apply_layout(encoder, layout_of(encoder))


def is_whole(layer: nn.Module) -> bool:
    """Whether a layer still attends, and still has neurons."""
    return not any(isinstance(module, Constant) for module in layer.modules())


def _check(shape: LayerShape, heads: int) -> None:
    ascending = list(shape.heads) == sorted(set(shape.heads))
    if not ascending or shape.neurons < 0 or not set(shape.heads) <= set(range(heads)):
        raise CheckpointError(
            f"the layout keeps the heads {list(shape.heads)} and {shape.neurons} neurons of a "
            f"layer, which has heads 0 to {heads - 1}; use another checkpoint."
        )


def _shape_attention(layer: nn.Module, heads: tuple[int, ...], names: LayerNames) -> None:
    attention: Any = layer.get_submodule(names.attention)
    width = _outputs(layer.get_submodule(names.outward))
    if not heads:
        within = names.outward.startswith(f"{names.attention}.")
        _put(layer, names.attention, NoHeads(_last(names.outward) if within else None, width))
        if not within:
            _put(layer, names.outward, Constant(width))
        return
    inner = len(heads) * attention.attention_head_size
    if inner == width:
        return
    for name in names.inward:
        _put(layer, name, nn.Linear(width, inner))
    _put(layer, names.outward, nn.Linear(inner, width))
    if hasattr(attention, "all_head_size"):
        attention.all_head_size = inner
    if names is _MPNET:
        _choose_bias(attention, heads)


def _shape_feed_forward(layer: nn.Module, neurons: int, names: LayerNames) -> None:
    width = _outputs(layer.get_submodule(names.down))
    if neurons == _outputs(layer.get_submodule(names.up)):
        return
    if neurons:
        _put(layer, names.up, nn.Linear(width, neurons))
        _put(layer, names.down, nn.Linear(neurons, width))
        return
    for name in names.active:
        _put(layer, name, nn.Identity())
    _put(layer, names.down, Constant(width))


def _choose_bias(attention: Any, heads: tuple[int, ...]) -> None:
    """Let MPNet's attention take the heads that are left from the bias that all layers share."""
    attention.__class__ = type("NarrowAttention", (ChosenBias, type(attention)), {})
    attention.register_buffer("kept", torch.tensor(heads), persistent=False)


def _outputs(module: nn.Module) -> int:
    return int(module.out_features)  # type: ignore[arg-type]


def _put(layer: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(layer.get_submodule(parent), child, module)


def _last(name: str) -> str:
    return name.rpartition(".")[2]
