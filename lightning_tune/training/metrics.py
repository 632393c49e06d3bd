"""Metrics by task kind, from torchmetrics, under the field's names."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric, MetricCollection
from torchmetrics import classification as classes
from torchmetrics import regression as scores
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.utilities import dim_zero_cat

from lightning_tune.errors import ConfigError, nearest
from lightning_tune.models.specs import import_class
from lightning_tune.schema import MAIN_METRIC, LabelSet, TaskKind


@dataclass(frozen=True)
class MetricSpec:
    """A metric of the user's own.

    Args:
        class_path: Dotted path of a torchmetrics.Metric subclass; it is updated with probabilities
            [examples, labels] (binary: of the positive class [examples]; regression: scores
            [examples]) and targets.
        init_args: Its arguments.
    """

    class_path: str
    init_args: dict[str, Any] = field(default_factory=dict)


def build_metrics(labels: LabelSet, extra: Mapping[str, MetricSpec]) -> MetricCollection:
    """Build the metrics of a task; clone them with a prefix for each split.

    Raises:
        ConfigError: if a metric of the user's own does not exist or has a name that is taken.
    """
    metrics = _standard(labels)
    for name, spec in extra.items():
        if name in metrics or name == "loss" or "/" in name:
            raise ConfigError(
                f"metrics.{name}: the name is taken or holds a slash; choose another one."
            )
        try:
            metrics[name] = import_class(spec.class_path, Metric)(**spec.init_args)
        except ConfigError as err:
            raise ConfigError(f"metrics.{name}: {err}") from err
        except (TypeError, ValueError) as err:
            raise ConfigError(
                f"metrics.{name}: {spec.class_path} refuses its init_args: {err}"
            ) from err
    return MetricCollection(dict(metrics), compute_groups=True)


def main_metric(kind: TaskKind, named: str | None, available: MetricCollection) -> str:
    """Return the metric that chooses the best epoch: the one the config names, or the task kind's.

    Raises:
        ConfigError: if there is no metric of this name.
    """
    name = named or MAIN_METRIC[kind]
    known = [*map(str, available.keys(keep_base=True)), "loss"]
    if name not in known:
        raise ConfigError(
            f"model.main_metric={name!r} is not computed in a {kind} task; choose from "
            f"{', '.join(known)}.{nearest(name, known)}"
        )
    return name


def direction(name: str, metrics: MetricCollection) -> Literal["min", "max"]:
    """Whether a metric is to be made small or large."""
    if name == "loss":
        return "min"
    return "min" if metrics[name].higher_is_better is False else "max"


def probabilities(logits: Tensor, kind: TaskKind) -> Tensor:
    """Turn logits [n, outputs] into what metrics and reports read, in fp32.

    Returns:
        Class probabilities [n, classes] (binary: two columns), independent ones [n, labels] in
        multi-label tasks, scores [n] in regression.
    """
    logits = logits.float()
    if kind == "regression":
        return logits.squeeze(1)
    return logits.sigmoid() if kind == "multilabel" else logits.softmax(dim=1)


def update(metrics: MetricCollection, labels: LabelSet, logits: Tensor, targets: Tensor) -> None:
    """Count a batch: binary metrics see the probability of the positive class alone."""
    scored = probabilities(logits, labels.kind)
    if labels.kind == "binary":
        scored = scored[:, labels.positive_index]
        targets = targets == labels.positive_index
    metrics.update(scored, targets if labels.kind == "regression" else targets.long())


def _standard(labels: LabelSet) -> dict[str, Metric]:
    count = labels.num_outputs
    if labels.kind == "regression":
        with warnings.catch_warnings():  # that Spearman keeps all rows, which reports do anyway
            warnings.filterwarnings("ignore", "Metric `SpearmanCorrcoef` will save all targets")
            spearman = scores.SpearmanCorrCoef()
        return {
            "pearson": scores.PearsonCorrCoef(),
            "spearman": spearman,
            "mae": scores.MeanAbsoluteError(),
        }
    if labels.kind == "multilabel":
        return {
            "f1_macro": classes.MultilabelF1Score(count, average="macro"),
            "f1_micro": classes.MultilabelF1Score(count, average="micro"),
            "precision": classes.MultilabelPrecision(count, average="macro"),
            "recall": classes.MultilabelRecall(count, average="macro"),
            "map": _MeanOverLabels(count, binary_average_precision, needs_others=False),
            "auroc": _MeanOverLabels(count, binary_auroc, needs_others=True),
        }
    if labels.kind == "binary":
        return {
            "accuracy": classes.BinaryAccuracy(),
            "f1": classes.BinaryF1Score(),
            "f1_macro": _BinaryMacroF1(2, average="macro"),
            "precision": classes.BinaryPrecision(),
            "recall": classes.BinaryRecall(),
            "mcc": classes.BinaryMatthewsCorrCoef(),
            "auroc": _MeanOverLabels(1, binary_auroc, needs_others=True),
        }
    return {
        "accuracy": classes.MulticlassAccuracy(count, average="micro"),
        "f1_macro": classes.MulticlassF1Score(count, average="macro"),
        "f1_micro": classes.MulticlassF1Score(count, average="micro"),
        "precision": classes.MulticlassPrecision(count, average="macro"),
        "recall": classes.MulticlassRecall(count, average="macro"),
        "mcc": classes.MulticlassMatthewsCorrCoef(count),
        "auroc": _MeanOverLabels(count, binary_auroc, needs_others=True),
    }


class _BinaryMacroF1(classes.MulticlassF1Score):
    """Macro F1 over both classes from the probability of the positive one."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update((preds > 0.5).long(), target)


class _MeanOverLabels(Metric):
    """Mean of a ranking metric over the labels that define it.

    torchmetrics' own averages count a label that no row holds as 0, with a warning, so that a small
    validation split would look worse than it is. NaN where no label defines the metric.

    Args:
        count: Number of labels; 1 for the positive class of a binary task.
        area: The metric of one label, from its scores and marks [rows].
        needs_others: Whether it needs rows without the label, too.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    preds: list[Tensor]
    targets: list[Tensor]

    def __init__(
        self, count: int, area: Callable[[Tensor, Tensor], Tensor], *, needs_others: bool
    ) -> None:
        super().__init__()
        self.count = count
        self.area = area
        self.needs_others = needs_others
        self.add_state("preds", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Keep probabilities [n, labels] (binary: [n]) with class indices or marks [n, labels]."""
        indices = self.count > 1 and target.ndim == 1
        marks = functional.one_hot(target, self.count) if indices else target
        # Flat and of one type, so that ranks without any row can take part in a gather.
        self.preds.append(preds.float().flatten())
        self.targets.append(marks.float().flatten())

    def compute(self) -> Tensor:
        """Return the mean, a scalar."""
        preds = dim_zero_cat(self.preds).reshape(-1, self.count)
        targets = dim_zero_cat(self.targets).reshape(-1, self.count).long()
        held = targets.sum(dim=0)
        defined = (held > 0) & (held < len(targets)) if self.needs_others else held > 0
        areas = [self.area(preds[:, index], targets[:, index]) for index in defined.nonzero()[:, 0]]
        return torch.stack(areas).mean() if areas else preds.new_tensor(torch.nan)
