"""An exponential moving average of the weights, which answers instead of the weights themselves.

Polyak and Juditsky 1992, https://doi.org/10.1137/0330046; the moving form and its warm-up as in
Tarvainen and Valpola 2017, https://arxiv.org/abs/1703.01780.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lightning_tune.errors import ConfigError
from lightning_tune.training.strategies import require_whole_weights

logger = logging.getLogger(__name__)

RAW_KEY = "raw_weights"
"""Where a checkpoint keeps the weights under training; its state_dict holds their average."""


class WeightAverage(L.Callback):
    """Validate, keep and test a moving average of the weights: average ← d · average + (1 - d) · w.

    It is updated after optimizer steps and covers what is trained. Until the first update the
    weights themselves answer. Of a checkpoint, `state_dict` holds the average, which is what is
    loaded, tested and exported; a resumed run finds the weights under training beside it and goes
    on exactly.

    Other than Lightning's EMAWeightAveraging it keeps a copy of what is trained alone, in float32;
    it does not validate the untrained weights while it waits for its start; it updates all tensors
    in one call; and it leaves the weights as they were when a validation fails.

    Args:
        decay: The factor d a step, in [0, 1); 0.999 remembers about a thousand steps.
        start_step: Optimizer steps before the first update, at least 0.
        start_epoch: Whole epochs before the first update, at least 0.
        warmup: Whether d rises with the number n of updates, as min(d, (1 + n) / (10 + n)), so that
            a short run does not remember where it began.
        every: Optimizer steps from one update to the next, at least 1; d is meant for one step.

    Raises:
        ConfigError: if a setting is out of its range, or the strategy splits the weights.
    """

    def __init__(
        self,
        decay: float = 0.999,
        start_step: int = 0,
        start_epoch: int = 0,
        warmup: bool = True,
        every: int = 1,
    ) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(
                f"WeightAverage.decay={decay} is outside [0, 1); 0.999 is usual, 0 averages "
                "nothing."
            )
        for name, value, least in (
            ("start_step", start_step, 0),
            ("start_epoch", start_epoch, 0),
            ("every", every, 1),
        ):
            if value < least:
                raise ConfigError(f"WeightAverage.{name}={value} is below {least}; raise it.")
        self.decay = decay
        self.start_step = start_step
        self.start_epoch = start_epoch
        self.warmup = warmup
        self.every = every
        self.updates = 0
        self._seen_steps = 0
        self._average: dict[str, Tensor] = {}
        self._held: dict[str, Tensor] = {}

    @property
    def average(self) -> Mapping[str, Tensor]:
        """The averaged weights by name; empty before the first update."""
        return self._average

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Start anew with each fit; refuse strategies that leave a rank only a part of a weight."""
        if stage != "fit":
            return
        require_whole_weights(trainer, "WeightAverage")
        self.updates = self._seen_steps = 0
        self._average, self._held = {}, {}

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Update the average where an optimizer step was made."""
        step = trainer.global_step
        if step == self._seen_steps:  # gradients are being accumulated
            return
        self._seen_steps = step
        waited = step - self.start_step
        if waited >= 1 and trainer.current_epoch >= self.start_epoch and step % self.every == 0:
            self._update(trained(pl_module))

    @torch.no_grad()
    def _update(self, weights: Mapping[str, Tensor]) -> None:
        if not self._average:
            self._average = {name: weight.float().clone() for name, weight in weights.items()}
        else:
            averages = self._on_devices_of(weights)
            decay = self._decay_now() ** self.every
            update: Any = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            update(averages, [weight.float() for weight in weights.values()], self.updates)
        self.updates += 1

    def _decay_now(self) -> float:
        n = self.updates * self.every
        return min(self.decay, (1 + n) / (10 + n)) if self.warmup else self.decay

    def _on_devices_of(self, weights: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the averages in the order of the weights; a checkpoint's come on the CPU."""
        for name, weight in weights.items():
            self._average[name] = self._average[name].to(weight.device)
        return [self._average[name] for name in weights]

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let the average answer."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking and self._average:
            self._swap_in(pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Bring the weights under training back."""
        self._swap_out(pl_module)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Bring the weights under training back, whatever ended the validation."""
        self._swap_out(pl_module)

    @torch.no_grad()
    def _swap_in(self, module: L.LightningModule) -> None:
        weights = trained(module)
        self._held = {name: weight.clone() for name, weight in weights.items()}
        for weight, average in zip(weights.values(), self._on_devices_of(weights), strict=True):
            weight.copy_(average)

    @torch.no_grad()
    def _swap_out(self, module: L.LightningModule) -> None:
        held, self._held = self._held, {}
        weights = trained(module) if held else {}
        for name, weight in weights.items():
            weight.copy_(held[name])

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the average in the model; the best epoch's, where checkpoints are kept."""
        if self._average:
            self._swap_in(pl_module)
        self._average, self._held = {}, {}

    def state_dict(self) -> dict[str, Any]:
        """Count the updates and the steps."""
        return {"updates": self.updates, "seen_steps": self._seen_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count on."""
        self.updates, self._seen_steps = state_dict["updates"], state_dict["seen_steps"]

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the average into the checkpoint's state_dict, and the weights beside it."""
        if not self._average:
            return
        current = self._held or trained(pl_module)
        state = dict(checkpoint["state_dict"])
        checkpoint[RAW_KEY] = {name: weight.detach() for name, weight in current.items()}
        checkpoint["state_dict"] = state | self._average

    @torch.no_grad()
    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take average and weights up again; a fit alone needs them apart."""
        raw = checkpoint.get(RAW_KEY)
        if trainer.state.fn != "fit" or raw is None:
            return
        weights = trained(pl_module)
        state = checkpoint["state_dict"]
        self._average = {name: state[name].float().clone() for name in weights}
        for name, weight in weights.items():
            weight.copy_(raw[name])


def trained(module: L.LightningModule) -> dict[str, Tensor]:
    """Return the weights under training by name."""
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}


def without_average(trainer: L.Trainer, checkpoint: dict[str, Any]) -> None:
    """Let a run that leaves its WeightAverage out go on from the weights under training."""
    raw = checkpoint.get(RAW_KEY)
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    if raw is None or any(isinstance(one, WeightAverage) for one in callbacks):
        return
    checkpoint["state_dict"] = checkpoint["state_dict"] | raw
    logger.warning(
        "the checkpoint holds an average of the weights, and trainer.callbacks no WeightAverage: "
        "the run goes on without it."
    )
