"""How long a training still takes: its measured pace, and what is left of batches and validations.

Early stopping is not foreseen: an estimate is the time at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import lightning as L

from lightning_tune.training.meter import Amounts


@dataclass(frozen=True)
class Plan:
    """What a training is going to do, on this process.

    Args:
        batches: Batches until its end, those of an earlier start included.
        validations: Validations until its end, likewise.
        batch_tokens: Mean real tokens of a batch; None where the data does not say, and batches
            are taken as equal.
    """

    batches: int
    validations: int
    batch_tokens: float | None = None

    def seconds_left(
        self, began: int, done: Amounts, first: Amounts, validated: int, paused: float
    ) -> float | None:
        """Return how long it still takes.

        Tokens measure the work where their number is known: batches may be of any size.

        Args:
            began: Batches before this start, 0 unless a run was resumed.
            done: What this start has done.
            first: The part of it that is left out of the pace: a first batch warms up.
            validated: Validations that this start has done.
            paused: Seconds that these took, with what is written after them.

        Returns:
            None before there is a pace.
        """
        work, mean = _work(done, self.batch_tokens), self.batch_tokens or 1.0
        paced = work - _work(first, self.batch_tokens)
        if paced <= 0:
            return None
        left = max(0.0, (self.batches - began) * mean - work)
        before = self.validations * began // max(1, self.batches)
        validations = max(0, self.validations - before - validated)
        pause = paused / validated if validated else 0.0
        return left * (done.seconds - first.seconds) / paced + validations * pause


def _work(amounts: Amounts, batch_tokens: float | None) -> float:
    return amounts.batches if batch_tokens is None else amounts.tokens


def plan_of(trainer: L.Trainer) -> Plan | None:
    """Return what a trainer is about to do; None where it has no end."""
    an_epoch = trainer.num_training_batches
    epochs = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    steps = math.inf if trainer.max_steps == -1 else trainer.max_steps
    batches = min((epochs or 0) * an_epoch, steps * trainer.accumulate_grad_batches)
    if not math.isfinite(batches):
        return None
    return Plan(int(batches), _validations(trainer, int(batches)), _batch_tokens(trainer))


def _validations(trainer: L.Trainer, batches: int) -> int:
    every = trainer.val_check_batch
    if not trainer.enable_validation or not every or not math.isfinite(every):
        return 0
    if trainer.check_val_every_n_epoch is None:
        return batches // int(every)
    an_epoch = int(trainer.num_training_batches)
    epochs = batches // an_epoch // trainer.check_val_every_n_epoch
    return epochs * (an_epoch // int(every))


def _batch_tokens(trainer: L.Trainer) -> float | None:
    """Return the mean of all batches of an epoch; None where only some of them are used."""
    data: Any = getattr(trainer, "datamodule", None)
    lengths = getattr(getattr(data, "train_data", None), "lengths", None)
    loader: Any = trainer.train_dataloader
    an_epoch = trainer.num_training_batches
    if lengths is None or not hasattr(loader, "__len__") or len(loader) != an_epoch:
        return None
    return float(lengths.sum()) / (int(an_epoch) * trainer.world_size)
