"""All that some edits make of one word, mixed in an order that a generator decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

import torch

from lightning_tune.words.edits import Variants


def variants(word: str, kinds: Iterable[Variants], generator: torch.Generator) -> list[str]:
    """Return all that some edits make of a word, each once: the kinds in turn, in random order."""
    shuffled = [_shuffled(kind(word), generator) for kind in kinds]
    mixed = chain.from_iterable(zip_longest(*shuffled))
    return [made for made in dict.fromkeys(mixed) if made is not None and made != word]


def _shuffled(made: Sequence[str], generator: torch.Generator) -> list[str]:
    return [made[at] for at in torch.randperm(len(made), generator=generator).tolist()]
