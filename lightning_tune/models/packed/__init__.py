"""Packed sequences: the real tokens of a batch in one row, each attending to its own sequence."""

from lightning_tune.models.packed.attention import check_device
from lightning_tune.models.packed.reading import answer, pack_sequences

__all__ = ["answer", "check_device", "pack_sequences"]
