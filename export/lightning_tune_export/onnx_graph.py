"""The portable graph: fp32, standard operators only, for any ONNX runtime and transformers.js."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lightning_tune.tables import replace_file
from lightning_tune_export.tracing import trace

if TYPE_CHECKING:
    from onnx import ModelProto

    from lightning_tune.models.classifier import Classifier


def export_portable(classifier: Classifier, path: Path, *, with_types: bool) -> None:
    """Write a classifier as an ONNX file that any runtime reads.

    Inputs are `input_ids`, `attention_mask` and, where the encoder has them, `token_type_ids`,
    [batch, sequence] int64; the output is `logits` [batch, outputs] float32. The family's own
    attention is written out in matrix products, so nothing but standard operators is needed.

    Args:
        classifier: What answers.
        path: The file.
        with_types: Whether the encoder takes `token_type_ids`.
    """
    save(trace(classifier, "eager", with_types=with_types), path)


def save(model: ModelProto, path: Path) -> None:
    """Write a model whole or not at all, in the same bytes for the same model."""
    with replace_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
