"""Gradient checkpointing: keep what enters a layer, and compute its inside again for the gradients.

Chen et al. 2016, https://arxiv.org/abs/1604.06174. About a third more time, and memory for one
layer's inside instead of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning_tune.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def recompute_layers(encoder: PreTrainedModel) -> None:
    """Let an encoder compute its layers again in the backward pass, with the same dropout.

    Raises:
        ConfigError: if the family cannot.
    """
    if not encoder.supports_gradient_checkpointing:
        raise ConfigError(
            f"model.gradient_checkpointing=true: {encoder.config.model_type} encoders cannot "
            "compute layers again; leave it out and lower data.batch_size instead."
        )
    # The re-entrant kind gives no gradients to inputs_embeds by torch.autograd.grad, which
    # adversarial objectives need, and none at all where the embeddings are frozen.
    enable: Any = encoder.gradient_checkpointing_enable  # untyped in transformers
    enable(gradient_checkpointing_kwargs={"use_reentrant": False})
