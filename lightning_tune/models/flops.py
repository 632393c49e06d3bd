"""Floating-point operations that training takes, counted from an encoder's layers.

The count of PaLM's appendix B (Chowdhery et al. 2022, https://arxiv.org/abs/2204.02311): for each
token six for every weight of a matrix product, and twelve for every layer, attention width and
token that is attended to. A third of each is the forward pass. The rest is the backward pass, and
is counted where it is computed: gradients of inputs above the lowest trained weight, gradients of
the weights that are trained. Embeddings and the head are left out, and so is what a step computes
beside one plain pass: layers computed again to save memory, DeBERTa's relative positions, DoRA's
norms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from lightning_tune.models.naming import is_embedding, layer_index
from lightning_tune.models.peft.targets import ATTENTION_OUTPUT

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Linear layers that read what enters an encoder layer: queries, keys and values of the families.
_READS_THE_INPUT = re.compile(
    r"\.(query|key|value|[qkv]_lin|(query|key|value)_proj|[qkv]|Wqkv)(\.(?!lora_B)|$)"
)
_OF_POSITIONS = re.compile(r"\.pos_\w+_proj")  # DeBERTa's: of relative positions, not of tokens


@dataclass(frozen=True)
class TrainingFlops:
    """Operations of a training step that sees each text once.

    Args:
        per_token: Of the linear layers, for each token.
        per_pair: Of attention, for each pair of tokens of one sequence.
        per_near_pair: The same in layers whose tokens attend to the nearest only.
        window: How many these are at most.
    """

    per_token: float
    per_pair: float = 0.0
    per_near_pair: float = 0.0
    window: int = 0

    def of(self, lengths: Tensor) -> float:
        """Return the operations of some sequences.

        Args:
            lengths: Real tokens of each, [sequences] int64.
        """
        near = lengths * lengths.clamp(max=self.window)
        counts = (lengths.sum(), lengths.square().sum(), near.sum())
        rates = (self.per_token, self.per_pair, self.per_near_pair)
        return sum(rate * int(count) for rate, count in zip(rates, counts, strict=True))


def training_flops(encoder: PreTrainedModel) -> TrainingFlops:
    """Count what a token, and what a pair of tokens, costs in the layers of an encoder.

    A family whose attention is not known by name counts without it.
    """
    config: Any = encoder.config
    layers: dict[int, list[tuple[str, nn.Module]]] = {}
    for name, module in encoder.named_modules():
        index = layer_index(f"{name}.")
        if index is not None:
            layers.setdefault(index, []).append((name, module))
    repeats = config.num_hidden_layers // len(layers) if config.model_type == "albert" else 1
    count = _Count(
        any(each.requires_grad for name, each in encoder.named_parameters() if is_embedding(name))
    )
    kinds = getattr(config, "layer_types", None) or []
    for index, modules in layers.items():
        near = index < len(kinds) and kinds[index] == "sliding_attention"
        for _ in range(repeats):
            count.add_layer(modules, near=near)
    window = int(getattr(config, "local_attention", 0) or 0)
    return TrainingFlops(count.token, count.pairs[False], count.pairs[True], window)


class _Count:
    """A sum over layers from the lowest up.

    Args:
        flowing: Whether gradients flow to what enters the lowest layer.
    """

    def __init__(self, flowing: bool) -> None:
        self.token = 0.0
        self.pairs = {False: 0.0, True: 0.0}
        self._flowing = flowing

    def add_layer(self, modules: list[tuple[str, nn.Module]], *, near: bool) -> None:
        """Add a layer's modules, which stand in the order in which they compute."""
        entering: bool | None = None
        for name, module in modules:
            if isinstance(module, nn.Linear) and not _OF_POSITIONS.search(name):
                into = self._flowing
                if _READS_THE_INPUT.search(name):  # they all read the same
                    into = entering = into if entering is None else entering
                passes = 1 + into + module.weight.requires_grad
                self.token += 2 * passes * module.in_features * module.out_features
            if _ends_attention(name) and isinstance(module, nn.Linear):
                self.pairs[near] += 4 * (3 if self._flowing else 1) * module.in_features
            own = module.parameters(recurse=False)
            self._flowing = self._flowing or any(each.requires_grad for each in own)


def _ends_attention(name: str) -> bool:
    bare = name.removesuffix(".base_layer")
    return any(bare.endswith(f".{end}") for end in ATTENTION_OUTPUT)
