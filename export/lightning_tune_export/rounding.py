"""Rounding to 8 bits: weights by output channel, activations by tensor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def by_channel(weights: Array, top: int = 127) -> tuple[NDArray[np.int8], Array]:
    """Round weights to int8 with a scale for each column.

    Args:
        weights: [inputs, outputs] float32.
        top: Largest magnitude of the result.

    Returns:
        int8 [inputs, outputs], and the scales [outputs] float32.

    >>> int8, scales = by_channel(np.array([[127, 0.5], [-63, 0]], np.float32))
    >>> int8.tolist(), float(scales[0])
    ([[127, 127], [-63, 0]], 1.0)
    """
    largest = np.abs(weights).max(axis=0)
    scales = np.where(largest > 0, largest / top, 1).astype(np.float32)
    return np.clip(np.rint(weights / scales), -top, top).astype(np.int8), scales


def scale_of(low: Array, high: Array) -> tuple[np.float32, np.uint8]:
    """Return scale and zero point with which uint8 spans all values, 0 among them exactly.

    Args:
        low: Smallest values.
        high: Largest values.

    >>> scale, zero = scale_of(np.array([-100.0]), np.array([155.0]))
    >>> float(scale), int(zero)
    (1.0, 100)
    """
    lowest, highest = min(float(low.min()), 0.0), max(float(high.max()), 0.0)
    scale = np.float32(max(highest - lowest, 1e-8) / 255)
    return scale, np.uint8(np.clip(np.rint(-lowest / scale), 0, 255))


def rounded(values: Array, scale: np.float32, zero: np.uint8) -> Array:
    """Return values as they are after rounding to uint8 and back."""
    steps = np.clip(np.rint(values / scale) + int(zero), 0, 255)
    found: Array = ((steps - int(zero)) * scale).astype(np.float32)
    return found
