"""Where in an encoder a parameter belongs, told by its name: embeddings, a layer, the head."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def layer_index(name: str) -> int | None:
    """Return which encoder layer a parameter belongs to, by its name; None outside the layers.

    ALBERT's layers share their parameters, which count as layer 0.

    >>> layer_index("bert.encoder.layer.3.attention.self.query.weight")
    3
    >>> layer_index("classifier.weight") is None
    True
    """
    found = re.search(r"\.(?:layer|layers|albert_layer_groups)\.(\d+)\.", name)
    return int(found.group(1)) if found else None


def depth(model: PreTrainedModel) -> int:
    """Return how many layers with weights of their own an encoder has."""
    indices = [layer_index(name) for name, _ in model.named_parameters()]
    return 1 + max((index for index in indices if index is not None), default=-1)


def is_head(model: PreTrainedModel, name: str) -> bool:
    """Whether a parameter belongs to the classification head and not to the pretrained encoder."""
    return not name.startswith(f"{model.base_model_prefix}.")


def is_above_layers(model: PreTrainedModel, name: str) -> bool:
    """Whether a parameter is the head's or the pooler's, which are trained in every case.

    The pooler is the dense layer of BERT's and ALBERT's heads; the other families' heads hold
    theirs themselves.
    """
    return is_head(model, name) or re.search(r"^\w+\.pooler\.", name) is not None


def is_embedding(name: str) -> bool:
    """Whether a parameter stands below all layers: embeddings, their projection, shared positions.

    >>> is_embedding("mpnet.encoder.relative_attention_bias.weight")
    True
    >>> is_embedding("bert.pooler.dense.weight"), is_embedding("deberta.encoder.layer.0.x.bias")
    (False, False)
    """
    if layer_index(name) is not None:
        return False
    shared = r"embed|\.relative_attention_bias\.|^deberta\.encoder\."
    return re.search(shared, name) is not None
