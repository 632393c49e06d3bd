import numpy as np
import pytest

from lightning_tune.reports.evaluate import evaluate
from lightning_tune.reports.records import Evaluation, Mistake
from lightning_tune.schema import LabelSet

HOSTILE = (
    '<script>alert(1)</script> <img src="http://evil.example/x.png" onerror=alert(2)> '
    "![x](http://evil.example) [bold red]markup[/] | \x1b[31mred \u202edesrever \ud800 $x_1$"
)


def _scores(kind, labels, rows):
    random = np.random.default_rng(7)
    if kind == "regression":
        targets = random.uniform(0, 5, rows).round(1)
        return targets, targets + random.normal(size=rows)
    count = len(labels.names)
    if kind == "multilabel":
        targets = (random.random((rows, count)) < 0.3).astype(int)
        return targets, 1 / (1 + np.exp(-(random.normal(size=(rows, count)) + 2 * targets - 1)))
    targets = random.integers(0, count, rows)
    logits = random.normal(size=(rows, count))
    logits[np.arange(rows), targets] += 1.5
    exponents = np.exp(logits)
    return targets, exponents / exponents.sum(axis=1, keepdims=True)


@pytest.fixture
def hostile():
    return HOSTILE


@pytest.fixture
def make():
    """Build an evaluation of any task kind; every text and label name is hostile."""

    def build(kind, *, rows=60, labels=5, **settings):
        names = {"binary": 2, "regression": 0}.get(kind, labels)
        label_set = LabelSet(kind, tuple(f"class_{index:02d}<b>" for index in range(names)))
        targets, scores = _scores(kind, label_set, rows)
        settings = {"split": "test", "resamples": 20, **settings}
        settings.setdefault("text_of", lambda row: (f"{row} {HOSTILE}", None))
        return evaluate(label_set, targets, scores, **settings)

    return build


@pytest.fixture
def many_given():
    """A multi-label row that holds realization and pride, and was given 18 labels, one right."""
    given = ("realization", *(f"wrong_{at:02d}" for at in range(17)))
    mistake = Mistake(7, ("realization", "pride"), given, 0.9, 1.5, "a text")
    return Evaluation("multilabel", "test", 1, metrics={"f1_macro": 0.1}, worst=[mistake])


@pytest.fixture
def full(make):
    """An evaluation that has something in every field."""

    def build(kind, **settings):
        record = make(kind, **settings)
        record.title = f"run {HOSTILE}"
        record.curves = {
            "train/loss": [(float(step), 2.0 / (1 + step) + step % 2) for step in range(60)],
            "val/loss": [(10.0, 0.7), (20.0, 0.5)],
            "lr-AdamW": [(0.0, 1e-5), (10.0, float("nan")), (20.0, 0.0)],
        }
        record.data_summary = {
            "train": {"rows": 1200, "length": {"p50": 12}, "truncated": 0.25},
            "test": {"rows": 60, HOSTILE: True},
            "texts in two splits": 0,
        }
        record.settings = {"data": {"train": HOSTILE}, "trainer": {"callbacks": [{"a": 1}]}}
        record.notes.append(f"1 row skipped: {HOSTILE}")
        record.provenance = {"checkpoint": "best.ckpt"}
        return record

    return build
