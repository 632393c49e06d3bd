"""The callbacks that every run has unless the user brings one of the same kind."""

from __future__ import annotations

from collections.abc import Sequence

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.callbacks.progress.progress_bar import ProgressBar

from lightning_tune.training.callbacks.checkpointing import BestCheckpoint
from lightning_tune.training.callbacks.evaluation import EvaluationReport
from lightning_tune.training.callbacks.predictions import WritePredictions
from lightning_tune.training.callbacks.progress import EpochLines, Progress
from lightning_tune.training.callbacks.throughput import Throughput
from lightning_tune.training.module import TextClassifier

PATIENCE = 3
"""Validations without a better main metric before training stops."""


def default_callbacks(
    module: TextClassifier, configured: Sequence[L.Callback] = (), *, progress: bool = True
) -> list[L.Callback]:
    """Return the configured callbacks with the default ones added whose kind is not among them.

    Early stopping and the best checkpoint watch the module's main metric in its right direction.

    Args:
        module: The module to be trained.
        configured: Callbacks that take the place of a default of their kind.
        progress: Whether to show a progress bar.
    """
    monitor, mode = module.monitor, module.main_metric_mode
    defaults: list[tuple[type[L.Callback], L.Callback]] = [
        (EarlyStopping, EarlyStopping(monitor, mode=mode, patience=PATIENCE)),
        (ModelCheckpoint, BestCheckpoint(monitor, mode)),
        (LearningRateMonitor, LearningRateMonitor("step")),
        (Throughput, Throughput()),
        (EpochLines, EpochLines()),
        (EvaluationReport, EvaluationReport()),
        (WritePredictions, WritePredictions()),
    ]
    if progress:
        defaults.append((ProgressBar, Progress()))
    missing = [made for kind, made in defaults if not any(isinstance(own, kind) for own in configured)]
    return [*configured, *missing]


def callbacks_of(trainer: L.Trainer) -> list[L.Callback]:
    """Return a trainer's callbacks, an attribute that its class does not declare."""
    found: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return found
