"""How evenly the classes of a data set are filled."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lightning_tune.schema import Label


@dataclass(frozen=True)
class Balance:
    """The sizes of the classes.

    Args:
        counts: Rows of each class, the largest first; equal ones by name.
        imbalance: Rows of the largest class for one of the smallest; 1 is even.
        evenness: Entropy of the classes' shares over that of equal shares, in [0, 1]; 1 is even.
        rare: Classes with fewer rows than asked for, the smallest first.
        unlabelled: In multi-label data, rows of which no label holds.
    """

    counts: dict[str, int]
    imbalance: float
    evenness: float
    rare: tuple[str, ...]
    unlabelled: int = 0


def balance(labels: Sequence[Label], *, least: int = 10) -> Balance:
    """Count the classes; a row of multi-label data counts for each of its labels.

    Args:
        labels: Class names, or tuples of names.
        least: Rows below which a class is rare.

    >>> found = balance(["a", "b", "a", "a"], least=2)
    >>> found.counts, found.imbalance, found.rare
    ({'a': 3, 'b': 1}, 3.0, ('b',))
    """
    names = [name for label in labels for name in _names(label)]
    counted = sorted(Counter(names).items(), key=lambda one: (-one[1], one[0]))
    counts = dict(counted)
    sizes = list(counts.values())
    return Balance(
        counts=counts,
        imbalance=sizes[0] / sizes[-1] if sizes else 1.0,
        evenness=_evenness(sizes),
        rare=tuple(name for name, count in reversed(counted) if count < least),
        unlabelled=sum(not _names(label) for label in labels),
    )


def _names(label: Label) -> tuple[str, ...]:
    return label if isinstance(label, tuple) else (str(label),)


def _evenness(sizes: Sequence[int]) -> float:
    if len(sizes) < 2:
        return 1.0
    shares = [size / sum(sizes) for size in sizes]
    return -sum(share * math.log(share) for share in shares) / math.log(len(sizes))
