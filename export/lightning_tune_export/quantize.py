"""int8 graphs from a fp32 graph: weights rounded by channel, activations by tensor.

Products are written as the operator that ONNX Runtime computes them with (MatMulIntegerToFloat),
so that nothing depends on what its optimizer recognises. Activations are unsigned and weights
signed: the only pair that ONNX Runtime hands to VNNI and AMX.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from lightning_tune.errors import ConfigError
from lightning_tune_export.activations import Activations
from lightning_tune_export.graph_edits import GraphEdits, is_product
from lightning_tune_export.onnx_graph import save
from lightning_tune_export.rounding import by_channel, scale_of
from lightning_tune_export.smoothing import NONE, Factors, divide_values

MICROSOFT, INT8 = "com.microsoft", "MatMulIntegerToFloat"
Form = Literal["operators", "qdq"]
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
        smoothed: Activations whose largest channels are divided before rounding.
    """

    path: Path
    products: int
    left: tuple[str, ...]
    tables: int
    smoothed: int


def dynamic_int8(
    source: Path,
    path: Path,
    *,
    exclude: Collection[str] = (),
    factors: Factors = NONE,
    narrow_range: bool = False,
    tables: bool = True,
) -> Quantized:
    """Write a graph whose activations are scaled anew for every batch.

    Args:
        source: The fp32 graph.
        path: The file.
        exclude: Names of nodes to leave in fp32.
        factors: What to divide channels by before rounding, as `smoothing.factors_of` finds it.
        narrow_range: Whether weights take 7 bits, for processors without VNNI or AMX, whose
            16-bit sums overflow else.
        tables: Whether embedding tables become int8.

    Raises:
        ConfigError: if nothing could be quantized.
    """
    how = Rounding(None, factors, 63 if narrow_range else 127, "operators", tables)
    model, made = quantized(onnx.load(source), how, exclude=exclude)
    save(model, path)
    return replace(made, path=path)


def static_int8(
    source: Path,
    path: Path,
    seen: Activations,
    *,
    exclude: Collection[str] = (),
    factors: Factors = NONE,
    narrow_range: bool = False,
    tables: bool = True,
    form: Form = "operators",
) -> Quantized:
    """Write a graph whose activations have fixed scales: no text's answer depends on another's.

    Args:
        source: The fp32 graph.
        path: The file.
        seen: What was seen on calibration texts.
        exclude: Names of nodes to leave in fp32.
        factors: What to divide channels by before rounding, as `smoothing.factors_of` finds it.
        narrow_range: Whether weights take 7 bits, for processors without VNNI or AMX, whose
            16-bit sums overflow else.
        tables: Whether embedding tables become int8.
        form: ONNX Runtime's own operators, or `qdq`: standard ones that say what is rounded, from
            which OpenVINO and others make their own.

    Raises:
        ConfigError: if nothing could be quantized.
    """
    how = Rounding(seen, factors, 63 if narrow_range else 127, form, tables)
    model, made = quantized(onnx.load(source), how, exclude=exclude)
    save(model, path)
    return replace(made, path=path)


@dataclass(frozen=True)
class Rounding:
    """How a graph is rounded.

    Args:
        ranges: What activations span; None: they are asked at run time.
        factors: What to divide channels by before rounding.
        top: Largest magnitude of a weight.
        form: How products are written.
        tables: Whether embedding tables become int8.
    """

    ranges: Activations | None
    factors: Factors
    top: int
    form: Form
    tables: bool


def quantized(
    model: ModelProto, how: Rounding, *, exclude: Collection[str] = ()
) -> tuple[ModelProto, Quantized]:
    """Round a model in place and return it, with what became of it.

    Args:
        model: The fp32 model.
        how: How it is rounded.
        exclude: Names of nodes to leave in fp32.

    Raises:
        ConfigError: if nothing could be quantized.
    """
    edits = GraphEdits(model)
    nodes = [node for node in edits.nodes if is_product(node, edits)]
    chosen = [node for node in nodes if node.name not in exclude]
    if not chosen:
        raise ConfigError(
            f"the graph has {len(nodes)} matrix products with constant weights and all of them are "
            "excluded, so int8 would change nothing; exclude fewer."
        )
    quantizer = _Quantizer(edits, how)
    read = {node.input[0] for node in chosen}
    quantizer.divide(sorted(read & how.factors.keys()))
    for node in chosen:
        quantizer.product(node)
    tables = sum(map(quantizer.table, list(edits.nodes))) if how.tables else 0
    edits.finish()
    made = count_int8(model)
    if made != len(chosen):  # a product that nobody reads any more, or one that was lost
        raise RuntimeError(f"{len(chosen)} products were to be int8, and {made} are")
    left = tuple(node.name for node in nodes if node.name in exclude)
    return model, Quantized(Path(), made, left, tables, len(read & how.factors.keys()))


