"""Write a bundle's folder, whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lightning_tune.errors import ConfigError
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


def check_output(output: Path) -> None:
    """Refuse a place where no new folder can be.

    Raises:
        ConfigError: if something is there already, or nothing can be written there.
    """
    if output.is_dir() and any(output.iterdir()):
        raise ConfigError(
            f"output={str(output)!r} exists and is not empty; name a new folder, or remove it."
        )
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output={str(output)!r} is a file; name a new folder.")
    above = next(folder for folder in output.absolute().parents if folder.exists())
    if not above.is_dir():
        raise ConfigError(f"output={str(output)!r}: {above} is no folder; name another place.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"output={str(output)!r}: {above} cannot be written to; name another.")


@contextmanager
def appearing(output: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `output`; once filled, it becomes `output` at once.

    Everything in it is flushed to the disk before. On an error nothing stays behind.

    Raises:
        ConfigError: if something else is at `output` by then.
    """
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    hidden = output.absolute().parent / f".{output.name[:100]}.{secrets.token_hex(4)}.tmp"
    hidden.mkdir()
    try:
        yield hidden
        for folder, _, names in os.walk(hidden):
            for place in (*(Path(folder) / name for name in names), Path(folder)):
                _sync(place)
        check_output(output)
        hidden.rename(output)
        _sync(output.absolute().parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _sync(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
