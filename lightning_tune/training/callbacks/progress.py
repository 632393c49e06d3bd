"""What a person sees during training: a bar with rates on a terminal, a line after each epoch."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import ProcessingSpeedColumn
from rich.progress import BarColumn

from lightning_tune.training.callbacks.throughput import Throughput
from lightning_tune.training.module import TextClassifier


class Progress(RichProgressBar):
    """Rich's progress bar with loss, main metric, samples/s and tokens/s.

    Where the output is no terminal (a log file, CI) the bar is left out.
    """

    def __init__(self) -> None:
        super().__init__(leave=False)
        if not sys.stdout.isatty():
            self.disable()

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        """Return the columns: a short bar, and samples a second instead of batches a second."""
        columns = super().configure_columns(trainer)
        for column in columns:
            if isinstance(column, BarColumn):
                column.bar_width = 16
        return [column for column in columns if not isinstance(column, ProcessingSpeedColumn)]

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return what stands beside the bar."""
        items: dict[str, Any] = dict(super().get_metrics(trainer, pl_module))
        items.pop("v_num", None)
        if "train/loss" in trainer.callback_metrics:
            items = {"loss": f"{float(trainer.callback_metrics['train/loss']):.3f}", **items}
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, Throughput) and callback.samples_per_second:
                items["samples/s"] = f"{callback.samples_per_second:.0f}"
                items["tokens/s"] = f"{callback.tokens_per_second:.0f}"
        return items


class EpochLines(L.Callback):
    """Print a line after each validation of a fit, and keep its values as the curves of the report.

    Attributes:
        history: One dictionary a validation: epoch, step, seconds, train/loss
            (mean since the last), and the validation's metrics.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self._loss: Any = 0.0
        self._batches = 0
        self._started = 0.0
        self._best: float | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add the step's loss, on its device."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss is not None:
            # Lightning divides the loss that it returns by the batches of a step.
            self._loss += loss.detach() * trainer.accumulate_grad_batches
            self._batches += 1

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a row and print it."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or not self._batches:
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {
            "epoch": float(trainer.current_epoch + 1),
            "step": float(trainer.global_step),
            "seconds": time.perf_counter() - self._started,
            "train/loss": float(self._loss) / self._batches,
            **{name: value for name, value in values.items() if name.startswith("val/")},
        }
        self._loss, self._batches = 0.0, 0
        self.history.append(row)
        if trainer.is_global_zero and isinstance(pl_module, TextClassifier):
            print(self._line(row, pl_module), flush=True)

    def _line(self, row: dict[str, float], module: TextClassifier) -> str:
        value = row.get(module.monitor, float("nan"))
        lower = module.main_metric_mode == "min"
        better = self._best is None or (value < self._best if lower else value > self._best)
        if better:
            self._best = value
        return (
            f"epoch {row['epoch']:.0f}  step {row['step']:.0f}  "
            f"train/loss {row['train/loss']:.4f}  "
            f"val/loss {row.get('val/loss', float('nan')):.4f}  {module.monitor} {value:.4f}"
            f"{' *' if better else '  '} {row['seconds']:.0f} s"
        )

    def state_dict(self) -> dict[str, Any]:
        """Keep the curves across a resume."""
        return {"history": self.history, "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the curves."""
        self.history, self._best = list(state_dict["history"]), state_dict["best"]
