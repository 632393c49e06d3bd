"""The shapes of a model's values, as the exporter wrote them down."""

from __future__ import annotations

from onnx import ModelProto, ValueInfoProto

Shape = tuple[int | str, ...]


def shapes_of(model: ModelProto) -> dict[str, Shape]:
    """Return the shape of each value by name; () where an axis has neither name nor size."""
    graph = model.graph
    return {value.name: _shape(value) for value in (*graph.input, *graph.value_info, *graph.output)}


def _shape(value: ValueInfoProto) -> Shape:
    axes = value.type.tensor_type.shape.dim
    shape = tuple(axis.dim_param or axis.dim_value for axis in axes)
    return shape if all(shape) else ()
