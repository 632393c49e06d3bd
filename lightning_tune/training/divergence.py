"""Stop before a loss or gradient that is no number reaches the weights, and name its rows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch
from torch import Tensor

from lightning_tune.errors import RunError
from lightning_tune.training.clipping import is_scaled

_NAMED = 8


class StepWatch:
    """The batches of the step to come: their losses and rows."""

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, Tensor]] = []

    def guard(self, loss: Tensor, rows: Tensor, *, poisoned: bool = True) -> Tensor:
        """Note a batch; return its loss, without a finite gradient where it is not finite itself.

        Gradients are what ranks share, so all of them see it, without a message of its own.

        Args:
            loss: A scalar.
            rows: Row numbers [examples] int64.
            poisoned: Whether the gradients may be spoiled; not where a scaler judges them (fp16).
        """
        found = loss.detach()
        self._batches.append((found, rows))
        return loss * torch.where(found.isfinite(), 1.0, torch.nan) if poisoned else loss

    def check(self, trainer: L.Trainer, norm: Tensor, lr: object) -> None:
        """Let the step be made if all is finite, on all ranks or on none.

        Args:
            trainer: The trainer.
            norm: Norm of the gradients, a scalar; not asked where a scaler leaves out such steps.
            lr: The peak learning rate, for the message.

        Raises:
            RunError: naming the rows.
        """
        scaled = is_scaled(trainer)
        judged = [loss for loss, _ in self._batches] if scaled else [norm]
        finite = all(bool(value.isfinite()) for value in judged)
        if trainer.world_size > 1 and scaled:
            finite = trainer.strategy.reduce_boolean_decision(finite, all=True)
        batches, self._batches = self._batches, []
        if not finite:
            raise RunError(
                f"training stopped at step {trainer.global_step + 1}: {_found(batches)}, on "
                f"{_rows(batches, trainer)}; no weight was changed by it. Lower model.lr "
                f"({lr} now) or look at these rows; {_kept(trainer)}."
            )


def _found(batches: Sequence[tuple[Tensor, Tensor]]) -> str:
    losses = [float(loss) for loss, _ in batches]
    broken = [loss for loss in losses if not math.isfinite(loss)]
    if broken:
        return f"the loss is {broken[0]}"
    return f"the loss is {statistics.mean(losses):.4g}, its gradient not finite"


def _rows(batches: Sequence[tuple[Tensor, Tensor]], trainer: L.Trainer) -> str:
    broken = [rows for loss, rows in batches if not loss.isfinite()]
    rows = sorted(int(row) for part in broken or [rows for _, rows in batches] for row in part)
    split = getattr(getattr(trainer, "datamodule", None), "train_data", None)
    named = [f"row {row}" if split is None else split.store.where(row) for row in rows[:_NAMED]]
    more = f" and {len(rows) - _NAMED} more rows" if len(rows) > _NAMED else ""
    return f"{', '.join(named)}{more}"


def _kept(trainer: L.Trainer) -> str:
    """Say which checkpoint is the newest; one that waits in memory is written on the way out."""
    kept = trainer.checkpoint_callbacks
    for one in kept:
        if getattr(one, "is_unwritten", False):
            return f"the last good checkpoint is {getattr(one, 'best_model_path', '')}"
    paths = [getattr(one, name, "") for one in kept for name in ("path", "best_model_path")]
    files = [Path(path) for path in paths if path and Path(path).is_file()]
    if not files:
        return "no checkpoint was written yet"
    return f"the last good checkpoint is {max(files, key=lambda file: file.stat().st_mtime)}"
