"""A module of a tiny encoder with steep weights, and data for it."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.models.sharding import layers
from lightning_tune.training.module import TextClassifier
from lightning_tune_export.prune import probing

Arranged = tuple[TextClassifier, TextDataModule]
LABELS = {
    "binary": ["good", "bad"],
    "multiclass": ["good", "bad", "odd"],
    "multilabel": ["good", "good|odd", "bad", ""],
    "regression": ["0.5", "1.5", "2.5", "4.0"],
}


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in float32 on every machine."""
    monkeypatch.setattr(probing, "fast_type", lambda: torch.float32)


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function: a task kind -> a csv of 96 rows."""

    def write(kind: str = "binary") -> Path:
        file, labels = tmp_path / f"{kind}.csv", LABELS[kind]
        with file.open("w", newline="") as opened:
            out = csv.writer(opened)
            out.writerow(["text", "label"])
            for row in range(96):
                word = ("great", "worst", "odd", "slow")[row % len(labels)]
                out.writerow(
                    [f"film {row} is {word} {'very ' * (row % 7)}", labels[row % len(labels)]]
                )
        return file

    return write


@pytest.fixture
def arrange(
    tmp_path: Path, tiny_backbone: Callable[[str], Path], write_rows: Callable[[str], Path]
) -> Callable[..., Arranged]:
    """Return a function: family and task kind -> a module that reacts to its texts, and data."""

    def make(family: str = "bert", kind: str = "binary") -> Arranged:
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
        L.seed_everything(1, verbose=False)
        backbone = str(tiny_backbone(family))
        data = TextDataModule(
            str(write_rows(kind)),
            tokenizer=backbone,
            max_length=32,
            batch_size=8,
            val_share=0.25,
            label_separator="|" if kind == "multilabel" else None,
            cache_dir=str(tmp_path / "cache"),
        )
        module = TextClassifier(backbone, data.label_set)
        module.configure_model()
        with torch.no_grad():
            for layer in layers(module.classifier):
                for weight in layer.parameters():
                    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))
                    weight.add_(0.3 * noise)
            for name, weight in module.classifier.named_parameters():
                if "classifier." in name and weight.ndim == 2:
                    weight.mul_(8)
        return module, data

    return make
