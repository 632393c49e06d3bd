"""The graphs that may be shipped of one classifier: fp32 and several ways of int8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import onnx

from lightning_tune.errors import ConfigError
from lightning_tune.reports.display import counted
from lightning_tune.serving.manifest import Runtime
from lightning_tune_export.activations import Activations, watch
from lightning_tune_export.fused_graph import export_fused
from lightning_tune_export.kernels import Kernels, check_kernels
from lightning_tune_export.measure import Batch
from lightning_tune_export.onnx_graph import export_portable
from lightning_tune_export.quantize import Quantized, dynamic_int8, static_int8
from lightning_tune_export.sensitivity import most_sensitive, sensitivity
from lightning_tune_export.smoothing import NONE, Factors, factors_of

if TYPE_CHECKING:
    from lightning_tune.models.classifier import Classifier

LEFT_ALONE = ("SkipLayerNormFusion", "BiasGeluFusion")
"""What ONNX Runtime's session must not fuse: on a CPU both take longer than what they replace."""


@dataclass(frozen=True)
class QuantizeSettings:
    """Which int8 graphs are made.

    Args:
        dynamic: With scales that follow each batch.
        static: With fixed scales, so that no text's answer depends on its neighbours.
        smooth: Divide channels that tower over the others before rounding with fixed scales.
        mixed: Leave the most sensitive products in fp32 in one more graph, where validation texts
            are given: this takes a session for each product.
        tables: Round embedding tables too; they are half of a small encoder.
        openvino: With fixed scales in standard operators, for OpenVINO, where that is installed.
    """

    dynamic: bool = True
    static: bool = True
    smooth: bool = True
    mixed: bool = True
    tables: bool = True
    openvino: bool = True

    def __post_init__(self) -> None:
        if not (self.dynamic or self.static or self.openvino):
            raise ConfigError(
                "quantize.dynamic, static and openvino are all false, so there is no int8 graph to "
                "take; set one of them to true, or quantize to null for fp32."
            )


@dataclass(frozen=True)
class Candidate:
    """A graph that may be shipped.

    Args:
        name: Of the row in the table.
        path: The file.
        kind: What its products are computed in.
        portable: Whether it has standard operators only, of an opset that any runtime reads.
        disabled_optimizers: What the session must not rewrite.
        note: What a reader should know.
        quantized: What became int8.
        runtime: What computes it.
    """

    name: str
    path: Path
    kind: Literal["fp32", "int8"]
    portable: bool = False
    disabled_optimizers: tuple[str, ...] = LEFT_ALONE
    note: str = ""
    quantized: Quantized | None = None
    runtime: Runtime = "onnxruntime"


@dataclass(frozen=True)
class Candidates:
    """All graphs of one classifier.

    Args:
        graphs: The portable one first.
        kernels: What the self-test of the integer kernels found.
        notes: What was not possible, and why.
    """

    graphs: tuple[Candidate, ...]
    kernels: Kernels | None = None
    notes: tuple[str, ...] = ()


def make_candidates(
    classifier: Classifier,
    calibration: Sequence[Batch],
    settings: QuantizeSettings | None,
    work: Path,
    *,
    with_types: bool,
    validation: Sequence[Batch] = (),
) -> Candidates:
    """Export and quantize a classifier in every way that may win.

    Args:
        classifier: What answers.
        calibration: Texts of the training split, for fixed scales.
        settings: Which int8 graphs are made; None: none.
        work: Folder for the files.
        with_types: Whether the encoder takes `token_type_ids`.
        validation: Texts of the validation split, for sensitivity.

    Raises:
        ConfigError: if OpenVINO's graph alone is wanted and OpenVINO is not installed.
        GateError: if this machine's integer kernels are wrong.
    """
    has_openvino = find_spec("openvino") is not None
    if settings is not None and not (settings.dynamic or settings.static or has_openvino):
        raise ConfigError(
            "quantize.openvino=true alone needs OpenVINO, which is not installed; run pip install "
            "'lightning-tune[openvino]', or set quantize.dynamic or static to true."
        )
    work.mkdir(parents=True, exist_ok=True)
    portable, fused = work / "model.onnx", work / "model_fused.onnx"
    export_portable(classifier, portable, with_types=with_types)
    graphs = [Candidate("fp32", portable, "fp32", portable=True)]
    notes = []
    attempt = export_fused(classifier, fused, with_types=with_types)
    if attempt.path is None:
        notes.append(f"no fused graph: {attempt.reason}")
    else:
        graphs.append(Candidate("fp32 fused", fused, "fp32"))
    if settings is None:
        return Candidates(tuple(graphs), None, tuple(notes))
    kernels = check_kernels()
    if kernels.narrow_range:
        notes.append("weights take 7 bits: this processor's integer products overflow at 8")
    source = attempt.path or portable
    graphs += _int8(source, calibration, validation, settings, work, kernels)
    if settings.openvino and has_openvino:
        graphs.append(_for_openvino(portable, calibration, settings, work))
    return Candidates(tuple(graphs), kernels, tuple(notes))


def _int8(
    source: Path,
    calibration: Sequence[Batch],
    validation: Sequence[Batch],
    settings: QuantizeSettings,
    work: Path,
    kernels: Kernels,
) -> list[Candidate]:
    narrow, tables = kernels.narrow_range, settings.tables
    found = []

    def add(name: str, made: Quantized, note: str = "") -> None:
        found.append(Candidate(name, made.path, "int8", note=note, quantized=made))

    if settings.dynamic:
        path = work / "dynamic.onnx"
        add("int8 dynamic", dynamic_int8(source, path, narrow_range=narrow, tables=tables))
    if not settings.static:
        return found
    seen = watch(source, calibration)
    factors = factors_of(onnx.load(source), seen) if settings.smooth else NONE
    left = (("", ()), *_mixed(source, seen, factors, validation, settings))
    for suffix, exclude in left:
        made = static_int8(
            source,
            work / f"static{len(exclude) or ''}.onnx",
            seen,
            exclude=exclude,
            factors=factors,
            narrow_range=narrow,
            tables=tables,
        )
        note = f"{counted(len(exclude), 'product')} in fp32" if exclude else ""
        add(f"int8 static{suffix}", made, note)
    return found


def _for_openvino(
    portable: Path, calibration: Sequence[Batch], settings: QuantizeSettings, work: Path
) -> Candidate:
    """Return a graph that says in standard operators what is rounded; OpenVINO makes its own."""
    seen = watch(portable, calibration)
    factors = factors_of(onnx.load(portable), seen) if settings.smooth else NONE
    made = static_int8(
        portable,
        work / "openvino.onnx",
        seen,
        factors=factors,
        tables=settings.tables,
        form="qdq",
    )
    note = "needs OpenVINO"
    return Candidate(
        "int8 OpenVINO", made.path, "int8", note=note, quantized=made, runtime="openvino"
    )


def _mixed(
    source: Path,
    seen: Activations,
    factors: Factors,
    validation: Sequence[Batch],
    settings: QuantizeSettings,
) -> list[tuple[str, tuple[str, ...]]]:
    """Return the mixed graph's name and its products in fp32; nothing if there is none."""
    if not settings.mixed or not validation:
        return []
    exclude = most_sensitive(sensitivity(source, seen, validation, factors=factors))
    return [(" mixed", exclude)] if exclude else []
