"""From logits to probabilities: the temperature of Guo et al. 2017, and thresholds per label.

On Calibration of Modern Neural Networks, https://arxiv.org/abs/1706.04599
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError
from lightning_tune.schema import LabelSet


@dataclass(frozen=True)
class Calibration:
    """What stands between logits and answers.

    Args:
        temperature: What logits are divided by, above 0; 1 changes nothing.
        thresholds: Above which probability each label of a multi-label task holds, in [0, 1]; None:
            0.5 for each.
    """

    temperature: float = 1.0
    thresholds: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ConfigError(
                f"temperature={self.temperature} must be finite and above 0; 1 changes nothing."
            )
        if wrong := [value for value in self.thresholds or () if not 0 <= value <= 1]:
            raise ConfigError(f"thresholds holds {wrong[0]}, which is outside [0, 1].")

    def check(self, labels: LabelSet) -> None:
        """Refuse what a task has no use for.

        Raises:
            ConfigError: if there are thresholds without a multi-label task, or not one a label, or
                a temperature in regression.
        """
        if self.thresholds is not None and labels.kind != "multilabel":
            raise ConfigError(f"thresholds are for multi-label tasks; this task is {labels.kind}.")
        if self.thresholds is not None and len(self.thresholds) != len(labels.names):
            raise ConfigError(
                f"{len(self.thresholds)} thresholds stand beside {len(labels.names)} labels; "
                "give one each."
            )
        if self.temperature != 1 and labels.kind == "regression":
            raise ConfigError(
                f"temperature={self.temperature} has no meaning in regression; leave it at 1."
            )


def apply(
    logits: NDArray[np.floating[Any]], labels: LabelSet, calibration: Calibration
) -> NDArray[np.float32]:
    """Turn logits [rows, outputs] into what is told of each row, in fp32.

    Returns:
        Class probabilities [rows, classes] (binary: two columns), independent ones [rows, labels]
        in multi-label tasks, scores [rows] in regression.

    >>> apply(np.array([[2.0, 0.0]]), LabelSet("binary", ("no", "yes")), Calibration(2.0)).round(3)
    array([[0.731, 0.269]], dtype=float32)
    """
    scaled = np.asarray(logits, np.float32)
    if labels.kind == "regression":
        return scaled[:, 0]
    if calibration.temperature != 1:
        scaled = scaled / np.float32(calibration.temperature)
    if labels.kind == "multilabel":
        # 1 / (1 + exp(-x)) without an overflow, on either side of 0.
        small = np.exp(-np.abs(scaled))
        shares: NDArray[np.float32] = np.where(scaled >= 0, 1 / (1 + small), small / (1 + small))
        return shares
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    found: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return found


def holds(probabilities: NDArray[np.floating[Any]], calibration: Calibration) -> NDArray[np.bool_]:
    """Return which labels of a multi-label task hold, [rows, labels].

    >>> holds(np.array([[0.4, 0.4]]), Calibration(thresholds=(0.3, 0.5)))
    array([[ True, False]])
    """
    limits = 0.5 if calibration.thresholds is None else np.array(calibration.thresholds, np.float32)
    return np.asarray(probabilities > limits)
