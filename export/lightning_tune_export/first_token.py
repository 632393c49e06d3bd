"""In the last layer, compute for the first token alone where the head reads no other.

Most heads read the first token's output. The layers below need all tokens, and so do the last
layer's keys and values; its queries, its output projection, its feed-forward block and its norms
do not. Leaving those out is exact, and takes five sixths of the last layer's products away where
attention is one operator, and three quarters where it is written out.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from onnx import ModelProto, NodeProto, helper

from lightning_tune_export.graph_edits import GraphEdits, attributes
from lightning_tune_export.shapes import Shape, shapes_of

Need = Literal["nothing", "first", "all"]

_TOKEN_BY_TOKEN = frozenset(
    ("Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Cast", "Relu", "Sigmoid", "Tanh", "Erf", "Gelu")
)


def first_token_only(model: ModelProto) -> int:
    """Cut a model down to what its head reads.

    Args:
        model: With the shapes of its values, as the exporter gives them; changed in place.

    Returns:
        How many nodes compute for the first token alone; 0 where the head reads others too.
    """
    edits = GraphEdits(model)
    cut = _Cut(edits, shapes_of(model))
    cut.find_needs()
    narrowed = cut.narrow()
    edits.finish()
    return narrowed


class _Cut:
    def __init__(self, edits: GraphEdits, shapes: dict[str, Shape]) -> None:
        self.edits = edits
        self.shapes = shapes
        self.need: dict[str, Need] = {}
        self.sliced: dict[tuple[str, int], str] = {}

    def find_needs(self) -> None:
        """Note, from the outputs up, which values are needed for the first token alone."""
        for name in self.edits.outputs:
            self.need[name] = "all"
        for node in reversed(self.edits.nodes):
            narrow = {0: 1} if self._takes_first(node) else self._is_narrow(node)
            for place, name in enumerate(node.input):
                self._want(name, "first" if place in narrow else "all")

    def narrow(self) -> int:
        """Put slices where a node that computes for the first token reads a value of all."""
        count = 0
        wide = {
            name
            for node in self.edits.nodes
            for name in node.output
            if self.need.get(name) == "all" or not self._is_narrow(node)
        }
        for node in list(self.edits.nodes):
            places = self._is_narrow(node)
            for place, axis in (places or {}).items():
                if node.input[place] in wide:
                    node.input[place] = self._slice(node.input[place], axis)
            count += bool(places)
        return count

    def _want(self, name: str, need: Need) -> None:
        if name and self.need.get(name) != "all":
            self.need[name] = need

    def _is_narrow(self, node: NodeProto) -> dict[int, int]:
        """Return which inputs a node needs for the first token alone, each with its axis."""
        if any(self.need.get(name, "nothing") != "first" for name in node.output if name):
            return {}
        if node.op_type in _TOKEN_BY_TOKEN:
            return {place: 1 for place, name in enumerate(node.input) if self._has_tokens(name)}
        if not self._has_tokens(node.input[0]):
            return {}
        if node.op_type == "MatMul":
            return {0: 1} if node.input[1] in self.edits.constants else {}
        if node.op_type == "LayerNormalization":
            return {0: 1} if attributes(node).get("axis", -1) in (-1, 2) else {}
        if node.op_type == "MultiHeadAttention":
            bias = len(node.input) > 5 and bool(node.input[5])
            return {0: 1} | ({5: 2} if bias else {})
        return {}

    def _has_tokens(self, name: str) -> bool:
        shape = self.shapes.get(name, ())
        return len(shape) == 3 and shape[1] == "sequence"

    def _takes_first(self, node: NodeProto) -> bool:
        if node.op_type != "Gather" or attributes(node).get("axis", 0) != 1:
            return False
        index = self.edits.array(node.input[1])
        return index is not None and not index.any() and self._has_tokens(node.input[0])

    def _slice(self, name: str, axis: int) -> str:
        if (name, axis) not in self.sliced:
            numbers = [np.array([number], np.int64) for number in (0, 1, axis)]
            inputs = [self.edits.add_constant("first_token", number) for number in numbers]
            output = self.edits.fresh("first_token")
            self.edits.nodes.append(helper.make_node("Slice", [name, *inputs], [output]))
            self.sliced[name, axis] = output
        return self.sliced[name, axis]
