"""How much each product in int8 alone moves the answers, and which are worth their time in fp32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from lightning_tune_export.activations import Activations
from lightning_tune_export.contenders import onnx_session
from lightning_tune_export.graph_edits import GraphEdits, is_product
from lightning_tune_export.measure import Batch
from lightning_tune_export.quantize import Rounding, quantized
from lightning_tune_export.smoothing import NONE, Factors

Sensitivity = Mapping[str, float]
"""Root of the mean squared difference of the logits, by the name of the product."""


def sensitivity(
    source: Path,
    seen: Activations,
    batches: Sequence[Batch],
    *,
    factors: Factors = NONE,
    threads: int = 1,
) -> Sensitivity:
    """Measure each product of a graph: in int8 while all others stay in fp32.

    Args:
        source: The fp32 graph.
        seen: What was seen on calibration texts.
        batches: Validation texts.
        factors: What channels are divided by before rounding.
        threads: Threads of one product.
    """
    content = source.read_bytes()
    model = onnx.load_from_string(content)
    names = product_names(model)
    wanted = _answers(content, batches, threads)
    how = Rounding(seen, factors, 127, "operators", tables=False)
    found = {}
    for name in names:
        alone, _ = quantized(_copy(model), how, exclude=[each for each in names if each != name])
        difference = _answers(alone.SerializeToString(), batches, threads) - wanted
        found[name] = float(np.sqrt(np.mean(difference**2)))
    return found


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def most_sensitive(
    measured: Sensitivity, *, share: float = 0.5, most: float = 0.25
) -> tuple[str, ...]:
    """Return the fewest products that bring about a share of all squared differences.

    Args:
        measured: What `sensitivity` found.
        share: Of the squared differences, in [0, 1].
        most: Share of the products that may be returned, in [0, 1].

    >>> most_sensitive({"a": 0.1, "b": 0.3, "c": 0.1, "d": 0.2}, most=0.5)
    ('b',)
    """
    ordered = sorted(measured, key=lambda name: -measured[name])
    squares = np.cumsum([measured[name] ** 2 for name in ordered])
    if not len(squares) or not squares[-1]:
        return ()
    needed = int(np.searchsorted(squares, share * squares[-1])) + 1
    return tuple(ordered[: min(needed, int(most * len(ordered)))])


def product_names(model: onnx.ModelProto) -> list[str]:
    """Return the names of a graph's matrix products with constant weights."""
    edits = GraphEdits(model)
    return [node.name for node in edits.nodes if is_product(node, edits)]


def _answers(graph: bytes, batches: Sequence[Batch], threads: int) -> NDArray[np.float32]:
    session = onnx_session(graph, threads=threads)
    return np.concatenate([session.run(None, dict(batch))[0] for batch in batches])
