"""Channels that tower over all others are divided before rounding, and their weights multiplied.

A scale for a whole tensor is set by its largest channel, and in BERT's kin one or two channels are
ten times as large as the rest. SmoothQuant (Xiao et al. 2022, https://arxiv.org/abs/2211.10438)
moves a part of that into the weights, which are rounded by channel. Here how much is chosen for
each product by the error of its output on calibration texts, and nothing is done where nothing is
gained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lightning_tune_export.activations import Activation
from lightning_tune_export.rounding import by_channel, rounded, scale_of

Array = NDArray[np.float32]
POWERS = (0.5, 0.6, 0.7, 0.8)
"""How much of a channel's size moves: all of it at 1, none at 0."""
SHARES = (0.9, 0.95, 0.98, 0.99)
"""Share of the channels that stay as they are, where only the largest are divided."""


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


def _choices(seen: Activation, weights: Array) -> list[Array]:
    sizes = np.maximum(seen.largest, 1e-5)
    rows = np.maximum(np.abs(weights).max(axis=1), 1e-5)
    by_power = [sizes**power / rows ** (1 - power) for power in POWERS]
    by_share = [np.maximum(sizes / np.quantile(sizes, share), 1) for share in SHARES]
    return [(each / np.median(each)).astype(np.float32) for each in (*by_power, *by_share)]
