"""The callbacks that every run has unless the user brings one of the same kind."""

from __future__ import annotations

from collections.abc import Sequence

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.callbacks.progress.progress_bar import ProgressBar

from lightning_tune.errors import ConfigError, nearest
from lightning_tune.training.callbacks.average_best import AverageBest
from lightning_tune.training.callbacks.checkpointing import BestCheckpoint
from lightning_tune.training.callbacks.evaluation import EvaluationReport
from lightning_tune.training.callbacks.find_batch import FindBatch
from lightning_tune.training.callbacks.find_lr import FindLR
from lightning_tune.training.callbacks.last_checkpoint import LastCheckpoint
from lightning_tune.training.callbacks.predictions import WritePredictions
from lightning_tune.training.callbacks.progress import EpochLines, Progress
from lightning_tune.training.callbacks.robust_accuracy import RobustAccuracy
from lightning_tune.training.callbacks.throughput import Throughput
from lightning_tune.training.callbacks.weight_average import WeightAverage
from lightning_tune.training.module import TextClassifier

PATIENCE = 3
"""Validations without a better main metric before training stops."""

OPTIONAL = (AverageBest, RobustAccuracy, WeightAverage)
"""Callbacks for a config to add: imported, so that their bare names are known."""


def default_callbacks(
    module: TextClassifier,
    configured: Sequence[L.Callback] = (),
    *,
    progress: bool = True,
    checkpoints: bool = True,
    rates: bool = True,
) -> list[L.Callback]:
    """Return the configured callbacks with the default ones added whose kind is not among them.

    Early stopping and the best checkpoint watch the module's main metric in its right direction.

    Args:
        module: The module to be trained.
        configured: Callbacks that take the place of a default of their kind.
        progress: Whether to show a progress bar.
        checkpoints: Whether to write checkpoints.
        rates: Whether to log learning rates, which takes a trainer with a logger.

    Raises:
        ConfigError: if a configured callback watches a metric that nobody logs.
    """
    for callback in configured:
        _check_monitor(callback, module)
    monitor, mode = module.monitor, module.main_metric_mode
    defaults: list[tuple[type[L.Callback], L.Callback]] = [
        (FindBatch, FindBatch()),
        (FindLR, FindLR()),
        (EarlyStopping, _stopping(monitor, mode)),
        (Throughput, Throughput()),
        (EpochLines, EpochLines()),
        (EvaluationReport, EvaluationReport()),
        (WritePredictions, WritePredictions()),
    ]
    if rates:
        defaults.append((LearningRateMonitor, LearningRateMonitor("step")))
    if progress:
        defaults.append((ProgressBar, Progress()))
    if checkpoints:
        defaults.append((ModelCheckpoint, BestCheckpoint(monitor, mode)))
        defaults.append((LastCheckpoint, LastCheckpoint()))
    missing = [
        made for kind, made in defaults if not any(isinstance(own, kind) for own in configured)
    ]
    # The last checkpoint holds the state of all others, which have to be done by then.
    return sorted([*configured, *missing], key=lambda one: isinstance(one, LastCheckpoint))


def _stopping(monitor: str, mode: str) -> EarlyStopping:
    """Stop by validations alone: a run may end, by max_steps, before its first one."""
    return EarlyStopping(monitor, mode=mode, patience=PATIENCE, check_on_train_epoch_end=False)


def callbacks_of(trainer: L.Trainer) -> list[L.Callback]:
    """Return a trainer's callbacks, an attribute that its class does not declare."""
    found: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return found


def _check_monitor(callback: L.Callback, module: TextClassifier) -> None:
    """Refuse a mistyped metric before an epoch is spent; what a subclass logs is not known."""
    name = getattr(callback, "monitor", None)
    if name is None or type(module) is not TextClassifier:
        return
    known = ["val/loss", *map(str, module.val_metrics), "train/loss", "epoch", "step"]
    if name not in known:
        raise ConfigError(
            f"{type(callback).__name__}.monitor={name!r} is not logged; choose from "
            f"{', '.join(known)}.{nearest(name, known)}"
        )
