"""What a person sees during training: a bar with rates on a terminal, a line after each epoch."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import (
    CustomTimeColumn,
    ProcessingSpeedColumn,
)
from rich.progress import BarColumn, Task
from rich.text import Text

from lightning_tune.training.callbacks.throughput import Throughput
from lightning_tune.training.module import TextClassifier


class TimeColumn(CustomTimeColumn):
    """Time since the bar began, and what the whole training still takes, where that is known.

    Args:
        trainer: Whose training it is.
        style: Of the text.
    """

    def __init__(self, trainer: L.Trainer, style: Any) -> None:
        super().__init__(style)
        self._throughput = throughput_of(trainer)

    def render(self, task: Task) -> Text:
        """Return both times; the bar's own rest where the training's is not known."""
        left = None if self._throughput is None else self._throughput.seconds_left
        if left is None:
            bare: Text = super().render(task)
            return bare
        elapsed = (task.finished_time if task.finished else task.elapsed) or 0.0
        return Text(f"{clock_time(elapsed)} • {clock_time(left)} left", style=self.style)


def clock_time(seconds: float) -> str:
    """Show a time as a clock would.

    >>> clock_time(59.6), clock_time(3723)
    ('1:00', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def throughput_of(trainer: L.Trainer) -> Throughput | None:
    """Return the callback that measures a training."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((each for each in callbacks if isinstance(each, Throughput)), None)


class Progress(RichProgressBar):
    """Rich's progress bar with loss, main metric, samples/s, tokens/s, MFU and the time left.

    Where the output is no terminal (a log file, CI) the bar is left out.
    """

    def __init__(self) -> None:
        super().__init__(leave=False)
        if not sys.stdout.isatty():
            self.disable()

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        """Return the columns: a short bar, and samples a second instead of batches a second."""
        columns = []
        for column in super().configure_columns(trainer):
            if isinstance(column, BarColumn):
                column.bar_width = 16
            if isinstance(column, CustomTimeColumn):
                columns.append(TimeColumn(trainer, column.style))
            elif not isinstance(column, ProcessingSpeedColumn):
                columns.append(column)
        return columns

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Return what stands beside the bar."""
        items: dict[str, Any] = dict(super().get_metrics(trainer, pl_module))
        items.pop("v_num", None)
        if "train/loss" in trainer.callback_metrics:
            items = {"loss": f"{float(trainer.callback_metrics['train/loss']):.3f}", **items}
        throughput = throughput_of(trainer)
        if throughput is not None and throughput.latest:
            items["samples/s"] = f"{throughput.latest['samples_per_second']:.0f}"
            items["tokens/s"] = f"{throughput.latest['tokens_per_second']:.0f}"
            if "mfu" in throughput.latest:
                items["MFU"] = f"{throughput.latest['mfu']:.0%}"
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
            print(f"{self._line(row, pl_module)}{_pace(trainer)}", flush=True)

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


def _pace(trainer: L.Trainer) -> str:
    """Return samples a second and the time left, for the end of a line; "" where unknown."""
    throughput = throughput_of(trainer)
    if throughput is None or not throughput.means:
        return ""
    left = throughput.seconds_left
    rest = f", {left:.0f} s left" if left and round(left) else ""
    return f", {throughput.means['samples_per_second']:.0f} samples/s{rest}"
