"""Labels and scores of one split, checked, and the 0/1 tables that metrics count in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.errors import DataError
from lightning_tune.schema import TaskKind

Floats = NDArray[np.float64]
Marks = NDArray[np.float32]
Weights = NDArray[np.float32]
"""[rows, resamples]: how often each resample drew each row."""


@dataclass(frozen=True)
class Predictions:
    """Labels and scores of one split.

    Args:
        kind: Task kind.
        targets: [rows] class indices, or numbers in regression; [rows, labels] 0/1 in multi-label.
        scores: [rows, classes] probabilities (binary: two columns); [rows] numbers in regression.
        positive: Index of a binary task's positive class.
        threshold: A label holds above this probability, in [0, 1]; multi-label only.

    Raises:
        DataError: if shapes do not agree, nothing is there, or a score is not finite.
    """

    kind: TaskKind
    targets: NDArray[Any]
    scores: Floats
    positive: int = 1
    threshold: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", np.asarray(self.targets))
        object.__setattr__(self, "scores", np.asarray(self.scores, dtype=np.float64))
        if not self.targets.size or self.targets.shape != self._expected_shape():
            raise DataError(
                f"scores of shape {self.scores.shape} do not fit {self.kind} targets of shape "
                f"{self.targets.shape}; give one row of scores an example, at least one."
            )
        broken = int((~np.isfinite(self.scores)).sum())
        if broken:
            raise DataError(
                f"{broken} of {self.scores.size} scores are not finite; the model diverged: "
                "lower model.lr, or train in another precision."
            )

    def _expected_shape(self) -> tuple[int, ...]:
        whole = self.kind in ("multilabel", "regression")
        return self.scores.shape if whole else self.scores.shape[:-1]

    @property
    def rows(self) -> int:
        """Number of examples."""
        return len(self.targets)

    @cached_property
    def truth(self) -> Marks:
        """The labels as 0/1, [rows, classes]."""
        if self.kind == "multilabel":
            return self.targets.astype(np.float32)
        return self._one_hot(self.targets.astype(np.int64))

    @cached_property
    def answers(self) -> Marks:
        """The answers as 0/1, [rows, classes]: the likeliest class, or all above the threshold."""
        if self.kind == "multilabel":
            return (self.scores > self.threshold).astype(np.float32)
        return self._one_hot(self.scores.argmax(axis=1))

    def _one_hot(self, indices: NDArray[np.int64]) -> Marks:
        marked = np.zeros(self.scores.shape, dtype=np.float32)
        marked[np.arange(len(indices)), indices] = 1
        return marked


def ratio(upper: Floats, lower: Floats, otherwise: float = 0.0) -> Floats:
    """Divide, with a stated value where the divisor is 0.

    >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0])).tolist()
    [0.5, 0.0]
    """
    return np.divide(upper, lower, out=np.full_like(upper, otherwise), where=lower > 0)


def once(rows: int) -> Weights:
    """Return the weights that count every row once, [rows, 1]."""
    return np.ones((rows, 1), dtype=np.float32)
