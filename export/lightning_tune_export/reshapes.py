"""Take out reshapes that end where they began: what is left of heads where attention is fused."""

from __future__ import annotations

from onnx import ModelProto, NodeProto

from lightning_tune_export.graph_edits import GraphEdits
from lightning_tune_export.shapes import Shape, shapes_of


def drop_round_trips(model: ModelProto) -> None:
    """Let who reads a value that was reshaped back to an earlier shape read the earlier value.

    Args:
        model: With the shapes of its values, as the exporter gives them; changed in place.
    """
    edits = GraphEdits(model)
    shapes = shapes_of(model)
    makers = edits.makers()
    for node in edits.nodes:
        earlier = _same_before(node, shapes, makers) if node.op_type == "Reshape" else None
        if earlier is not None and node.output[0] not in edits.outputs:
            edits.rename_input(node.output[0], earlier)
    edits.finish()


def _same_before(
    node: NodeProto, shapes: dict[str, Shape], makers: dict[str, NodeProto]
) -> str | None:
    """Return the earliest value of a chain of reshapes that has the shape of its end."""
    wanted = shapes.get(node.output[0], ())
    found, name = None, node.input[0]
    while wanted:
        if shapes.get(name) == wanted:
            found = name
        maker = makers.get(name)
        if maker is None or maker.op_type != "Reshape":
            break
        name = maker.input[0]
    return found
