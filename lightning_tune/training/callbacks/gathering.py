"""The answers of an evaluation, collected over batches and ranks, in the order of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part")


class Answers:
    """Collect what the steps return: logits, index and, where there are any, labels."""

    def __init__(self) -> None:
        self._parts: list[dict[str, Tensor]] = []

    def add(self, outputs: Mapping[str, Tensor]) -> None:
        """Keep a batch, on the CPU."""
        self._parts.append({name: value.detach().cpu() for name, value in outputs.items()})

    def collect(self) -> dict[str, Tensor] | None:
        """Return all rows of all ranks in the order of their index, each once, and start afresh.

        Returns:
            logits [rows, outputs], index [rows], labels [rows, …]; None where nothing was kept.
        """
        parts, self._parts = from_all_ranks(self._parts), []
        if not parts:
            return None
        joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        order = torch.from_numpy(_first_of_each(joined["index"]))
        return {name: value[order] for name, value in joined.items()}


def from_all_ranks(parts: list[Part]) -> list[Part]:
    """Return the parts of all ranks, those of the first rank first; all ranks have to call it."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return parts
    everywhere: list[list[Part]] = [[] for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(everywhere, parts)
    return [part for rank in everywhere for part in rank]


def _first_of_each(index: Tensor) -> object:
    import numpy as np

    return np.unique(index.numpy(), return_index=True)[1]
