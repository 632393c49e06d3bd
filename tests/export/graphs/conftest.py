"""Tiny classifiers of every family whose logits are of the order of 1, and their graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lightning_tune.models.classifier import Classifier

WITH_TYPES = ("bert", "electra", "albert", "deberta-v2")


@pytest.fixture(scope="session")
def tiny_classifier(tiny_backbone: Callable[[str], Path]) -> Callable[..., Classifier]:
    """Return a function: a family's name -> a classifier for three labels, in evaluation."""

    def build(family: str = "bert", **changes: Any) -> Classifier:
        import torch

        from lightning_tune.models.classifier import Classifier
        from lightning_tune.models.encoder import build_encoder
        from lightning_tune.schema import LabelSet

        with torch.random.fork_rng():
            torch.manual_seed(1)
            labels = LabelSet("multiclass", ("a", "b", "c"))
            encoder = build_encoder(str(tiny_backbone(family)), labels, **changes)
            with torch.no_grad():  # the tiny start of BERT's weights lets all texts look alike
                for name, parameter in encoder.named_parameters():
                    if parameter.ndim == 2:
                        parameter.mul_(6)
                    elif "bias" in name:
                        parameter.normal_(std=0.2)
        return Classifier(encoder).eval()

    return build


@pytest.fixture(scope="session")
def bert(tiny_classifier: Callable[..., Classifier]) -> Classifier:
    """One classifier for the tests that need any."""
    return tiny_classifier("bert")


@pytest.fixture(scope="session")
def fused(bert: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its fused graph."""
    from lightning_tune_export.fused_graph import export_fused

    path = tmp_path_factory.mktemp("graphs") / "fused.onnx"
    assert export_fused(bert, path, with_types=True).path == path
    return path
