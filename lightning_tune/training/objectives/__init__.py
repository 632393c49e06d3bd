"""Objectives: how one batch becomes one loss, one idea a file."""

from lightning_tune.training.objectives.base import Objective
from lightning_tune.training.objectives.plain import Plain

__all__ = ["Objective", "Plain"]
