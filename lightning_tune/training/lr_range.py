"""The learning-rate range test: losses under a rising rate, and the rate that they suggest.

Smith 2017, https://arxiv.org/abs/1506.01186. Fine-tuning asks for less than the usual reading, the
rate of the steepest descent: there a pretrained encoder is already being overrun (MiniLM on SST-2
falls steepest at 1.3e-4 and diverges from 2.3e-4 on). What is taken is the rate at which the
descent has set in, with the first part of it done.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SET_IN = 0.15  # share of the descent that is done at the rate that is taken
_WIDTH = 0.025  # standard deviation of the smoothing, as a share of all steps
_LEAST_DESCENT = 0.02  # share of the first loss; less is taken for noise
_MEAN_OVER = 8  # steps whose mean tells that the loss has risen again


@dataclass(frozen=True)
class RangeTest:
    """What a range test measured.

    Args:
        rates: The learning rates, rising.
        losses: The loss before each step.
        smoothed: The same without most of the noise between batches.
        suggestion: The rate at which the descent sets in; None where there is none.
    """

    rates: Sequence[float]
    losses: Sequence[float]
    smoothed: Sequence[float]
    suggestion: float | None


def spread(lowest: float, highest: float, steps: int) -> list[float]:
    """Return rates that rise by equal factors.

    >>> [round(rate, 6) for rate in spread(1e-4, 1e-2, 3)]
    [0.0001, 0.001, 0.01]
    """
    factor = (highest / lowest) ** (1 / (steps - 1))
    return [lowest * factor**step for step in range(steps)]


def measure(step: Callable[[float], float], rates: Sequence[float]) -> RangeTest:
    """Take steps at rising rates until the loss has risen again or is not finite.

    Args:
        step: Makes one step at a rate and returns the loss before it.
        rates: The learning rates, rising.
    """
    taken: list[float] = []
    losses: list[float] = []
    for rate, loss in _steps(step, rates):
        taken.append(rate)
        losses.append(loss)
        if 3 * len(losses) > len(rates) and _has_risen(losses):
            break
    if not losses:
        return RangeTest((), (), (), None)
    smoothed = smooth(losses, len(rates))
    least = _least_descent(losses, 2 * math.sqrt(math.pi) * max(1.0, _WIDTH * len(rates)))
    return RangeTest(taken, losses, smoothed.tolist(), suggest(taken, smoothed, least))


def _steps(step: Callable[[float], float], rates: Sequence[float]) -> Iterator[tuple[float, float]]:
    for rate in rates:
        loss = step(rate)
        if not math.isfinite(loss):
            return
        yield rate, loss


def _has_risen(losses: Sequence[float]) -> bool:
    """Whether half of the descent is lost again, by the means of neighbouring losses."""
    if len(losses) < _MEAN_OVER:
        return False
    means = np.convolve(losses, np.full(_MEAN_OVER, 1 / _MEAN_OVER), "valid")
    descent = means[0] - means.min()
    is_one = descent > 1.5 * _least_descent(losses, _MEAN_OVER)
    return bool(is_one and means[-1] > means[0] - descent / 2)


def _least_descent(losses: Sequence[float], averaged: float) -> float:
    """Return how far means over that many losses must fall to be more than noise."""
    differences = np.abs(np.diff(losses))
    noise = float(np.median(differences)) / 0.954 if len(differences) else 0.0  # of a normal law
    return max(_LEAST_DESCENT * abs(losses[0]), 5 * noise / math.sqrt(averaged))


def smooth(losses: Sequence[float], steps: int) -> NDArray[np.float64]:
    """Average each loss with its neighbours on both sides, by a bell curve: nothing lags behind.

    Args:
        losses: One a step.
        steps: Steps of the whole test, which the width goes by.
    """
    values = np.asarray(losses, dtype=np.float64)
    width = max(1.0, _WIDTH * steps)
    places = np.arange(len(values))
    weights = np.exp(-(((places[:, None] - places) / width) ** 2) / 2)  # [losses, losses]
    smoothed: NDArray[np.float64] = weights @ values / weights.sum(axis=1)
    return smoothed


def suggest(
    rates: Sequence[float], smoothed: Sequence[float] | NDArray[np.float64], least: float
) -> float | None:
    """Return the rate at which the descent sets in, to two digits; None where there is none.

    Args:
        rates: The learning rates, rising.
        smoothed: The smoothed losses.
        least: How far they must fall.

    >>> suggest([1e-5, 1e-4, 1e-3, 1e-2], [2.0, 1.7, 1.0, 5.0], 0.1)
    0.0001
    """
    values = np.asarray(smoothed)
    lowest = int(values.argmin())
    first = values[: lowest + 1].max()
    descent = first - values[lowest]
    if not descent > least:
        return None
    # From the right: noise before the descent may cross the mark more than once.
    above = np.flatnonzero(values[: lowest + 1] > first - SET_IN * descent)
    return float(f"{rates[int(above[-1]) + 1]:.1e}")
