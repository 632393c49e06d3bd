"""Who is measured: the candidates that could be shipped, and the baselines beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from lightning_tune.serving.manifest import Runtime, SessionSettings
from lightning_tune.serving.runtime import OnnxRuntimeSession, OpenVinoSession
from lightning_tune_export.contenders import torch_runner
from lightning_tune_export.ladder import Role
from lightning_tune_export.prune.probing import fast_type
from lightning_tune_export.report.words import REFERENCE
from lightning_tune_export.runners import Runner
from lightning_tune_export.source import Source


@dataclass(frozen=True)
class Entrant:
    """Something that answers.

    Args:
        name: Its name in tables.
        role: A candidate may be taken; a baseline stands beside them.
        source: Whose data and tokenizer its batches are made with.
        run: Answers batches.
        path: Its file; None of a baseline that has none of its own.
        session: How its file is run.
        quantized: Whether it computes in integers.
        note: What a reader has to know.
    """

    name: str
    role: Role
    source: Source
    run: Runner
    path: Path | None = None
    session: SessionSettings = SessionSettings()  # noqa: RUF009 - frozen
    quantized: bool = False
    note: str = ""

    @property
    def megabytes(self) -> float | None:
        """Size of the file in 10**6 bytes."""
        return None if self.path is None else self.path.stat().st_size / 1e6


def onnx_entrant(
    name: str,
    path: Path,
    source: Source,
    *,
    role: Role,
    threads: int,
    disabled: Sequence[str] = (),
    quantized: bool = False,
    note: str = "",
    runtime: Runtime = "onnxruntime",
) -> Entrant:
    """Open an ONNX file."""
    if runtime == "onnxruntime":
        session = SessionSettings(tuple(disabled))
        run = OnnxRuntimeSession(path, session.disabled_optimizers, threads).run
    else:
        session = SessionSettings(runtime=runtime)
        run = OpenVinoSession(path, threads, bf16=runtime == "openvino-bf16").run
    return Entrant(name, role, source, run, path, session, quantized, note)


def baselines(
    trained: Source, final: Source, portable: Path, *, threads: int
) -> tuple[list[Entrant], list[str]]:
    """Return PyTorch in fp32 and bf16 and OpenVINO, and a word for each that is left out.

    Args:
        trained: The checkpoint as it was trained.
        final: What the graphs were exported of.
        portable: The portable graph, which OpenVINO reads.
        threads: Threads of OpenVINO; PyTorch has its own.
    """
    found = [Entrant(REFERENCE, "baseline", trained, trained.run)]
    left_out = []
    computes_bf16 = fast_type() is torch.bfloat16
    if computes_bf16:
        run = torch_runner(trained.module.classifier, "bfloat16")
        found.append(Entrant("torch bf16", "baseline", trained, run))
    else:
        left_out.append("torch bf16 is left out: this processor does not compute in bf16.")
    if find_spec("openvino") is None:
        left_out.append("OpenVINO is left out: it is not installed (extra openvino).")
        return found, left_out
    precisions: Mapping[str, Runtime] = {"OpenVINO fp32": "openvino"}
    if computes_bf16:
        precisions = {**precisions, "OpenVINO bf16": "openvino-bf16"}
    for name, runtime in precisions.items():
        run = OpenVinoSession(portable, threads, bf16=runtime == "openvino-bf16").run
        session = SessionSettings(runtime=runtime)
        found.append(Entrant(name, "baseline", final, run, None, session))
    return found, left_out
