"""int8 graphs from a fp32 graph: weights in 8 bits a channel, activations in 8 bits as they come.

Products are written as the operators that ONNX Runtime computes them with (MatMulIntegerToFloat),
so that nothing depends on what its optimizer recognises. Activations are unsigned and weights
signed: the only pair that ONNX Runtime hands to VNNI and AMX.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from lightning_tune.errors import ConfigError
from lightning_tune_export.graph_edits import GraphEdits
from lightning_tune_export.onnx_graph import save

MICROSOFT = "com.microsoft"
LEAST_TABLE = 2**16
"""Entries of an embedding table below which 8 bits save nothing worth a rounding."""


@dataclass(frozen=True)
class Quantized:
    """What became 8 bits.

    Args:
        path: The file.
        products: Matrix products in int8.
        left: Names of the matrix products with constant weights that stay in fp32.
        tables: Embedding tables in int8.
    """

    path: Path
    products: int
    left: tuple[str, ...]
    tables: int


def dynamic_int8(
    source: Path,
    path: Path,
    *,
    exclude: Collection[str] = (),
    narrow_range: bool = False,
    tables: bool = True,
) -> Quantized:
    """Write a graph whose activations are scaled anew for every batch.

    Args:
        source: The fp32 graph.
        path: The file.
        exclude: Names of nodes to leave in fp32.
        narrow_range: Whether weights take 7 bits, for processors without VNNI or AMX, whose
            16-bit sums overflow else.
        tables: Whether embedding tables become int8.

    Raises:
        ConfigError: if nothing could be quantized.
    """
    edits = GraphEdits(onnx.load(source))
    quantizer = _Quantizer(edits, 63 if narrow_range else 127)
    products, left = 0, []
    for node in list(edits.nodes):
        if not is_product(node, edits):
            continue
        if node.name in exclude:
            left.append(node.name)
            continue
        quantizer.product(node)
        products += 1
    count = sum(map(quantizer.table, list(edits.nodes))) if tables else 0
    if not products:
        raise ConfigError(
            f"{source.name} has no matrix product with constant weights outside the {len(left)} "
            "excluded ones, so int8 would change nothing; exclude fewer nodes."
        )
    save(edits.finish(), path)
    return Quantized(path, products, tuple(left), count)


def is_product(node: NodeProto, edits: GraphEdits) -> bool:
    """Whether a node multiplies activations with constant weights."""
    if node.op_type != "MatMul":
        return False
    weights = edits.constants.get(node.input[1])
    return weights is not None and len(weights.dims) == 2


def by_channel(weights: NDArray[Any], top: int = 127) -> tuple[NDArray[Any], NDArray[Any]]:
    """Round weights to int8 with a scale for each column.

    Args:
        weights: [inputs, outputs] float32.
        top: Largest magnitude of the result.

    Returns:
        int8 [inputs, outputs], and the scales [outputs] float32.

    >>> rounded, scales = by_channel(np.array([[1.27, 0.5], [-0.635, 0.0]], np.float32))
    >>> rounded.tolist(), scales.round(4).tolist()
    ([[127, 127], [-64, 0]], [0.01, 0.0039])
    """
    scales = np.abs(weights).max(axis=0) / top
    scales = np.where(scales > 0, scales, 1).astype(np.float32)
    return np.clip(np.rint(weights / scales), -top, top).astype(np.int8), scales


class _Quantizer:
    def __init__(self, edits: GraphEdits, top: int) -> None:
        self.edits = edits
        self.top = top
        self._quantized: dict[str, list[str]] = {}
        self._weights: dict[str, tuple[str, str]] = {}

    def product(self, node: NodeProto) -> None:
        """Replace a product, and the bias that is added to it, by one in int8."""
        weights, scales = self._rounded(node.input[1])
        values, scale, zero = self._activations(node)
        add, bias = self._bias(node)
        output = node.output[0] if add is None else add.output[0]
        inputs = [values, weights, scale, scales, zero, "", *([bias] if bias else [])]
        new = helper.make_node(
            "MatMulIntegerToFloat", inputs, [output], node.name, domain=MICROSOFT
        )
        self.edits.replace(node, [new])
        if add is not None:
            self.edits.replace(add, [])

    def table(self, node: NodeProto) -> bool:
        """Let an embedding be looked up in int8; return whether the node was one."""
        table = self.edits.array(node.input[0]) if node.op_type == "Gather" else None
        if table is None or table.ndim != 2 or table.size < LEAST_TABLE:
            return False
        if table.dtype != np.float32:
            return False
        rounded, scales = by_channel(table.T)  # a scale for each row
        names = (node.input[0] + "/int8", node.input[0] + "/scales")
        self._constant(names[0], rounded.T)
        self._constant(names[1], scales[:, None])
        found, scale, cast = (self.edits.fresh(node.output[0]) for _ in range(3))
        self.edits.replace(
            node,
            [
                helper.make_node("Gather", [names[0], node.input[1]], [found], node.name),
                helper.make_node("Gather", [names[1], node.input[1]], [scale]),
                helper.make_node("Cast", [found], [cast], to=onnx.TensorProto.FLOAT),
                helper.make_node("Mul", [cast, scale], [node.output[0]]),
            ],
        )
        return True

    def _rounded(self, name: str) -> tuple[str, str]:
        if name not in self._weights:
            array = self.edits.array(name)
            if array is None:
                raise ValueError(f"{name} is no constant")
            rounded, scales = by_channel(array, self.top)
            names = (f"{name}/int8", f"{name}/scales")
            self._constant(names[0], rounded)
            self._constant(names[1], scales)
            self._weights[name] = names
        return self._weights[name]

    def _activations(self, node: NodeProto) -> list[str]:
        """Return values, scale and zero point of what a product reads; who reads it shares them."""
        name = node.input[0]
        if name not in self._quantized:
            parts = [f"{name}/{part}" for part in ("uint8", "scale", "zero")]
            new = helper.make_node("DynamicQuantizeLinear", [name], parts)
            place = next(index for index, each in enumerate(self.edits.nodes) if each is node)
            self.edits.nodes.insert(place, new)
            self._quantized[name] = parts
        return self._quantized[name]

    def _bias(self, node: NodeProto) -> tuple[NodeProto | None, str]:
        """Return the addition of a constant that alone reads a product, and that constant."""
        readers = self.edits.readers().get(node.output[0], [])
        if len(readers) != 1 or readers[0].op_type != "Add":
            return None, ""
        others = [name for name in readers[0].input if name != node.output[0]]
        is_bias = len(others) == 1 and others[0] in self.edits.constants
        if not is_bias or len(self.edits.constants[others[0]].dims) != 1:
            return None, ""
        return readers[0], others[0]

    def _constant(self, name: str, value: NDArray[Any]) -> None:
        self.edits.constants[name] = onnx.numpy_helper.from_array(np.ascontiguousarray(value), name)


def count_int8(model: ModelProto) -> int:
    """Count the matrix products of a model that are computed in int8."""
    kinds = {"MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulInteger", "QGemm"}
    return sum(node.op_type in kinds for node in model.graph.node)
