"""What a bundle says of itself: the manifest, and where its figures come from."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from lightning_tune import __version__
from lightning_tune.data.splits import TokenizedSplit
from lightning_tune.serving import cpu
from lightning_tune.serving.calibration import Calibration
from lightning_tune.serving.encoding import TextEncoder
from lightning_tune.serving.manifest import (
    InputColumns,
    Manifest,
    ModelFile,
    Probe,
    Runtime,
    SessionSettings,
)
from lightning_tune_export.runners import Runner
from lightning_tune_export.source import Source

PACKAGES = ("torch", "transformers", "onnx", "onnxruntime", "tokenizers", "numpy")
_PROBED = (
    "yes",
    "Where is my parcel? It was to be here on Monday.",
    "We would like to go on with the order, but the price on the last page is not the one that we "
    "were told on the phone two weeks ago, and nobody has called us back since then.",
)
"""Texts of our own, so that no token of the data lies in a manifest."""


def manifest_of(
    source: Source,
    *,
    checkpoint: str,
    model: ModelFile,
    session: SessionSettings,
    calibration: Calibration,
    metric: str,
    metrics: Mapping[str, float],
    recipe: str,
    probe: Probe,
) -> Manifest:
    """Return the manifest of an export.

    Args:
        source: What was exported.
        checkpoint: Digest of the checkpoint that was named.
        model: The file that answers.
        session: How it is run.
        calibration: Temperature and thresholds.
        metric: The main metric.
        metrics: What the bundle reaches on test.
        recipe: Name of the recipe.
        probe: What a host recomputes before it answers.
    """
    settings = source.data.travelling()["data"]
    return Manifest(
        labels=source.labels,
        encoding=source.encoding,
        pad_id=source.tokenizer.pad_id,
        with_types=source.tokenizer.with_types,
        model=model,
        fields=InputColumns(settings["text"], settings["text_pair"]),
        calibration=calibration,
        session=session,
        main_metric=metric,
        metrics=dict(metrics),
        cpu_features=cpu.features(),
        probe=probe,
        versions=versions(session.runtime),
        provenance={
            "checkpoint_sha256": checkpoint,
            "recipe": recipe,
            "data": {name: digest_of(split) for name, split in source.opened().items()},
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    )


def versions(runtime: Runtime = "onnxruntime") -> dict[str, str]:
    """Return the versions of this package and of those that made the graphs and compute them."""
    names = PACKAGES if runtime == "onnxruntime" else (*PACKAGES, "openvino")
    return {"lightning_tune": __version__, **{name: metadata.version(name) for name in names}}


def digest_of(split: TokenizedSplit) -> str:
    """Return a digest of a split's texts and labels."""
    digest = hashlib.sha256(split.hashes.tobytes())
    digest.update(np.ascontiguousarray(split.label_codes).tobytes())
    return digest.hexdigest()


def probe_of(source: Source, run: Runner, *, rounded: bool) -> Probe:
    """Compute the logits that a host is to compute too.

    Args:
        source: What was exported.
        run: The winner.
        rounded: Whether its products are integers, whose rounding may differ a little elsewhere;
            wrong kernels are off by far more.
    """
    encoder = TextEncoder(
        Tokenizer.from_str(source.tokenizer.json),
        source.encoding,
        with_types=source.tokenizer.with_types,
    )
    sequences, logits = [], []
    for text in _PROBED:
        encoded = encoder.encode([text])
        ids = encoded.ids[: encoded.lengths[0]].astype(np.int64)[None]
        batch = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        if source.tokenizer.with_types:
            batch["token_type_ids"] = np.zeros_like(ids)
        sequences.append(tuple(ids[0].tolist()))
        logits.append(tuple(float(value) for value in run(batch)[0]))
    largest = max(abs(value) for row in logits for value in row)
    tolerance = (0.1 if rounded else 1e-3) * max(1.0, largest)
    return Probe(tuple(sequences), tuple(logits), tolerance)


def provenance_of(source: Source, recipe: str, *, threads: int) -> dict[str, Any]:
    """Return what stands at the foot of a report."""
    return {
        "checkpoint": source.path,
        "checkpoint sha256": source.sha256,
        "backbone": source.module.backbone,
        "recipe": recipe,
        "threads": threads,
        **versions(),
        "written": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
