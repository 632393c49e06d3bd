"""Those that are measured against each other: ONNX Runtime, PyTorch in fp32 and bf16, OpenVINO."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_tune.serving.runtime import session_options
from lightning_tune_export.measure import Batch, Runner

if TYPE_CHECKING:
    import onnxruntime as ort

    from lightning_tune.models.classifier import Classifier

Logits = NDArray[np.float32]


def onnx_session(
    graph: Path | bytes, *, threads: int, disabled_optimizers: Sequence[str] = ()
) -> ort.InferenceSession:
    """Open a graph in ONNX Runtime on the CPU.

    Args:
        graph: The file, or its content.
        threads: Threads of one product.
        disabled_optimizers: Rewritings that ONNX Runtime shall leave.
    """
    import onnxruntime as ort

    return ort.InferenceSession(
        graph if isinstance(graph, bytes) else str(graph),
        session_options(threads),
        providers=["CPUExecutionProvider"],
        disabled_optimizers=list(disabled_optimizers),
    )


def onnx_runner(session: ort.InferenceSession) -> Runner:
    """Return what answers a batch with logits."""

    def run(batch: Batch) -> Logits:
        found: Logits = session.run(None, dict(batch))[0]
        return found

    return run


def torch_runner(classifier: Classifier, dtype: Literal["float32", "bfloat16"]) -> Runner:
    """Return what answers a batch in eager PyTorch, as it is used without an export."""
    import torch

    def run(batch: Batch) -> Logits:
        tensors = {name: torch.from_numpy(values) for name, values in batch.items()}
        with (
            torch.inference_mode(),
            torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"),
        ):
            found: Logits = classifier(tensors).numpy()
            return found

    classifier.eval()
    return run


def openvino_runner(path: Path, *, threads: int, precision: Literal["f32", "bf16"]) -> Runner:
    """Return what answers a batch in OpenVINO, from a graph of standard operators.

    Args:
        path: The graph: fp32, or int8 with QuantizeLinear and DequantizeLinear.
        threads: Threads of one product.
        precision: Of what is not int8.

    Raises:
        ImportError: where OpenVINO is not installed.
    """
    import openvino as ov

    compiled = ov.Core().compile_model(
        str(path),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
        },
    )
    request = compiled.create_infer_request()

    def run(batch: Batch) -> Logits:
        found: Logits = request.infer(dict(batch), share_inputs=True)[compiled.output(0)]
        return found

    return run


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Give PyTorch so many threads, then as many as before."""
    import torch

    before: Any = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)
