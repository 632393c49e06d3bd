"""Reading and changing an ONNX graph: who makes a value, who reads it, what is constant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper


class GraphEdits:
    """A model under change; `finish` makes it a model again.

    Args:
        model: The model; it is changed in place.
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.nodes: list[NodeProto] = list(model.graph.node)
        self.constants: dict[str, onnx.TensorProto] = {
            each.name: each for each in model.graph.initializer
        }
        self._fresh = 0

    @property
    def outputs(self) -> set[str]:
        """Names of the graph's outputs."""
        return {value.name for value in self.model.graph.output}

    def makers(self) -> dict[str, NodeProto]:
        """Return who makes each value."""
        return {name: node for node in self.nodes for name in node.output if name}

    def readers(self) -> dict[str, list[NodeProto]]:
        """Return who reads each value, once a node."""
        found: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.input):
                if name:
                    found.setdefault(name, []).append(node)
        return found

    def array(self, name: str) -> NDArray[Any] | None:
        """Return the constant of that name, or nothing."""
        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def add_constant(self, stem: str, value: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        name = self.fresh(stem)
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def fresh(self, stem: str) -> str:
        """Return a name that is not taken, the same in every run."""
        self._fresh += 1
        return f"{stem}/{self._fresh}"

    def replace(self, old: NodeProto, new: Sequence[NodeProto]) -> None:
        """Put nodes in the place of one."""
        place = next(index for index, node in enumerate(self.nodes) if node is old)
        self.nodes[place : place + 1] = new

    def rename_input(self, old: str, new: str) -> None:
        """Let all who read one value read another."""
        for node in self.nodes:
            for place, name in enumerate(node.input):
                if name == old:
                    node.input[place] = new

    def finish(self) -> ModelProto:
        """Drop what nobody reads, order the rest, and return the model."""
        graph = self.model.graph
        nodes = _in_order(_needed(self.nodes, self.outputs), set(self.constants))
        read = {name for node in nodes for name in _all_inputs(node)} | self.outputs
        del graph.node[:]
        graph.node.extend(nodes)
        constants = [tensor for name, tensor in self.constants.items() if name in read]
        del graph.initializer[:]
        graph.initializer.extend(constants)
        domains = {node.domain for node in nodes}
        if "com.microsoft" in domains and all(
            each.domain != "com.microsoft" for each in self.model.opset_import
        ):
            self.model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        return self.model


def attributes(node: NodeProto) -> Mapping[str, Any]:
    """Return a node's attributes as plain values."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def is_product(node: NodeProto, edits: GraphEdits) -> bool:
    """Whether a node multiplies activations with constant weights."""
    if node.op_type != "MatMul":
        return False
    weights = edits.constants.get(node.input[1])
    return weights is not None and len(weights.dims) == 2


def _all_inputs(node: NodeProto) -> Iterable[str]:
    yield from (name for name in node.input if name)
    for attribute in node.attribute:  # branches of an If read what stands outside them
        if attribute.type == onnx.AttributeProto.GRAPH:
            for inner in attribute.g.node:
                yield from _all_inputs(inner)
            yield from (value.name for value in attribute.g.output)


def _needed(nodes: list[NodeProto], outputs: set[str]) -> list[NodeProto]:
    makers = {name: node for node in nodes for name in node.output if name}
    kept: dict[int, NodeProto] = {}
    todo = list(outputs)
    while todo:
        node = makers.get(todo.pop())
        if node is not None and id(node) not in kept:
            kept[id(node)] = node
            todo.extend(_all_inputs(node))
    return [node for node in nodes if id(node) in kept]


def _in_order(nodes: list[NodeProto], known: set[str]) -> list[NodeProto]:
    """Sort nodes so that each stands after those it reads, else in the order they have."""
    makers = {name: node for node in nodes for name in node.output if name}
    placed: dict[int, NodeProto] = {}
    for start in nodes:
        stack = [start]
        while stack:
            node = stack[-1]
            missing = [
                makers[name]
                for name in _all_inputs(node)
                if name in makers and name not in known and id(makers[name]) not in placed
            ]
            if missing:
                stack.extend(missing)
            else:
                placed.setdefault(id(node), node)
                stack.pop()
    return list(placed.values())
