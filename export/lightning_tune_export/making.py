"""The models that may be shipped: pruned where the recipe says so, as graphs, in int8."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lightning_tune.data.batching import BatchSettings
from lightning_tune.schema import Split
from lightning_tune_export.answers import batches, part_of
from lightning_tune_export.candidates import Candidate, make_candidates
from lightning_tune_export.entrants import Entrant, onnx_entrant
from lightning_tune_export.parity import Tokens, check_parity, random_sequences
from lightning_tune_export.prune.pruning import prune_classifier
from lightning_tune_export.prune.rebuilding import write_pruned
from lightning_tune_export.prune.vocabulary import prune_vocabulary
from lightning_tune_export.recipe import Recipe
from lightning_tune_export.runners import Arrays
from lightning_tune_export.source import Source, read_source
from lightning_tune_export.steps import Steps

_PROBED = 48
"""Texts that sensitivity and parity are looked at on."""


@dataclass
class Made:
    """What was made of a checkpoint.

    Args:
        source: What the graphs were exported of: the checkpoint, or what pruning left of it.
        portable: The fp32 graph of standard operators.
        entrants: Its graphs: what may be shipped, and what stands beside.
        parity: What the comparison of graphs with PyTorch found, by graph.
        pruning: What was removed, and at what price.
        notes: What a reader has to know.
    """

    source: Source
    portable: Path
    entrants: list[Entrant]
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

    Raises:
        GateError: if a graph does not answer as the model does, or the integer kernels are wrong.
    """
    source, pruning = pruned(source, recipe, work, steps)
    with steps("graphs") as told:
        found = make_candidates(
            source.module.classifier,
            _batches(source, "train", recipe.texts) if recipe.quantize else [],
            recipe.quantize,
            work,
            with_types=source.tokenizer.with_types,
            validation=_batches(source, "val", _PROBED) if recipe.quantize else [],
        )
        told.text = ", ".join(each.name for each in found.graphs)
    wanted = "fp32" if recipe.quantize is None else "int8"
    made = Made(source, found.graphs[0].path, [], pruning=pruning, notes=[*found.notes])
    for graph in found.graphs:
        entrant = _entrant(graph, source, threads=threads, wanted=wanted)
        made.entrants.append(entrant)
    with steps("parity") as told:
        exact = [each for each in made.entrants if not each.quantized]
        made.parity = {each.name: parity_of(each, source, required=True) for each in exact}
        largest = max(float(each["difference"]) for each in made.parity.values())
        told.text = f"logits differ by {largest:.1e} at most"
    return made


def _entrant(graph: Candidate, source: Source, *, threads: int, wanted: str) -> Entrant:
    """Open a graph; one of the other kind, or that only ONNX Runtime reads, stands beside."""
    shipped = graph.kind == "int8" if wanted == "int8" else graph.portable
    return onnx_entrant(
        graph.name if shipped else f"ONNX {graph.name}",
        graph.path,
        source,
        role="candidate" if shipped else "baseline",
        threads=threads,
        disabled=graph.disabled_optimizers,
        quantized=graph.kind == "int8",
        note=graph.note,
        runtime=graph.runtime,
    )


def _batches(source: Source, split: Split, texts: int) -> list[Arrays]:
    part = part_of(source.split(split), texts, seed=source.data.seed)
    return [arrays for _, arrays, _ in batches(source, part, BatchSettings(16))]


def parity_of(entrant: Entrant, source: Source, *, required: bool) -> dict[str, Any]:
    """Compare a graph with PyTorch at shapes, masks and in company that were never exported.

    Args:
        entrant: The graph.
        source: What it was exported of.
        required: Whether a difference that is more than rounding is refused.

    Raises:
        GateError: if it is.
    """
    with_types, classifier = source.tokenizer.with_types, source.module.classifier
    sequences = _sequences(source)
    if required:  # rounding to integers is fitted to texts, not to noise
        longest = source.encoding.max_length
        sequences += random_sequences(classifier, _PROBED, longest=longest, with_types=with_types)
    found = check_parity(entrant.run, classifier, sequences, with_types=with_types)
    return asdict(found.require(entrant.name) if required else found)


def _sequences(source: Source) -> list[Tokens]:
    """Return some validation texts as tokens, without padding; each window is one of its own."""
    part = part_of(source.split("val"), _PROBED, seed=source.data.seed)
    found = []
    for _, arrays, _ in batches(source, part, BatchSettings(1)):
        ids, masks = arrays["input_ids"], arrays["attention_mask"].astype(bool)
        types = arrays.get("token_type_ids", np.zeros_like(ids))
        rows = zip(ids, types, masks, strict=True)
        found += [Tokens(each[mask], kinds[mask]) for each, kinds, mask in rows]
    return found


def pruned(
    source: Source, recipe: Recipe, work: Path, steps: Steps
) -> tuple[Source, dict[str, Any]]:
    """Return what pruning leaves of a checkpoint, and what it did.

    The pruned model is written as a checkpoint and read again: what is exported from here on is
    what `fit` and `test` would read.
    """
    if not recipe.prunes:
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
