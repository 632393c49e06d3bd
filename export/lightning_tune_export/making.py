"""The models that may be shipped: pruned where the recipe says so, as graphs, in int8."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_tune.models.classifier import Classifier
from lightning_tune_export.entrants import Entrant, onnx_candidate
from lightning_tune_export.fused_graph import export_fused
from lightning_tune_export.onnx_graph import export_portable
from lightning_tune_export.quantize import dynamic_int8
from lightning_tune_export.recipe import Recipe
from lightning_tune_export.source import Source
from lightning_tune_export.steps import Steps

LEFT_ALONE = ("SkipLayerNormFusion", "BiasGeluFusion")


@dataclass
class Made:
    """What was made of a checkpoint.

    Args:
        classifier: What the graphs were exported of, pruned where the recipe prunes.
        portable: The fp32 graph of standard operators.
        candidates: What may be shipped.
        parity: What the comparison of graphs with PyTorch found, by graph.
        pruning: What was removed, and at what price.
        notes: What a reader has to know.
    """

    classifier: Classifier
    portable: Path
    candidates: list[Entrant]
    parity: dict[str, dict[str, Any]] = field(default_factory=dict)
    pruning: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def sizes(self, winner: Entrant) -> dict[str, float]:
        """Return the megabytes of the files that the bundle gets."""
        files = {"onnx/model.onnx": self.portable}
        if winner.quantized and winner.path is not None:
            files["onnx/model_quantized.onnx"] = winner.path
        return {name: round(path.stat().st_size / 1e6, 2) for name, path in files.items()}


def make(source: Source, recipe: Recipe, work: Path, steps: Steps, *, threads: int) -> Made:
    """Make all candidates of a recipe.

    Args:
        source: What is exported.
        recipe: What is done to it.
        work: Folder for the files.
        steps: Told what is going on.
        threads: Threads of the sessions.
    """
    classifier = source.module.classifier
    portable = work / "model.onnx"
    with steps("graph") as told:
        export_portable(classifier, portable, with_types=source.tokenizer.with_types)
        told.text = f"{portable.stat().st_size / 1e6:.1f} MB"
    candidates = [onnx_candidate("fp32", portable, threads=threads)]
    if recipe.int8:
        with steps("int8") as told:
            fused = export_fused(
                classifier, work / "fused.onnx", with_types=source.tokenizer.with_types
            )
            origin = fused.path or portable
            found = dynamic_int8(origin, work / "int8.onnx")
            told.text = f"{found.products} products"
            candidates = [
                onnx_candidate(
                    "int8 dynamic", found.path, threads=threads, disabled=LEFT_ALONE, quantized=True
                )
            ]
    return Made(classifier, portable, candidates)
