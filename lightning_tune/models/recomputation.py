"""Gradient checkpointing: keep what enters a layer, and compute its inside again for the gradients.

Chen et al. 2016, https://arxiv.org/abs/1604.06174. The forward pass is done twice; memory for one
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
    # Its name since transformers 5.2x; the older one warns there.
    newer = getattr(encoder, "activation_checkpointing_enable", None)
    enable: Any = newer or encoder.gradient_checkpointing_enable
    # The re-entrant kind gives no gradients to inputs_embeds by torch.autograd.grad, which
    # adversarial objectives need, and none at all where the embeddings are frozen.
    try:
        enable({"use_reentrant": False})
    except ValueError as err:
        raise ConfigError(
            f"model.gradient_checkpointing=true: {encoder.config.model_type} encoders cannot "
            "compute layers again; leave it out and lower data.batch_size instead."
        ) from err
