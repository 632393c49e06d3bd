"""bundle.json: all that a reader of a bundle has to know, typed, and refused where it is not so."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lightning_tune.errors import BundleError, TuneError
from lightning_tune.schema import LabelSet
from lightning_tune.serving.calibration import Calibration
from lightning_tune.serving.encoding import EncodingSettings
from lightning_tune.serving.typed import decode
from lightning_tune.tables import replace_file

SCHEMA_VERSION = 1
"""Raised whenever a reader of the version before would answer differently, or not at all."""

MANIFEST = "bundle.json"
TOKENIZER = "tokenizer.json"
CONFIG = "config.json"

Runtime = Literal["onnxruntime", "openvino", "openvino-bf16", "cuda"]
"""What computes: `openvino` in fp32, `openvino-bf16` in bf16 where the processor has it, `cuda` in
fp32 by ONNX Runtime on a GPU."""

ModelFile = Literal["onnx/model.onnx", "onnx/model_quantized.onnx"]
PORTABLE: ModelFile = "onnx/model.onnx"
QUANTIZED: ModelFile = "onnx/model_quantized.onnx"


@dataclass(frozen=True)
class SessionSettings:
    """How the model was run when it was measured.

    Args:
        disabled_optimizers: Names of ONNX Runtime's graph optimizers that cost time.
        runtime: What computed.
    """

    disabled_optimizers: tuple[str, ...] = ()
    runtime: Runtime = "onnxruntime"


@dataclass(frozen=True)
class InputColumns:
    """Where the texts stand in a table.

    Args:
        text: Column of the text.
        text_pair: Column of the second text; None for single texts.
    """

    text: str = "text"
    text_pair: str | None = None


@dataclass(frozen=True)
class Probe:
    """Token sequences and the logits they had on the machine that exported them.

    Args:
        input_ids: Token ids, each sequence computed alone, all of type 0, without padding.
        logits: The winner's logits of each, [sequences, outputs].
        tolerance: Largest difference of a logit that counts as the same, above 0.
    """

    input_ids: tuple[tuple[int, ...], ...]
    logits: tuple[tuple[float, ...], ...]
    tolerance: float


@dataclass(frozen=True)
class Manifest:
    """The content of bundle.json.

    Args:
        labels: The label set.
        encoding: How texts become tokens.
        pad_id: Token id that fills up shorter sequences.
        with_types: Whether the model takes `token_type_ids`.
        model: The file to load, the winner of export.
        fields: Where the texts stand in a table.
        calibration: What stands between logits and answers.
        session: How the winner was run.
        main_metric: Name of the metric that decided.
        metrics: The winner's metrics on the test split; None where one is not defined.
        cpu_features: Instructions of the processor on which it was chosen, as `cpu.features` gives.
        probe: What a host recomputes before it answers; None: nothing.
        normalisation: What happens to a text before the tokenizer.
        versions: Versions of the packages that made it.
        provenance: Plain values: digest of the checkpoint, recipe, digests of data, time.
        schema_version: Version of this file's form.
    """

    labels: LabelSet
    encoding: EncodingSettings
    pad_id: int
    with_types: bool
    model: ModelFile = PORTABLE
    fields: InputColumns = InputColumns()
    calibration: Calibration = field(default_factory=Calibration)
    session: SessionSettings = SessionSettings()
    main_metric: str = ""
    metrics: dict[str, float | None] = field(default_factory=dict)
    cpu_features: tuple[str, ...] = ()
    probe: Probe | None = None
    normalisation: Literal["lone-surrogates"] = "lone-surrogates"
    versions: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        self.calibration.check(self.labels)
        if self.pad_id < 0:
            raise BundleError(f"pad_id={self.pad_id} is no token id; it must be at least 0.")
        probe = self.probe
        if probe is not None and (
            len(probe.logits) != len(probe.input_ids)
            or {len(row) for row in probe.logits} - {self.labels.num_outputs}
            or not probe.tolerance > 0
        ):
            raise BundleError(
                f"the probe needs {self.labels.num_outputs} logits for each sequence and a "
                "tolerance above 0."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; numbers that are not finite become null."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return {"schema_version": plain.pop("schema_version"), **plain}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Manifest:
        """Rebuild from `to_dict`.

        Raises:
            BundleError: if the version is newer than this package, or a value is not as it must be.
        """
        version = values.get("schema_version") if isinstance(values, Mapping) else None
        if type(version) is int and version > SCHEMA_VERSION:
            raise BundleError(
                f"schema_version={version} is newer than {SCHEMA_VERSION}, the newest that this "
                "package reads; upgrade lightning-tune."
            )
        if version != SCHEMA_VERSION or type(version) is not int:
            raise BundleError(
                f"schema_version={version!r} is no version of a bundle; export the bundle again."
            )
        try:
            manifest: Manifest = decode(cls, values)
        except (ValueError, TuneError) as err:
            raise BundleError(f"{str(err).rstrip('.')}; export the bundle again.") from err
        return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle whose checksums have been verified.

    Raises:
        BundleError: if it is missing, no JSON, of a newer version, or a value is wrong.
    """
    path = folder / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(
            f"{folder} holds no {MANIFEST}; name a folder that `export` wrote."
        ) from None
    except (ValueError, RecursionError) as err:
        raise BundleError(f"{path} is no JSON ({err}); export the bundle again.") from err
    try:
        return Manifest.from_dict(values)
    except BundleError as err:
        raise BundleError(f"{path}: {err}") from err


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write bundle.json, whole or not at all."""
    text = json.dumps(manifest.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    with replace_file(folder / MANIFEST) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
