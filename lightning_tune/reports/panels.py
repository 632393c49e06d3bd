"""What a dashboard shows: one definition for the local page and for the W&B workspace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

Group = Literal["Test", "Validation", "Training", "Speed"]


@dataclass(frozen=True)
class Panel:
    """One panel.

    Args:
        title: Stands above it.
        metrics: Logged names; "*" stands for anything, for names that hold an optimizer's.
        group: The section it stands in.
        kind: "line": a curve by step. "bar": one final value a run.
    """

    title: str
    metrics: tuple[str, ...]
    group: Group
    kind: Literal["line", "bar"] = "line"


_QUALITIES = (
    ("Accuracy", "accuracy"),
    ("F1, macro", "f1_macro"),
    ("F1, micro", "f1_micro"),
    ("F1", "f1"),
    ("Matthews correlation", "mcc"),
    ("Area under ROC", "auroc"),
    ("Mean average precision", "map"),
    ("Spearman correlation", "spearman"),
    ("Pearson correlation", "pearson"),
    ("Mean absolute error", "mae"),
)

PANELS: tuple[Panel, ...] = (
    *(Panel(title, (f"test/{name}",), "Test", "bar") for title, name in _QUALITIES),
    Panel("Accuracy under PGD", ("test/accuracy_pgd",), "Test", "bar"),
    Panel("Accuracy under the text attack", ("test/accuracy_text_attack",), "Test", "bar"),
    *(Panel(title, (f"val/{name}",), "Validation") for title, name in _QUALITIES),
    Panel("Loss", ("val/loss",), "Validation"),
    Panel("Loss", ("train/loss", "train/loss_step", "train/loss_epoch"), "Training"),
    Panel("Learning rate", ("lr", "lr/*", "lr-*"), "Training"),
    Panel("Gradient norm", ("grad_norm", "train/grad_norm", "grad_2.0_norm_total"), "Training"),
    Panel("Samples per second", ("throughput/samples_per_second",), "Speed"),
    Panel("Tokens per second", ("throughput/tokens_per_second",), "Speed"),
    Panel("Share of the peak (MFU)", ("throughput/mfu",), "Speed"),
    Panel("Peak memory, GB", ("throughput/peak_memory_gb",), "Speed"),
)

GROUPS: tuple[Group, ...] = get_args(Group)


def matching(panel: Panel, names: Iterable[str]) -> list[str]:
    """Return the logged names that a panel shows.

    >>> matching(Panel("Rate", ("lr", "lr-*"), "Training"), ["val/loss", "lr-AdamW/pg1"])
    ['lr-AdamW/pg1']
    """
    return [name for name in names if any(fnmatchcase(name, one) for one in panel.metrics)]
