"""Tuning fewer weights: one method a file; `model.tuning` names one of these classes."""

from lightning_tune.models.peft.adapters import Adapters
from lightning_tune.models.peft.base import Full, Tuning, as_tuning, count_weights, same_function
from lightning_tune.models.peft.ia3 import IA3
from lightning_tune.models.peft.low_rank import DoRA, LoRA
from lightning_tune.models.peft.prefix import Prefix
from lightning_tune.models.peft.subsets import BitFit, LastLayers

__all__ = [
    "IA3",
    "Adapters",
    "BitFit",
    "DoRA",
    "Full",
    "LastLayers",
    "LoRA",
    "Prefix",
    "Tuning",
    "as_tuning",
    "count_weights",
    "same_function",
]
