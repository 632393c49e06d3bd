"""Objectives: how one batch becomes one loss, one idea a file."""

from lightning_tune.training.objectives.base import FitContext, Objective
from lightning_tune.training.objectives.distillation import Distillation
from lightning_tune.training.objectives.fgm import FGM
from lightning_tune.training.objectives.fgm_rdrop import FGMRDrop
from lightning_tune.training.objectives.freelb import FreeLB
from lightning_tune.training.objectives.pgd import PGD
from lightning_tune.training.objectives.plain import Plain
from lightning_tune.training.objectives.rdrop import RDrop
from lightning_tune.training.objectives.smart import SMART

__all__ = [
    "FGM",
    "PGD",
    "SMART",
    "Distillation",
    "FGMRDrop",
    "FitContext",
    "FreeLB",
    "Objective",
    "Plain",
    "RDrop",
]
