"""Whether this machine's integer kernels compute what they should: a self-test, and what follows.

Processors without VNNI or AMX add pairs of 8-bit products in 16 bits, which overflow at full
range without a word. The test multiplies the largest numbers there are and compares with exact
sums; where they differ, weights of 7 bits are tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lightning_tune.errors import GateError
from lightning_tune.serving import cpu
from lightning_tune_export.contenders import onnx_session

SHAPES = ((1, 384, 384), (24, 384, 1536), (37, 1536, 384), (130, 96, 65))
"""Rows, inputs and outputs of the products: one row, many, and sizes that fit no tile."""
_TOLERANCE = 1e-6  # of the largest sum: results are float32


@dataclass(frozen=True)
class Kernels:
    """What the self-test found.

    Args:
        features: Instructions of the processor that integer kernels use.
        error: Largest difference from the exact sums at full range, as a share of the largest.
        narrow_error: The same with weights of 7 bits.
    """

    features: tuple[str, ...]
    error: float
    narrow_error: float

    @property
    def narrow_range(self) -> bool:
        """Whether weights have to take 7 bits here."""
        return self.error > _TOLERANCE


def check_kernels(*, threads: int = 1) -> Kernels:
    """Multiply the largest numbers in int8 and compare with exact sums.

    Raises:
        GateError: if the kernels are wrong even with weights of 7 bits.
    """
    errors = {
        top: max(_error(*shape, top=top, threads=threads) for shape in SHAPES) for top in (127, 63)
    }
    found = Kernels(cpu.features(), errors[127], errors[63])
    if found.narrow_error > _TOLERANCE:
        raise GateError(
            f"ONNX Runtime's integer products are wrong on this processor: by "
            f"{found.narrow_error:.1e} of the largest sum even with weights of 7 bits; export with "
            "a recipe without quantize, or with another version of onnxruntime."
        )
    return found


def _error(rows: int, inputs: int, outputs: int, *, top: int, threads: int) -> float:
    random = np.random.default_rng(0)
    values = random.integers(0, 256, (rows, inputs), dtype=np.uint8)
    weights = random.integers(-top, top + 1, (inputs, outputs), dtype=np.int64).astype(np.int8)
    values[0], weights[:, 0] = 255, top  # the largest sum there is …
    weights[:, -1] = -top  # … and the smallest
    exact = values.astype(np.int64) @ weights.astype(np.int64)
    session = onnx_session(_product(weights), threads=threads)
    found = session.run(None, {"values": values})[0]
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def _product(weights: NDArray[np.int8]) -> bytes:
    node = helper.make_node(
        "MatMulIntegerToFloat",
        ["values", "weights", "one", "ones"],
        ["found"],
        domain="com.microsoft",
    )
    constants: dict[str, NDArray[Any]] = {
        "weights": weights,
        "one": np.array(1, np.float32),
        "ones": np.ones(weights.shape[1], np.float32),
    }
    graph = helper.make_graph(
        [node],
        "self_test",
        [helper.make_tensor_value_info("values", TensorProto.UINT8, [None, len(weights)])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    content: bytes = model.SerializeToString()
    return content
