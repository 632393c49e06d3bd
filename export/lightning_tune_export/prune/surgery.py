"""Cut heads and neurons out of a classifier: a module of the new shape, with what stays."""

from __future__ import annotations

from collections.abc import Sequence

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
from lightning_tune_export.prune.search import Kept


def cut(classifier: Classifier, labels: LabelSet, kept: Sequence[Kept]) -> Classifier:
    """Build a classifier that has only what is kept; all weights are those of the given one.

    Args:
        classifier: As `plain_classifier` returns it.
        labels: What it answers.
        kept: What stays of each of its layers.
    """
    encoder = classifier.encoder
    before = layout_of(encoder)
    after = Layout(
        tuple(
            LayerShape(tuple(shape.heads[place] for place in each.heads), len(each.neurons))
            for shape, each in zip(before.layers, kept, strict=True)
        )
    )
    pruned = build_encoder(
        "", labels, architecture=architecture_of(encoder) | {LAYOUT_KEY: after.to_dict()}
    )
    names = names_of(encoder.config.model_type)
    size = encoder.config.hidden_size // encoder.config.num_attention_heads
    weights = {
        name: _part(name, weight, kept, names, size)
        for name, weight in encoder.state_dict().items()
    }
    pruned.load_state_dict({name: weights[name] for name in pruned.state_dict()})
    if pruned._can_set_attn_implementation():
        pruned.set_attn_implementation("eager")
    return Classifier(pruned).eval().requires_grad_(False)


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
