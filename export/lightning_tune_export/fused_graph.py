"""The graph for ONNX Runtime: attention is one operator there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_tune_export.attention_operator import use_standard_attention
from lightning_tune_export.fused_attention import registered
from lightning_tune_export.onnx_graph import save
from lightning_tune_export.tracing import trace

if TYPE_CHECKING:
    from lightning_tune.models.classifier import Classifier

_WITH_GELU = 20
"""The first opset with Gelu; from 23 on the exporter writes a RotaryEmbedding that does not run."""


@dataclass(frozen=True)
class FusedGraph:
    """What became of fusing.

    Args:
        path: The file; None where the family does not allow it.
        reason: Why there is none, or "".
        attentions: Layers whose attention is one operator.
    """

    path: Path | None
    reason: str = ""
    attentions: int = 0


def export_fused(classifier: Classifier, path: Path, *, with_types: bool) -> FusedGraph:
    """Write a classifier as an ONNX file for ONNX Runtime, with attention in one operator.

    Args:
        classifier: What answers.
        path: The file.
        with_types: Whether the encoder takes `token_type_ids`.
    """
    encoder = classifier.encoder
    if not encoder._can_set_attn_implementation():
        return FusedGraph(None, f"{encoder.config.model_type} has an attention of its own")
    with registered() as name:
        model = trace(classifier, name, with_types=with_types, opset=_WITH_GELU)
    count = use_standard_attention(model)
    if not count:
        return FusedGraph(None, f"{encoder.config.model_type} does not ask for an attention")
    save(model, path)
    return FusedGraph(path, "", count)
