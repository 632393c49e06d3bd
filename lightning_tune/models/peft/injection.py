"""Layers of the peft library, put into an encoder in place; it keeps its class and its names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peft import PeftConfig
    from transformers import PreTrainedModel


def inject(encoder: PreTrainedModel, config: PeftConfig) -> None:
    """Wrap the layers that a peft config names."""
    from peft import inject_adapter_in_model

    inject_adapter_in_model(config, encoder)
    del encoder.peft_config  # which transformers would take for adapters of its own


def merge_injected(encoder: PreTrainedModel) -> None:
    """Merge every injected layer into the one it wraps, and put that one back in its place."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    wrapped = [
        (name, module)
        for name, module in encoder.named_modules()
        if isinstance(module, BaseTunerLayer)
    ]
    for name, module in wrapped:
        module.merge(safe_merge=True)
        parent, _, child = name.rpartition(".")
        setattr(encoder.get_submodule(parent), child, module.get_base_layer())
