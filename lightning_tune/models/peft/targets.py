"""Which linear layers of an encoder a method changes, found by type and by the families' names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from lightning_tune.errors import ConfigError, nearest
from lightning_tune.models.naming import layer_index

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# What the families call the same thing: ends of the names of linear layers inside a layer.
KEYS_AND_VALUES = (
    "key",  # BERT, RoBERTa, ELECTRA, ALBERT
    "value",
    "k_lin",  # DistilBERT
    "v_lin",
    "key_proj",  # DeBERTa
    "value_proj",
    "k",  # MPNet
    "v",
    "Wqkv",  # ModernBERT has one for queries too
)
ATTENTION_OUTPUT = (
    "attention.output.dense",
    "attention.out_lin",
    "attention.dense",
    "attn.Wo",
    "attn.o",
)
FEED_FORWARD_OUTPUT = ("output.dense", "ffn.lin2", "ffn_output", "mlp.Wo")


def linear_layers(encoder: PreTrainedModel) -> list[str]:
    """Return the names of all linear layers inside the encoder's layers: not the head, no pooler.

    Raises:
        ConfigError: if the encoder has none.
    """
    found = [
        name
        for name, module in encoder.named_modules()
        if isinstance(module, nn.Linear) and layer_index(name) is not None
    ]
    if not found:
        raise ConfigError(
            f"no linear layer was found in the layers of this {encoder.config.model_type}; it can "
            "only be tuned whole: model.tuning=Full."
        )
    return found


def named(encoder: PreTrainedModel, wanted: Sequence[str], setting: str) -> list[str]:
    """Return the linear layers whose names end as the user wrote.

    Args:
        encoder: The encoder.
        wanted: Whole parts of names, such as query or attention.self.query.
        setting: The setting that holds them, for the error.

    Raises:
        ConfigError: if one of them is the name of no linear layer.
    """
    layers = linear_layers(encoder)
    for end in wanted:
        if not any(_ends(name, end) for name in layers):
            known = list(dict.fromkeys(re.split(r"\.\d+\.", name)[-1] for name in layers))
            hint = nearest(end, [*known, *(name.rpartition(".")[2] for name in known)])
            raise ConfigError(
                f"tuning.{setting}: {end!r} names no linear layer of this "
                f"{encoder.config.model_type}; choose from {', '.join(known)}.{hint}"
            )
    return [name for name in layers if any(_ends(name, end) for end in wanted)]


def keys_and_values(encoder: PreTrainedModel) -> list[str]:
    """Return the linear layers that make attention's keys and values; none where unknown."""
    return [
        name for name in linear_layers(encoder) if any(_ends(name, end) for end in KEYS_AND_VALUES)
    ]


def attention_outputs(encoder: PreTrainedModel) -> list[str]:
    """Return the linear layers that end attention; none where unknown."""
    return [
        name for name in linear_layers(encoder) if any(_ends(name, end) for end in ATTENTION_OUTPUT)
    ]


def feed_forward_outputs(encoder: PreTrainedModel) -> list[str]:
    """Return the linear layers that end the feed-forward block; none where unknown."""
    of_attention = set(attention_outputs(encoder))
    return [
        name
        for name in linear_layers(encoder)
        if name not in of_attention and any(_ends(name, end) for end in FEED_FORWARD_OUTPUT)
    ]


def _ends(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")
