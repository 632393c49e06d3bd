"""Cut heads and neurons out of a classifier: a module of the new shape, with what stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lightning_tune.models.classifier import Classifier
from lightning_tune.models.encoder import architecture_of, build_encoder
from lightning_tune.models.layout import (
    LAYOUT_KEY,
    LayerNames,
    LayerShape,
    Layout,
    layout_of,
    names_of,
)
from lightning_tune.models.naming import layer_index
from lightning_tune.schema import LabelSet
from lightning_tune_export.prune.search import Kept, remaining


def cut(classifier: Classifier, labels: LabelSet, kept: Sequence[Kept]) -> Classifier:
    """Build a classifier that has only what is kept; all weights are those of the given one.

    Args:
        classifier: As `plain_classifier` returns it.
        labels: What it answers.
        kept: What stays of each of its layers; those with nothing left are dropped whole, but for
            the lowest.
    """
    encoder = classifier.encoder
    config: Any = encoder.config
    shapes, sources = layout_of(encoder).layers, remaining(kept)
    after = Layout(
        tuple(
            LayerShape(
                tuple(shapes[source].heads[place] for place in kept[source].heads),
                len(kept[source].neurons),
            )
            for source in sources
        )
    )
    # The family's own name of the number of layers: DistilBERT's is n_layers.
    depth = config.attribute_map.get("num_hidden_layers", "num_hidden_layers")
    changes = {LAYOUT_KEY: after.to_dict(), depth: len(sources)}
    pruned = build_encoder("", labels, architecture=architecture_of(encoder) | changes)
    names = names_of(config.model_type)
    size = config.hidden_size // config.num_attention_heads
    weights = {
        moved(name, sources): _part(name, weight, kept, names, size)
        for name, weight in encoder.state_dict().items()
        if layer_index(name) in (None, *sources)
    }
    pruned.load_state_dict({name: weights[name] for name in pruned.state_dict()})
    if pruned._can_set_attn_implementation():
        pruned.set_attn_implementation("eager")
    return Classifier(pruned).eval().requires_grad_(False)


def moved(name: str, sources: Sequence[int]) -> str:
    """Return the name of a weight where only some layers remain.

    >>> moved("bert.encoder.layer.4.output.dense.bias", [0, 4])
    'bert.encoder.layer.1.output.dense.bias'
    """
    index = layer_index(name)
    if index is None:
        return name
    return name.replace(f".layer.{index}.", f".layer.{sources.index(index)}.", 1)


def _part(
    name: str, weight: Tensor, kept: Sequence[Kept], names: LayerNames, head_size: int
) -> Tensor:
    index = layer_index(name)
    if index is None:
        return weight
    part, _, kind = name.partition(f".{index}.")[2].rpartition(".")
    features = [head * head_size + i for head in kept[index].heads for i in range(head_size)]
    if part in names.inward:
        return weight[features]
    if part == names.up:
        return weight[list(kept[index].neurons)]
    if kind == "weight" and part == names.outward:
        return weight[:, features]
    if kind == "weight" and part == names.down:
        return weight[:, list(kept[index].neurons)]
    return weight
