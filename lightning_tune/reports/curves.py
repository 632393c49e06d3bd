"""Logged curves made ready to draw: grouped, smoothed, thinned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from lightning_tune.reports.records import Point


def finite(points: Sequence[Point]) -> list[Point]:
    """Drop points that are not numbers."""
    return [point for point in points if all(map(math.isfinite, point))]


def thin(points: Sequence[Point], limit: int = 240) -> list[Point]:
    """Keep the lowest and highest point of each stretch, so that spikes stay visible.

    >>> thin([(x, float(x == 5)) for x in range(8)], limit=4)
    [(0, 0.0), (5, 1.0), (7, 0.0)]
    """
    if len(points) <= limit:
        return list(points)
    stretches = max(1, (limit - 2) // 2)
    kept = {0, len(points) - 1}
    for index in range(stretches):
        start = index * len(points) // stretches
        inside = range(start, (index + 1) * len(points) // stretches)
        kept.add(min(inside, key=lambda at: points[at][1]))
        kept.add(max(inside, key=lambda at: points[at][1]))
    return [points[at] for at in sorted(kept)]


def is_noisy(points: Sequence[Point]) -> bool:
    """Whether a curve turns so often that its trend is hard to see.

    >>> is_noisy([(x, x * x) for x in range(100)]), is_noisy([(x, x % 2) for x in range(100)])
    (False, True)
    """
    if len(points) < 30:
        return False
    steps = [after[1] - before[1] for before, after in pairwise(points)]
    turns = sum(one * other < 0 for one, other in pairwise(steps))
    return turns > len(points) / 5


def smooth(points: Sequence[Point]) -> list[Point]:
    """Return the exponential moving average over a fifteenth of the curve, started unbiased."""
    weight = 1 - 1 / max(1.0, len(points) / 15)
    total, mass, smoothed = 0.0, 0.0, []
    for x, y in points:
        total = weight * total + (1 - weight) * y
        mass = weight * mass + (1 - weight)
        smoothed.append((x, total / mass))
    return smoothed


def by_quantity(curves: Mapping[str, list[Point]]) -> dict[str, dict[str, list[Point]]]:
    """Group curves that share an axis: train/loss and val/loss under "loss"; empty ones drop out.

    >>> by_quantity({"train/loss_step": [(0, 1.0)], "val/loss": [(1, 0.5)], "lr-AdamW": [(0, 0.1)]})
    {'loss': {'train': [(0, 1.0)], 'val': [(1, 0.5)]}, 'learning rate': {'AdamW': [(0, 0.1)]}}
    """
    groups: dict[str, dict[str, list[Point]]] = {}
    for key, points in curves.items():
        quantity, name = _quantity(key)
        kept = finite(points)
        if kept:
            groups.setdefault(quantity, {})[name] = kept
    return groups


def _quantity(key: str) -> tuple[str, str]:
    if key.startswith("lr-"):
        return "learning rate", key.removeprefix("lr-")
    group, _, quantity = key.rpartition("/")
    stripped = quantity.removesuffix("_step").removesuffix("_epoch")
    return stripped.replace("_", " "), group or stripped
