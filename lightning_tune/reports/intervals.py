"""Bootstrap intervals of metrics: the rows of a split are drawn again with replacement.

Efron, B. (1979): Bootstrap Methods. https://doi.org/10.1214/aos/1176344552 (percentile intervals)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.reports.predictions import Floats, Predictions, Weights
from lightning_tune.reports.scores import point, weighted
from lightning_tune.schema import TaskKind

__all__ = ["bootstrap", "differences", "intervals", "point", "share"]

_CELLS = 400_000  # weights held at once: a chunk stays in the processor's cache


def intervals(
    kind: TaskKind,
    targets: ArrayLike,
    scores: ArrayLike,
    *,
    names: Collection[str] | None = None,
    positive: int = 1,
    threshold: float = 0.5,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return the percentile interval of each metric over resampled rows.

    The work grows with rows * classes * resamples: 3,000 rows of 77 classes take about a second.

    Args:
        kind: Task kind.
        targets: [rows] class indices, or numbers in regression; [rows, labels] 0/1 in multi-label.
        scores: [rows, classes] probabilities (binary: two columns); [rows] numbers in regression.
        names: Metrics wanted, all of the task kind where None; one that has no formula in
            `reports.scores` (a user's own) is left out.
        positive: Index of a binary task's positive class.
        threshold: A label holds above this probability, in [0, 1]; multi-label only.
        resamples: How many times the rows are drawn, at least 1.
        level: Share of resamples inside the interval, in (0, 1).
        seed: The same seed gives the same interval.

    Returns:
        (low, high) by name; a metric that no resample defines is left out.

    Raises:
        ConfigError: if resamples or level are out of range.
        DataError: if shapes do not agree, or a score is not finite.
    """
    predictions = Predictions(
        kind, np.asarray(targets), np.asarray(scores), positive=positive, threshold=threshold
    )
    return bootstrap(predictions, names=names, resamples=resamples, level=level, seed=seed)


def share(
    holds: ArrayLike, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Return the share of rows of which something holds, and its interval.

    Shares of the same rows with the same seed see the same resamples.

    >>> share([True, True, True])
    (1.0, (1.0, 1.0))
    """
    held = np.asarray(holds, dtype=np.float64)
    # The accuracy of a task whose every label is 1.
    rows = Predictions("binary", np.ones(len(held), np.int64), np.stack([1 - held, held], axis=1))
    found = bootstrap(rows, names=["accuracy"], resamples=resamples, level=level, seed=seed)
    return float(held.mean()), found["accuracy"]


def differences(
    before: Predictions,
    after: Predictions,
    *,
    names: Collection[str] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return the interval of each metric's change, from one model to another on the same rows.

    Both see the same resamples (a paired bootstrap), so what rows have in common cancels out: the
    interval is far narrower than those of the two values suggest.

    Args:
        before: The predictions of one model …
        after: … and of the other, in the same order of rows.
        names: Metrics wanted, all of the task kind where None.
        resamples: How many times the rows are drawn, at least 1.
        level: Share of resamples inside the interval, in (0, 1).
        seed: The same seed gives the same interval.

    Returns:
        (low, high) of after - before by name; a metric that no resample defines is left out.

    Raises:
        ConfigError: if resamples or level are out of range.
        DataError: if the two do not have equally many rows.
    """
    if before.rows != after.rows:
        raise DataError(f"{before.rows} rows cannot be paired with {after.rows}; answer the same.")
    _check(resamples, level)
    chunks = []
    for weights in _draw(before.rows, resamples, seed):
        first, second = (weighted(each, weights, names) for each in (before, after))
        chunks.append({name: second[name] - first[name] for name in first})
    return _percentiles(chunks, level)


def bootstrap(
    predictions: Predictions,
    *,
    names: Collection[str] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return `intervals` of predictions that are already checked."""
    _check(resamples, level)
    chunks = [
        weighted(predictions, weights, names)
        for weights in _draw(predictions.rows, resamples, seed)
    ]
    return _percentiles(chunks, level)


def _check(resamples: int, level: float) -> None:
    if resamples < 1 or not 0 < level < 1:
        raise ConfigError(
            f"resamples={resamples}, level={level} cannot be; draw at least 1 resample, "
            "with a level between 0 and 1."
        )


def _percentiles(
    chunks: Sequence[Mapping[str, Floats]], level: float
) -> dict[str, tuple[float, float]]:
    edges = [50 * (1 - level), 50 * (1 + level)]
    found = {}
    for name in chunks[0]:
        values = np.concatenate([chunk[name] for chunk in chunks])
        if np.isfinite(values).any():
            low, high = np.nanpercentile(values, edges)
            found[name] = (float(low), float(high))
    return found


def _draw(rows: int, resamples: int, seed: int) -> Iterator[Weights]:
    """Yield row weights, [rows, some resamples], until `resamples` are drawn."""
    generator = np.random.default_rng(seed)
    width = max(1, min(resamples, _CELLS // rows))
    for start in range(0, resamples, width):
        count = min(width, resamples - start)
        drawn = generator.integers(0, rows, size=(count, rows))
        drawn += np.arange(count)[:, None] * rows
        weights = np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows)
        yield np.ascontiguousarray(weights.T, dtype=np.float32)
