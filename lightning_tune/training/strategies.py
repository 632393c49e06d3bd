"""What a strategy does with the weights."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from lightning_tune.errors import ConfigError


def holds_whole_weights(trainer: L.Trainer) -> bool:
    """Whether each device has every weight as a whole: FSDP and its like split them."""
    return isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)


def require_whole_weights(trainer: L.Trainer, what: str) -> None:
    """Refuse a strategy that splits weights, for what needs them whole.

    Raises:
        ConfigError: naming the strategy.
    """
    if not holds_whole_weights(trainer):
        raise ConfigError(
            f"{what} needs whole weights on each device, which {type(trainer.strategy).__name__} "
            "splits; leave it out, or use one device or trainer.strategy=ddp."
        )
