"""Dropout whose mask costs an eighth of the random numbers, applied as a bitwise and.

`torch.nn.Dropout` on a CPU draws one random number an element in one thread, a fifth of a small
encoder's training step. A byte is enough to tell whether an element is kept, so a 64-bit number
decides about eight. The probability is that of torch rounded to a 256th; what is kept is scaled by
the rounded one, so that expectations are exact.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tune.models.fast.autograd import apply

_BITS = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16}
_DRAWN = torch.int64


def dropped_bytes(p: float) -> int:
    """Return how many of the 256 values of a byte drop an element; at least 1 where p is above 0.

    >>> dropped_bytes(0.1), dropped_bytes(0.0), dropped_bytes(0.0001)
    (26, 0, 1)
    """
    return 0 if p <= 0 else min(max(round(p * 256), 1), 255)


def scale_of(p: float) -> float:
    """Return the factor on what is kept, so that the expectation stays.

    >>> round(scale_of(0.1), 4)
    1.113
    """
    return 256 / (256 - dropped_bytes(p))


def keep_bits(shape: tuple[int, ...], p: float, dtype: torch.dtype) -> Tensor:
    """Draw which elements are kept, from torch's global generator.

    Args:
        shape: Shape of what is to be masked.
        p: Probability of being dropped, in [0, 1).
        dtype: Floating type of what is to be masked.

    Returns:
        Integers as wide as that type: all bits set where an element is kept, else none.
    """
    count = prod(shape)
    drawn = torch.empty(-(-count // 8), dtype=_DRAWN).random_(-(2**63), None)
    bits = drawn.view(torch.int8)[:count]
    # A signed byte below the threshold is kept: it becomes -1, the others 0.
    threshold = 128 - dropped_bytes(p)
    bits.clamp_(threshold - 1, threshold).sub_(threshold)
    return bits.view(shape).to(_BITS[dtype])


def mask(values: Tensor, bits: Tensor) -> Tensor:
    """Return values where bits are set and zeros elsewhere."""
    return (values.view(bits.dtype) & bits).view(values.dtype)


def mask_(values: Tensor, bits: Tensor) -> Tensor:
    """The same in place; `values` must be contiguous."""
    values.view(bits.dtype).bitwise_and_(bits)
    return values


class Dropout(torch.autograd.Function):
    """Zero what a fresh mask drops and scale the rest."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, p: float) -> Tensor:
        """Return the values that are left, scaled."""
        bits = keep_bits(tuple(values.shape), p, values.dtype)
        ctx.save_for_backward(bits)
        ctx.scale = scale_of(p)
        return mask(values.contiguous(), bits).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of what was left, scaled alike."""
        (bits,) = ctx.saved_tensors
        return mask(grad.contiguous(), bits).mul_(ctx.scale), None


class ByteDropout(nn.Dropout):
    """Dropout by random bytes on a CPU, torch's own elsewhere."""

    def forward(self, values: Tensor) -> Tensor:
        """Return values with some elements zeroed and the others scaled, in training."""
        if not self.training or self.p <= 0:
            return values
        if values.device.type != "cpu" or values.dtype not in _BITS or self.p >= 1:
            return super().forward(values)
        return apply(Dropout, values, self.p)
