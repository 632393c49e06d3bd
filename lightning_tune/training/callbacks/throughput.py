"""Samples and real tokens a second, padding left out, logged beside the loss."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import torch

from lightning_tune.models.classifier import Batch


class Throughput(L.Callback):
    """Log throughput/samples_per_second, throughput/tokens_per_second and throughput/padding.

    Counts are of this process and cover the steps since the last log; validation is left out.
    """

    def __init__(self) -> None:
        self.samples_per_second = 0.0
        self.tokens_per_second = 0.0
        self._restart(0.0)

    def _restart(self, now: float) -> None:
        self._samples = 0
        self._cells = 0
        self._tokens: torch.Tensor | None = None
        self._spent = 0.0
        self._started = now

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._restart(time.perf_counter())

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock."""
        self._spent += time.perf_counter() - self._started

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Run the clock again."""
        self._started = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count a batch; log where Lightning logs. Token counts stay on the device until then."""
        mask = batch["attention_mask"]
        self._samples += len(batch["index"])
        self._cells += mask.numel()
        tokens = mask.sum()
        self._tokens = tokens if self._tokens is None else self._tokens + tokens
        if trainer.global_step % max(1, trainer.log_every_n_steps):  # type: ignore[attr-defined]
            return
        now = time.perf_counter()
        seconds = self._spent + now - self._started
        real = int(self._tokens)
        self.samples_per_second = self._samples / seconds
        self.tokens_per_second = real / seconds
        values = {
            "throughput/samples_per_second": self.samples_per_second,
            "throughput/tokens_per_second": self.tokens_per_second,
            "throughput/padding": 1 - real / self._cells,
        }
        pl_module.log_dict(values, batch_size=1)
        self._restart(now)
