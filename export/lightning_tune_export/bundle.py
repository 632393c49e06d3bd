"""Write a bundle's folder, whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lightning_tune.models.backbones import LoadedTokenizer
from lightning_tune.schema import LabelSet
from lightning_tune.serving.manifest import (
    CONFIG,
    PORTABLE,
    QUANTIZED,
    TOKENIZER,
    Manifest,
    Runtime,
    write_manifest,
)
from lightning_tune.serving.sums import write_sums
from lightning_tune.tables.folders import appearing
from lightning_tune_export.card import card
from lightning_tune_export.report.page import write_html
from lightning_tune_export.report.record import ExportReport, write_json
from lightning_tune_export.report.text import write_markdown

NEEDED = (
    "jsonargparse[signatures]",
    "numpy",
    "onnxruntime",
    "pyarrow",
    "pyyaml",
    "tokenizers",
)
"""What `score` runs on, beside this package without its own requirements."""


@dataclass(frozen=True)
class Contents:
    """What goes into a bundle.

    Args:
        portable: The fp32 graph of standard operators.
        quantized: The int8 winner; None where fp32 won.
        manifest: The content of bundle.json.
        report: All that was measured.
        tokenizer: The tokenizer of the training.
        config: The encoder's config, for other readers.
    """

    portable: Path
    quantized: Path | None
    manifest: Manifest
    report: ExportReport
    tokenizer: LoadedTokenizer
    config: Mapping[str, Any]


def write_bundle(output: Path, contents: Contents) -> None:
    """Write the folder.

    Raises:
        ConfigError: if something is there already, or it cannot be written.
        OSError: if the disk is full.
    """
    with appearing(output) as folder:
        (folder / "onnx").mkdir()
        shutil.copyfile(contents.portable, folder / PORTABLE)
        if contents.quantized is not None:
            shutil.copyfile(contents.quantized, folder / QUANTIZED)
        _write_tokenizer(folder, contents)
        write_json(folder / CONFIG, dict(contents.config))
        needed = requirements(contents.manifest.session.runtime)
        (folder / "requirements.txt").write_text(needed, encoding="utf-8")
        report = contents.report
        write_json(folder / "report.json", report.to_dict())
        write_markdown(folder / "report.md", report)
        write_html(folder / "report.html", report)
        write_manifest(folder, contents.manifest)
        (folder / "README.md").write_text(card(report, contents.manifest), encoding="utf-8")
        write_sums(folder)


def _write_tokenizer(folder: Path, contents: Contents) -> None:
    """Write the tokenizer with the bundle's own length, for readers that know nothing else."""
    manifest = contents.manifest
    tokenizer = Tokenizer.from_str(contents.tokenizer.json)
    tokenizer.enable_truncation(manifest.encoding.max_length)
    pad = tokenizer.id_to_token(manifest.pad_id)
    tokenizer.enable_padding(pad_id=manifest.pad_id, pad_token=pad)
    tokenizer.save(str(folder / TOKENIZER))
    settings = {**contents.tokenizer.config, "model_max_length": manifest.encoding.max_length}
    write_json(folder / "tokenizer_config.json", settings)


def requirements(runtime: Runtime) -> str:
    """Return what `score` needs with a runtime, in the versions that are installed here."""
    lines = []
    for needed in NEEDED if runtime == "onnxruntime" else (*NEEDED, "openvino"):
        version = metadata.version(needed.partition("[")[0])
        lines.append(f"{needed}=={version.partition('+')[0]}\n")
    return "".join(lines)


def config_of(architecture: Mapping[str, Any], labels: LabelSet) -> dict[str, Any]:
    """Return config.json: the encoder's architecture with its labels, as transformers writes it."""
    names = labels.names or ("score",)
    named = {
        "id2label": {str(at): name for at, name in enumerate(names)},
        "label2id": {name: at for at, name in enumerate(names)},
    }
    plain: dict[str, Any] = json.loads(json.dumps({**architecture, **named}))
    return plain
