"""Metrics by task kind, from torchmetrics, under the field's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics import classification as classes
from torchmetrics import regression as scores

from lightning_tune.errors import ConfigError, nearest
from lightning_tune.schema import MAIN_METRIC, LabelSet, TaskKind
from lightning_tune.training.objectives.base import import_class

LOWER_IS_BETTER = frozenset({"loss", "mae", "mse"})


@dataclass(frozen=True)
class MetricSpec:
    """A metric of the user's own.

    Args:
        class_path: Dotted path of a torchmetrics.Metric subclass; it is updated with probabilities
            [examples, labels] (regression: scores [examples]) and targets.
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
        if name in metrics or "/" in name:
            raise ConfigError(f"metrics.{name}: the name is taken or holds a slash; choose another one.")
        kind = import_class(spec.class_path, Metric)
        try:
            metrics[name] = kind(**spec.init_args)
        except (TypeError, ValueError) as err:
            raise ConfigError(f"metrics.{name}: {spec.class_path} refuses its init_args: {err}") from err
    return MetricCollection(dict(metrics), compute_groups=True)


def main_metric(kind: TaskKind, named: str | None, available: MetricCollection) -> str:
    """Return the metric that chooses the best epoch: the one the config names, or the task kind's.

    Raises:
        ConfigError: if there is no metric of this name.
    """
    name = named or MAIN_METRIC[kind]
    known = [*available.keys(keep_base=True), "loss"]
    if name not in known:
        raise ConfigError(
            f"model.main_metric={name!r} is not computed in a {kind} task; choose from {', '.join(known)}."
            + nearest(name, known)
        )
    return name


def direction(name: str, metrics: MetricCollection) -> Literal["min", "max"]:
    """Whether a metric is to be made small or large."""
    if name in LOWER_IS_BETTER:
        return "min"
    metric = dict(metrics.items(keep_base=True)).get(name)
    return "min" if metric is not None and metric.higher_is_better is False else "max"


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
        scored, targets = scored[:, labels.positive_index], (targets == labels.positive_index).long()
    metrics.update(scored, targets.long() if labels.kind == "multilabel" else targets)


def _standard(labels: LabelSet) -> dict[str, Metric]:
    count = labels.num_outputs
    if labels.kind == "regression":
        return {
            "pearson": scores.PearsonCorrCoef(),
            "spearman": scores.SpearmanCorrCoef(),
            "mae": scores.MeanAbsoluteError(),
        }
    if labels.kind == "multilabel":
        return {
            "f1_macro": classes.MultilabelF1Score(count, average="macro"),
            "f1_micro": classes.MultilabelF1Score(count, average="micro"),
            "precision": classes.MultilabelPrecision(count, average="macro"),
            "recall": classes.MultilabelRecall(count, average="macro"),
            "map": classes.MultilabelAveragePrecision(count, average="macro"),
            "auroc": classes.MultilabelAUROC(count, average="macro"),
        }
    if labels.kind == "binary":
        return {
            "accuracy": classes.BinaryAccuracy(),
            "f1": classes.BinaryF1Score(),
            "f1_macro": _BinaryMacroF1(2, average="macro"),
            "precision": classes.BinaryPrecision(),
            "recall": classes.BinaryRecall(),
            "mcc": classes.BinaryMatthewsCorrCoef(),
            "auroc": classes.BinaryAUROC(),
        }
    return {
        "accuracy": classes.MulticlassAccuracy(count, average="micro"),
        "f1_macro": classes.MulticlassF1Score(count, average="macro"),
        "f1_micro": classes.MulticlassF1Score(count, average="micro"),
        "precision": classes.MulticlassPrecision(count, average="macro"),
        "recall": classes.MulticlassRecall(count, average="macro"),
        "mcc": classes.MulticlassMatthewsCorrCoef(count),
        "auroc": classes.MulticlassAUROC(count, average="macro"),
    }


class _BinaryMacroF1(classes.MulticlassF1Score):
    """Macro F1 over both classes from the probability of the positive one."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update((preds > 0.5).long(), target)
