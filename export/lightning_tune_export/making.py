"""The models that may be shipped: pruned where the recipe says so, as graphs, in int8."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_tune_export.entrants import Entrant, onnx_candidate
from lightning_tune_export.fused_graph import export_fused
from lightning_tune_export.onnx_graph import export_portable
from lightning_tune_export.prune.pruning import prune_classifier
from lightning_tune_export.prune.rebuilding import write_pruned
from lightning_tune_export.prune.vocabulary import prune_vocabulary
from lightning_tune_export.quantize import dynamic_int8
from lightning_tune_export.recipe import Recipe
from lightning_tune_export.source import Source, read_source
from lightning_tune_export.steps import Steps

LEFT_ALONE = ("SkipLayerNormFusion", "BiasGeluFusion")


@dataclass
class Made:
    """What was made of a checkpoint.

    Args:
        source: What the graphs were exported of: the checkpoint, or what pruning left of it.
        portable: The fp32 graph of standard operators.
        candidates: What may be shipped.
        parity: What the comparison of graphs with PyTorch found, by graph.
        pruning: What was removed, and at what price.
        notes: What a reader has to know.
    """

    source: Source
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
    source, pruning = pruned(source, recipe, work, steps)
    portable = work / "model.onnx"
    with steps("graph") as told:
        export_portable(source.module.classifier, portable, with_types=source.tokenizer.with_types)
        told.text = f"{portable.stat().st_size / 1e6:.1f} MB"
    made = Made(source, portable, [], pruning=pruning)
    if recipe.int8:
        with steps("int8") as told:
            made.candidates = _int8(source, portable, work, threads=threads)
            told.text = f"{len(made.candidates)} candidates"
    else:
        made.candidates = [onnx_candidate("fp32", portable, source, threads=threads)]
    return made


def pruned(
    source: Source, recipe: Recipe, work: Path, steps: Steps
) -> tuple[Source, dict[str, Any]]:
    """Return what pruning leaves of a checkpoint, and what it did.

    The pruned model is written as a checkpoint and read again: what is exported from here on is
    what `fit` and `test` would read.
    """
    if recipe.prune is None and not recipe.vocabulary:
        return source, {}
    module, tokenizer = source.module, None
    found: dict[str, Any] = {}
    if recipe.prune is not None:
        with steps("prune") as told:
            report = prune_classifier(module, source.data, recipe.prune)
            module, found = report.module, report.to_dict()
            scores = ", ".join(f"{name} {value:.4f}" for name, value in report.scores.items())
            told.text = f"{report.weights:.1%} of the encoder's weights left; {scores}"
    if recipe.vocabulary:
        with steps("vocabulary") as told:
            module, smaller = prune_vocabulary(module, source.data)
            tokenizer = smaller.tokenizer.to_dict()
            found["vocabulary"] = len(smaller.kept)
            told.text = f"{len(smaller.kept):,} tokens left"
    path = work / "pruned.ckpt"
    write_pruned(source.checkpoint, module, path, tokenizer=tokenizer)
    return read_source(str(path), source.overrides), found


def _int8(source: Source, portable: Path, work: Path, *, threads: int) -> list[Entrant]:
    with_types = source.tokenizer.with_types
    fused = export_fused(source.module.classifier, work / "fused.onnx", with_types=with_types)
    found = dynamic_int8(fused.path or portable, work / "int8.onnx")
    return [
        onnx_candidate(
            "int8 dynamic", found.path, source, threads=threads, disabled=LEFT_ALONE, quantized=True
        )
    ]