class _Quantizer:
    """Rewrites a graph.

    Args:
        edits: The graph.
        how: How it is rounded.
    """

    def __init__(self, edits: GraphEdits, how: Rounding) -> None:
        self.edits = edits
        self.how = how
        self.divided: set[str] = set()  # already, by who makes them
        self._quantized: dict[str, list[str]] = {}
        self._weights: dict[tuple[str, str], tuple[str, str]] = {}

    def divide(self, names: list[str]) -> None:
        """Let values come divided, where who makes them can do so at no cost."""
        for name in names:
            if divide_values(self.edits, name, self.how.factors[name]):
                self.divided.add(name)

    def product(self, node: NodeProto) -> None:
        """Replace a product, and the bias that is added to it, by one in int8."""
        weights, scales = self._rounded(node)
        values, scale, zero = self._activations(node)
        if self.how.form == "qdq":
            self._say(node, [values, scale, zero], [weights, scales])
            return
        add, bias = self._bias(node)
        output = node.output[0] if add is None else add.output[0]
        inputs = [values, weights, scale, scales, zero, "", *([bias] if bias else [])]
        new = helper.make_node(INT8, inputs, [output], node.name, domain=MICROSOFT)
        self.edits.replace(node, [new])
        if add is not None:
            self.edits.replace(add, [])

    def _say(self, node: NodeProto, values: list[str], weights: list[str]) -> None:
        """Let a product read what was rounded and turned back."""
        back = [f"{values[0]}/back", self.edits.fresh("weights")]
        nodes = [helper.make_node("DequantizeLinear", weights, back[1:], axis=1), node]
        if back[0] not in self.edits.makers():
            nodes.insert(0, helper.make_node("DequantizeLinear", values, back[:1]))
        self.edits.replace(node, nodes)
        del node.input[:]
        node.input.extend(back)

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

    def _weights_of(self, node: NodeProto) -> NDArray[np.float32]:
        array = self.edits.array(node.input[1])
        if array is None:
            raise ValueError(f"{node.input[1]} is no constant")
        return array

    def _rounded(self, node: NodeProto) -> tuple[str, str]:
        """Return the names of a product's int8 weights and scales; equal weights share them."""
        name, read = node.input[1], node.input[0]
        factors = self.how.factors.get(read)
        key = (name, read if factors is not None else "")
        if key not in self._weights:
            array = self._weights_of(node)
            values = array if factors is None else array * factors[:, None]
            rounded, scales = by_channel(values, self.how.top)
            stem = f"{name}/{len(self._weights)}"
            self._constant(f"{stem}/int8", rounded)
            self._constant(f"{stem}/scales", scales)
            self._weights[key] = (f"{stem}/int8", f"{stem}/scales")
        return self._weights[key]

    def _activations(self, node: NodeProto) -> list[str]:
        """Return values, scale and zero point of what a product reads; who reads it shares them."""
        name = node.input[0]
        if name not in self._quantized:
            place = next(index for index, each in enumerate(self.edits.nodes) if each is node)
            new, parts = self._nodes_for(name)
            self.edits.nodes[place:place] = new
            self._quantized[name] = parts
        return self._quantized[name]

    def _nodes_for(self, name: str) -> tuple[list[NodeProto], list[str]]:
        parts = [f"{name}/{part}" for part in ("uint8", "scale", "zero")]
        nodes, source, factors = [], name, self.how.factors.get(name)
        if factors is not None and name not in self.divided:
            source = f"{name}/divided"
            inverse = self.edits.add_constant(f"{name}/factors", 1 / factors)
            nodes.append(helper.make_node("Mul", [name, inverse], [source]))
        if self.how.ranges is None:
            nodes.append(helper.make_node("DynamicQuantizeLinear", [source], parts))
        else:
            seen, divided = self.how.ranges[name], 1.0 if factors is None else factors
            scale, zero = scale_of(seen.low / divided, seen.high / divided)
            self._constant(parts[1], np.array(scale))
            self._constant(parts[2], np.array(zero))
            nodes.append(helper.make_node("QuantizeLinear", [source, *parts[1:]], parts[:1]))
        return nodes, parts

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
    """Count the matrix products of a model that are computed in int8, or say that they may be."""
    edits = GraphEdits(model)
    makers = edits.makers()
    said = (
        all(name in makers and makers[name].op_type == "DequantizeLinear" for name in node.input)
        for node in edits.nodes
        if node.op_type == "MatMul"
    )
    kinds = {INT8, "DynamicQuantizeMatMul", "MatMulInteger", "QGemm"}
    return sum(node.op_type in kinds for node in edits.nodes) + sum(said)
