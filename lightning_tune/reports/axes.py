"""The scale of an axis: round ticks, and positions in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` to pixels from `start` to `end`, in a straight line."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position of a value, to a tenth of a pixel."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[float]:
        """Round values inside the range."""
        return ticks(self.low, self.high)


@dataclass(frozen=True)
class LogScale(Scale):
    """Maps positive values so that equal ratios are equally far apart."""

    def __call__(self, value: float) -> float:
        """Return the position of a value, to a tenth of a pixel."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[float]:
        """1, 2 and 5 times powers of ten inside the range."""
        return log_steps(self.low, self.high)


def log_steps(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten between two positive bounds.

    >>> log_steps(0.7, 12)
    [1.0, 2.0, 5.0, 10.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [float(f"{factor}e{power}") for power in powers for factor in (1, 2, 5)]
    return [step for step in steps if low * (1 - 1e-9) <= step <= high * (1 + 1e-9)]


def log_span(values: Iterable[float]) -> tuple[float, float]:
    """Return the closest of 1, 2 and 5 times powers of ten that lie around positive values.

    >>> log_span([1.3, 40.0]), log_span([2.0])
    ((1.0, 50.0), (1.0, 5.0))
    """
    found = list(values)
    steps = log_steps(min(found) / 10, max(found) * 10)
    low = max(step for step in steps if step < min(found))
    return low, min(step for step in steps if step > max(found))


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round values between two bounds, both included where they are round.

    >>> ticks(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(0.83, 0.94, 4)
    [0.85, 0.9]
    """
    step = _round_step((high - low) / count)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [_tidy(index * step, step) for index in range(first, last + 1)]


def span(values: Iterable[float], *, count: int = 4) -> tuple[float, float]:
    """Return round bounds around the values, about `count` ticks apart, and never of no width.

    >>> span([0.12, 2.9])
    (0.0, 3.0)
    >>> span([5, 5]), span([])
    ((4.5, 5.5), (0.0, 1.0))
    """
    found = list(values)
    if not found:
        return 0.0, 1.0
    low, high = min(found), max(found)
    if high - low <= 1e-9 * abs(high):
        low, high = low - (abs(low) / 10 or 1.0), high + (abs(high) / 10 or 1.0)
    step = _round_step((high - low) / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return _tidy(first * step, step), _tidy(last * step, step)


def _round_step(rough: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.97)


def _tidy(value: float, step: float) -> float:
    """Drop the digits that multiplying left behind."""
    return round(value, max(0, 1 - math.floor(math.log10(step))))


def tick_text(value: float) -> str:
    """Show a tick in few characters.

    >>> [tick_text(value) for value in (0.0, 0.25, 1500.0, 3e6, 1e-04)]
    ['0', '0.25', '1.5k', '3M', '1e-4']
    """
    if value and abs(value) < 0.001:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    for bound, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= bound:
            return f"{value / bound:.4g}{unit}"
    return f"{value:.4g}"
