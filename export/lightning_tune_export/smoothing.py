"""Channels that tower over all others are divided before rounding, and their weights multiplied.

A scale for a whole tensor is set by its largest channel, and in BERT's kin one or two channels are
ten times as large as the rest. SmoothQuant (Xiao et al. 2022, https://arxiv.org/abs/2211.10438)
moves a part of that into the weights, which are rounded by channel. Here how much is chosen for
each product by the error of its output on calibration texts, and nothing is done where nothing is
gained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from lightning_tune_export.activations import Activation, Activations
from lightning_tune_export.graph_edits import GraphEdits, is_product
from lightning_tune_export.rounding import by_channel, rounded, scale_of

Array = NDArray[np.float32]
POWERS = (0.5, 0.6, 0.7, 0.8)
"""How much of a channel's size moves: all of it at 1, none at 0."""
SHARES = (0.9, 0.95, 0.98, 0.99)
"""Share of the channels that stay as they are, where only the largest are divided."""


Factors = Mapping[str, Array]
"""What to divide each channel by, [channels], by the name of the value."""
NONE: Factors = MappingProxyType({})


def factors_of(model: ModelProto, seen: Activations) -> Factors:
    """Choose what to divide the channels by that a model's products read.

    Args:
        model: The fp32 model.
        seen: What was seen on calibration texts.
    """
    edits = GraphEdits(model)
    weights: dict[str, list[Array]] = {}
    for node in edits.nodes:
        if is_product(node, edits):
            array = edits.array(node.input[1])
            weights.setdefault(node.input[0], []).append(array)  # type: ignore[arg-type]
    found = {name: best_factors(seen[name], each) for name, each in weights.items()}
    return {name: factors for name, factors in found.items() if factors is not None}


def best_factors(
    seen: Activation, weights: Sequence[Array], *, least_gain: float = 0.1
) -> Array | None:
    """Return what to divide each channel by before it is rounded.

    Args:
        seen: What the products read.
        weights: Their weights, each [channels, outputs].
        least_gain: Share of the error that must go, for the division to be worth its time.

    Returns:
        [channels] float32; None where dividing gains too little.
    """
    together = np.concatenate(list(weights), axis=1)
    before = output_error(seen, together, None)
    errors = [(output_error(seen, together, each), each) for each in _choices(seen, together)]
    error, found = min(errors, key=lambda pair: pair[0])
    return found if error < before * (1 - least_gain) else None


def output_error(seen: Activation, weights: Array, factors: Array | None) -> float:
    """Return the error of a product in int8, as a share of the product.

    Args:
        seen: What it reads.
        weights: [channels, outputs].
        factors: What each channel is divided by, or nothing.
    """
    divided = 1.0 if factors is None else factors
    scale, zero = scale_of(seen.low / divided, seen.high / divided)
    values = rounded(seen.rows / divided, scale, zero)
    int8, scales = by_channel(weights if factors is None else weights * factors[:, None])
    exact = seen.rows @ weights
    found = values @ (int8 * scales)
    return float(np.linalg.norm(found - exact) / max(float(np.linalg.norm(exact)), 1e-12))


def divide_values(edits: GraphEdits, attended: str, factors: Array) -> bool:
    """Divide what attention returns by dividing the weights that make its values: at no cost.

    Attention mixes tokens and leaves channels apart, so this is exact.

    Args:
        edits: The graph.
        attended: Name of a value.
        factors: What to divide its channels by, [channels].

    Returns:
        Whether the value is what attention returns, and could be divided so.
    """
    makers, readers = edits.makers(), edits.readers()
    attention = makers.get(attended)
    if attention is None or attention.op_type != "Attention":
        return False
    add = makers.get(attention.input[2])
    if add is None or add.op_type != "Add" or len(readers[add.output[0]]) != 1:
        return False
    product = next((makers[name] for name in add.input if name in makers), None)
    bias = next((edits.array(name) for name in add.input if name in edits.constants), None)
    if product is None or bias is None or not is_product(product, edits):
        return False
    weights = edits.array(product.input[1])
    if weights is None or weights.shape[1] != len(factors) or len(readers[product.output[0]]) != 1:
        return False
    product.input[1] = edits.add_constant(f"{product.input[1]}/divided", weights / factors)
    divided = edits.add_constant(f"{add.output[0]}/bias", bias / factors)
    del add.input[:]
    add.input.extend([product.output[0], divided])
    return True


def _choices(seen: Activation, weights: Array) -> list[Array]:
    sizes = np.maximum(seen.largest, 1e-5)
    rows = np.maximum(np.abs(weights).max(axis=1), 1e-5)
    by_power = [sizes**power / rows ** (1 - power) for power in POWERS]
    by_share = [np.maximum(sizes / np.quantile(sizes, share), 1) for share in SHARES]
    return [(each / np.median(each)).astype(np.float32) for each in (*by_power, *by_share)]
