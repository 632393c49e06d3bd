"""Reports made by hand: every field filled, every name hostile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lightning_tune.reports.evaluate import evaluate
from lightning_tune.schema import LabelSet
from lightning_tune_export.calibrate import reliability
from lightning_tune_export.comparison import compare
from lightning_tune_export.gate import Check
from lightning_tune_export.ladder import Rung, Shape, Timing
from lightning_tune_export.report.record import Calibrated, ExportReport

HOSTILE = "<script>alert(1)</script> ![x](http://evil.example) $x_1$ | \x1b[31m"
ROWS = 60


def answers(kind: str, labels: LabelSet, seed: int = 0) -> tuple:
    """Targets, and the scores of a model and of one that differs a little."""
    random = np.random.default_rng(seed)
    if kind == "regression":
        targets = random.uniform(0, 5, ROWS)
        return targets, targets + 0.3, targets + random.normal(size=ROWS) * 0.4
    count = len(labels.names)
    logits = random.normal(size=(ROWS, count))
    if kind == "multilabel":
        targets = (random.random((ROWS, count)) < 0.4).astype(int)
        both = [logits + targets, logits + targets + random.normal(size=logits.shape) * 0.4]
        return (targets, *(1 / (1 + np.exp(-each)) for each in both))
    targets = random.integers(0, count, ROWS)
    logits[np.arange(ROWS), targets] += 1.5
    both = [logits, logits + random.normal(size=logits.shape) * 0.4]
    return (targets, *(np.exp(each) / np.exp(each).sum(axis=1, keepdims=True) for each in both))


@pytest.fixture
def make() -> Callable[[str], ExportReport]:
    """Return a function: a task kind -> a report with something in every field."""

    def build(kind: str = "multiclass") -> ExportReport:
        count = {"binary": 2, "regression": 0}.get(kind, 3)
        labels = LabelSet(kind, tuple(f"class {at} {HOSTILE}" for at in range(count)))
        targets, before, after = answers(kind, labels)
        metric = {"regression": "spearman", "multilabel": "f1_macro"}.get(kind, "accuracy")
        found = compare(
            labels,
            targets,
            before,
            after,
            metric=metric,
            split="test",
            where_of=lambda row: f"{HOSTILE}.csv:{row + 2}",
            resamples=100,
        )
        one, many = Shape(1, 24), Shape(16, 128)
        rungs = [
            Rung("int8", "candidate", 24.5, {one: Timing(2, 3), many: Timing(80, 90)}, 900, found),
            Rung("torch fp32", "baseline", None, {one: Timing(9, 12)}, 90, note=HOSTILE),
        ]
        return ExportReport(
            title=f"bundle {HOSTILE}",
            recipe="int8",
            winner="int8",
            rungs=rungs,
            comparison=found,
            checks=[
                Check("accuracy lost", 0.25, 0.5, "points", "points", (-0.5, 1.0)),
                Check("one text, median", 2.0, 1.5, "ms", "milliseconds"),
            ],
            before=evaluate(labels, targets, before, split="test", worst=0, resamples=0),
            after=evaluate(labels, targets, after, split="test", worst=0, resamples=50),
            calibrated=Calibrated(
                1.25,
                dict.fromkeys(labels.names, 0.4) if kind == "multilabel" else None,
                reliability(after, targets, kind),
                reliability(after, targets, kind),
                reliability(before, targets, kind),
            ),
            parity={"fp32": {"difference": 1e-7, "flips": 0}},
            pruning={"weights": 0.35, "scores": {"before": 0.9, "pruned": 0.85}},
            sizes={"onnx/model.onnx": 90.9},
            settings={"budgets": {"points": 0.5}, "name": HOSTILE},
            seconds={"graphs": 12.5},
            notes=[f"a note {HOSTILE}"],
            provenance={"checkpoint": HOSTILE},
        )

    return build
