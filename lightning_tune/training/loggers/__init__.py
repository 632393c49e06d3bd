"""Loggers: metrics.csv that survives a resume, TensorBoard, and W&B that never ends a training."""

from lightning_tune.training.loggers.metrics_csv import MetricsCSV
from lightning_tune.training.loggers.tensorboard import TensorBoard
from lightning_tune.training.loggers.wandb import WandbRun

__all__ = ["MetricsCSV", "TensorBoard", "WandbRun"]
