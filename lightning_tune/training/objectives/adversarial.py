"""What the adversarial objectives share: settings of the perturbation, and the facts of a fit."""

# No `from __future__ import annotations`: subclasses inherit the types of these fields as objects,
# since their names are not known in the subclasses' modules.

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import torch
from torch import Tensor

from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.training.objectives.base import FitContext, Objective, Scale, unscaled
from lightning_tune.training.objectives.perturbation import (
    Ball,
    Norm,
    median_norm,
    movable,
    special_ids_of,
    word_table,
)
from lightning_tune.training.objectives.ranges import require, require_clean_epochs, require_one_of


@dataclass
class Adversarial(Objective):
    """An objective that perturbs the word embeddings of a batch, special tokens and padding aside.

    Args:
        radius: Greatest size of a perturbation, as a share of the median l2 norm of the encoder's
            word embeddings, at least 0; 0 perturbs nothing.
        norm: What the radius limits: l2, the norm of a whole text (of a window of it, where texts
            are read in windows); l2_token, that of each token; linf, each component, in shares of
            the median norm over the square root of the width.
        clean_epochs: Epochs at the beginning in which the plain loss is minimised, at least 0.
    """

    radius: float = 0.1
    norm: Norm = "l2"
    clean_epochs: int = 0
    _unit: float = field(default=0.0, init=False, repr=False, compare=False)
    _special_ids: Tensor = field(
        default_factory=lambda: torch.empty(0), init=False, repr=False, compare=False
    )
    scale: Scale = field(default_factory=lambda: unscaled, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        finite = 0 <= self.radius < math.inf
        require(finite, "radius", self.radius, "is not a number from 0 on; 0.1 is the default.")
        require_one_of(get_args(Norm), "norm", self.norm)
        require_clean_epochs(self.clean_epochs)

    def check(self, classifier: Classifier) -> None:
        """Refuse an encoder without word embeddings."""
        word_table(classifier)

    def prepare(self, fit: FitContext) -> None:
        """Measure the word embeddings, once a fit: they hardly move while it lasts."""
        self._unit = median_norm(fit.classifier)
        ids = fit.special_ids
        if ids is None:
            ids = special_ids_of(fit.classifier.encoder.config)
        device = next(fit.classifier.parameters()).device
        self._special_ids = torch.tensor(sorted(ids), dtype=torch.int64, device=device)
        self.scale = fit.scale

    def state_dict(self) -> dict[str, Any]:
        """Return the norm that the radius refers to: a run that is resumed keeps it."""
        return {"unit": self._unit} if self._unit else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the norm of the run that is resumed."""
        self._unit = state.get("unit", self._unit)

    def ball(self, classifier: Classifier, batch: Batch) -> Ball:
        """Return the perturbations that are allowed in a batch."""
        if not self._unit:  # called without a trainer
            self.prepare(FitContext(classifier))
        return Ball(self.radius * self._unit, self.norm, movable(batch, self._special_ids))
