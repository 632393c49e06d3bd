"""Prune a fine-tuned classifier: measure, search, cut, tune, and teach it again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Classifier
from lightning_tune.models.layout import Layout, layout_of
from lightning_tune.training import metrics as task_metrics
from lightning_tune.training.module import TextClassifier
from lightning_tune_export.prune.importance import importance
from lightning_tune_export.prune.latency import Timing, measure_costs
from lightning_tune_export.prune.probing import fast_products, plain_classifier, some_batches
from lightning_tune_export.prune.rebuilding import module_like
from lightning_tune_export.prune.recover import RecoverSettings, recover
from lightning_tune_export.prune.search import Costs, flop_costs, remaining, search, weight_costs
from lightning_tune_export.prune.surgery import cut
from lightning_tune_export.prune.tuning import tune


@dataclass(frozen=True)
class PruneSettings:
    """How much of an encoder goes, and how.

    Args:
        keep: Share of the encoder's layers that stays, in (0, 1], counted by …
        by: … the weights of their matrix products, their operations on a text of typical length,
            or the time that they take on this machine.
        texts: Texts of train that importance is measured and least squares are solved on, at
            least 1 …
        sample_tokens: … or as many as have so many tokens, if these are fewer, at least 1.
        width_step: Neurons of a layer come in multiples of this, at least 1; kernels like 32.
        tokens: Length of a typical text, for operations and time; null: the mean of train.
        tune: Whether to fit what is left by least squares.
        recover: How the pruned model is taught; epochs: 0 leaves that out.
        timing: How time is measured, for by: latency.
        seed: Decides about what is drawn.
    """

    keep: float = 0.5
    by: Literal["weights", "flops", "latency"] = "weights"
    texts: int = 4096
    sample_tokens: int = 100_000
    width_step: int = 32
    tokens: int | None = None
    tune: bool = True
    recover: RecoverSettings = RecoverSettings()  # noqa: RUF009 - frozen
    timing: Timing = Timing()  # noqa: RUF009 - frozen
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ConfigError(
                f"prune.keep={self.keep} is outside (0, 1]; 0.65 keeps two thirds of the layers."
            )
        for name in ("texts", "sample_tokens", "width_step", "tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"prune.{name}={value} must be at least 1.")


@dataclass(frozen=True)
class PruneReport:
    """What pruning did.

    Args:
        module: The pruned module.
        layout: What is left of its layers.
        weights: Share of the layers' weights that is left.
        flops: Share of their operations at a typical length.
        main_metric: Name of the metric that the scores are of.
        scores: On validation: before, pruned and, where it was taught, recovered; what it was
            taught is kept unless it answers worse than before.
        seconds: Wall time of each stage.
    """

    module: TextClassifier = field(repr=False)
    layout: Layout
    weights: float
    flops: float
    main_metric: str
    scores: dict[str, float]
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a report."""
        values = {
            name: getattr(self, name)
            for name in ("weights", "flops", "main_metric", "scores", "seconds")
        }
        return {**values, "layout": self.layout.to_dict()}


def prune_classifier(
    module: TextClassifier, data: TextDataModule, settings: PruneSettings
) -> PruneReport:
    """Prune a module; the given one stays as it is.

    Args:
        module: A fine-tuned module with all its weights.
        data: Its data: statistics come from train, scores from validation.
        settings: How much goes, and how.

    Raises:
        ConfigError: if its family cannot be pruned, or it was tuned in part and not merged.
    """
    with torch.random.fork_rng():
        return _prune(module, data, settings)


def _prune(module: TextClassifier, data: TextDataModule, settings: PruneSettings) -> PruneReport:
    clock = _Clock()
    with clock.stage("importance"):
        original = plain_classifier(module)
        before = layout_of(original.encoder)
        batches = some_batches(data, settings.texts, settings.sample_tokens)
        found = importance(original, batches, module.label_set.kind, seed=settings.seed)
    tokens = settings.tokens or round(float(np.mean(data.train_data.lengths)))  # type: ignore[union-attr]
    with clock.stage("search"):
        costs = _costs(original, settings, tokens)
        kept = search(
            found.heads, found.neurons, costs, keep=settings.keep, step=settings.width_step
        )
    with clock.stage("tuning"):
        smaller = cut(original, module.label_set, kept)
        if settings.tune:
            tune(smaller, original, batches, found, sources=remaining(kept))
    pruned = module_like(module, smaller.encoder)
    scores = {"before": score(module, original, data), "pruned": score(module, smaller, data)}
    if settings.recover.epochs:
        taught = module_like(module, smaller.encoder)
        with clock.stage("recovery"):
            recover(taught, original, data, settings.recover, layers=remaining(kept))
        scores["recovered"] = score(module, plain_classifier(taught), data)
        if not _is_worse(scores["recovered"], scores["pruned"], module.main_metric_mode):
            pruned = taught
    after = layout_of(pruned.classifier.encoder)
    return PruneReport(
        module=pruned,
        layout=after,
        weights=share(original, before, after, 0),
        flops=share(original, before, after, tokens),
        main_metric=module.main_metric,
        scores=scores,
        seconds=clock.seconds,
    )


def _is_worse(found: float, than: float, mode: str) -> bool:
    return found < than if mode == "max" else found > than


@torch.inference_mode()
def score(module: TextClassifier, classifier: Classifier, data: TextDataModule) -> float:
    """Return the main metric of a classifier on the validation split.

    Args:
        module: Which metric that is.
        classifier: With the module's labels.
        data: Whose validation split.
    """
    data.setup("fit")
    metrics = module.val_metrics.clone()
    losses, seen = 0.0, 0
    for batch in data.val_dataloader():
        with fast_products():
            logits = classifier(batch)
        task_metrics.update(metrics, module.label_set, logits, batch["labels"])
        losses += float(module.loss(logits, batch)) * len(logits)
        seen += len(logits)
    if module.main_metric == "loss":
        return losses / seen
    return float(metrics.compute()[module.monitor])


def share(classifier: Classifier, before: Layout, after: Layout, tokens: int) -> float:
    """Return which share of the layers' operations is left; of their weights at 0 tokens.

    Args:
        classifier: Whose width and heads they have.
        before: The layers there were.
        after: The layers that are left.
        tokens: Length of a typical text.
    """
    config: Any = classifier.encoder.config
    size = config.hidden_size // config.num_attention_heads

    def total(layout: Layout) -> float:
        sums = 0.0
        for shape in layout.layers:
            heads, neurons = len(shape.heads), shape.neurons
            costs = flop_costs(
                heads, neurons, width=config.hidden_size, head_size=size, tokens=tokens
            )
            sums += float(costs.attention[-1] + costs.feed_forward[-1])
        return sums

    return total(after) / total(before)


def _costs(classifier: Classifier, settings: PruneSettings, tokens: int) -> Costs:
    config: Any = classifier.encoder.config
    layers = layout_of(classifier.encoder).layers
    heads = max(len(layer.heads) for layer in layers)
    neurons = max(layer.neurons for layer in layers)
    width, size = config.hidden_size, config.hidden_size // config.num_attention_heads
    if settings.by == "weights":
        return weight_costs(heads, neurons, width=width, head_size=size)
    if settings.by == "flops":
        return flop_costs(heads, neurons, width=width, head_size=size, tokens=tokens)
    return measure_costs(
        heads, neurons, width=width, head_size=size, tokens=tokens, timing=settings.timing
    )


class _Clock:
    """Wall time by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 2)
