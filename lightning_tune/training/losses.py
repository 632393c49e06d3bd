"""The loss of logits against labels: cross-entropy, binary cross-entropy or squared error.

Focal loss: Lin et al. 2017, https://arxiv.org/abs/1708.02002.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Batch
from lightning_tune.schema import LabelSet, TaskKind


@dataclass(frozen=True)
class LossSettings:
    """Changes to the loss that the task kind implies.

    Args:
        class_weights: One factor a label, in the order of the label set; "auto" weighs each class
            by rows / (classes * rows of the class) of train, and in multi-label tasks a label's
            positive side by its negative rows over its positive rows; null weighs all alike.
        label_smoothing: Share of the target spread over all classes, in [0, 1).
        focal_gamma: Exponent of focal loss, at least 0; 0 is plain cross-entropy.
    """

    class_weights: Literal["auto"] | list[float] | None = None
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"loss.label_smoothing={self.label_smoothing} is outside [0, 1).")
        if not self.focal_gamma >= 0:
            raise ConfigError(
                f"loss.focal_gamma={self.focal_gamma} is below 0; use 0 or more (2 is usual)."
            )

    def check(self, labels: LabelSet) -> None:
        """Check the settings against the task.

        Raises:
            ConfigError: if they do not fit it.
        """
        if labels.kind == "regression" and self != LossSettings():
            raise ConfigError(
                "loss.* settings are for classes; a regression task minimises squared error: "
                "drop them."
            )
        if labels.kind == "multilabel" and self.label_smoothing:
            raise ConfigError(
                f"loss.label_smoothing={self.label_smoothing} is for one class a text; this task "
                "is multi-label: set it to 0."
            )
        weights = self.class_weights
        if not isinstance(weights, list):
            return
        if len(weights) != labels.num_outputs:
            names = ", ".join(labels.names[:8])
            raise ConfigError(
                f"loss.class_weights has {len(weights)} values for {labels.num_outputs} labels; "
                f"give one each, in the order {names}{'' if len(labels.names) <= 8 else ' …'}."
            )
        if not min(weights) >= 0 or not max(weights) > 0:
            raise ConfigError(
                f"loss.class_weights={weights} must be 0 or more, one of them above 0."
            )


def auto_weights(kind: TaskKind, counts: Sequence[int], rows: int) -> list[float]:
    """Return the weights that balance classes.

    >>> auto_weights("multiclass", [1, 3], 4)
    [2.0, 0.6666666666666666]
    >>> auto_weights("multilabel", [1, 3], 4)
    [3.0, 0.3333333333333333]
    """
    if kind == "multilabel":
        return [(rows - count) / max(count, 1) for count in counts]
    return [rows / (len(counts) * max(count, 1)) for count in counts]


class Loss(nn.Module):
    """Mean loss over the examples of a batch, each by its sample weight where rows carry one.

    Args:
        kind: The task kind.
        settings: Smoothing and focal exponent.
        class_weights: One factor a label, or None.
    """

    class_weights: Tensor | None

    def __init__(
        self, kind: TaskKind, settings: LossSettings, class_weights: Sequence[float] | None
    ) -> None:
        super().__init__()
        self.kind = kind
        self.settings = settings
        weights = None if class_weights is None else torch.tensor(class_weights).float()
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the scalar loss.

        With class weights the mean is over the weights of the targets, as in
        torch.nn.CrossEntropyLoss.
        """
        losses, weights = self.per_example(logits, batch["labels"])
        sample_weights = batch.get("weights")
        if sample_weights is not None:
            losses, weights = losses * sample_weights, weights * sample_weights
        # A batch of zero weights alone has the loss 0.
        return losses.sum() / weights.sum().clamp_min(torch.finfo(losses.dtype).tiny)

    def per_example(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return each example's weighted loss [examples] and its weight [examples]."""
        if self.kind == "regression":
            losses = functional.mse_loss(logits.squeeze(1), targets, reduction="none")
        elif self.kind == "multilabel":
            losses = self._binary(logits, targets).mean(dim=1)
        else:
            losses = self._categorical(logits, targets)
            if self.class_weights is not None:
                return losses, self.class_weights[targets]
        return losses, torch.ones_like(losses)

    def _categorical(self, logits: Tensor, targets: Tensor) -> Tensor:
        losses = functional.cross_entropy(
            logits,
            targets,
            weight=self.class_weights,
            label_smoothing=self.settings.label_smoothing,
            reduction="none",
        )
        of_target = logits.log_softmax(dim=1).gather(1, targets.unsqueeze(1)).squeeze(1)
        return self._focal(losses, of_target)

    def _binary(self, logits: Tensor, targets: Tensor) -> Tensor:
        losses = functional.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=self.class_weights, reduction="none"
        )
        of_target = functional.logsigmoid(torch.where(targets > 0.5, logits, -logits))
        return self._focal(losses, of_target)

    def _focal(self, losses: Tensor, log_of_target: Tensor) -> Tensor:
        """Scale each loss by (1 - p) ** gamma, p the probability of the target."""
        if not self.settings.focal_gamma:
            return losses
        # The floor keeps the gradient finite where p reaches 1 and gamma is below 1.
        missing = (-log_of_target.expm1()).clamp_min(torch.finfo(losses.dtype).eps)
        return losses * missing**self.settings.focal_gamma
