"""A share of train, held out for validation where the user has no validation split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lightning_tune.data.labels import number
from lightning_tune.data.tokens import TokenStore
from lightning_tune.errors import ConfigError, DataError
from lightning_tune.schema import TaskKind


def hold_out(
    store: TokenStore, kind: TaskKind, *, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide the rows of train into train and validation, stratified by label.

    Rows with the same text stay together. The choice depends on texts, labels and seed, not on the
    order of the rows: distinct texts are ordered by label and, within a label, by a seeded hash;
    every (1 / share)-th is taken, so each label (or range of scores) gives its share.

    Args:
        store: The rows of train.
        kind: The task kind.
        share: Share of the distinct texts to hold out, in (0, 1).
        seed: Decides which texts.

    Returns:
        The rows of train and those of validation, each ascending.

    Raises:
        ConfigError: if the share is not in (0, 1).
        DataError: if one of the two would be empty.
    """
    if not 0 < share < 1:
        raise ConfigError(f"val_share={share} must lie in (0, 1); change data.val_share.")
    _, first, group = np.unique(store.hashes, return_index=True, return_inverse=True)
    order = np.lexsort((_mix(store.hashes[first], seed), _strata(store, kind)[first]))
    taken = np.diff(np.floor(np.arange(len(order) + 1) * share + 0.5)) > 0
    held = np.zeros(len(order), np.bool_)
    held[order[taken]] = True
    chosen = held[group]
    if chosen.all() or not chosen.any():
        raise DataError(
            f"val_share={share} of {len(order)} distinct texts leaves no example for "
            f"{'train' if chosen.any() else 'validation'}; add examples, change data.val_share, or "
            "name a file in data.val."
        )
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _strata(store: TokenStore, kind: TaskKind) -> NDArray[np.float64]:
    """Return for each row the rank of its label: by value in regression, else by name."""
    labels = store.labels
    if kind == "regression":
        values = np.array([number(label) or 0.0 for label in labels])
        return values[store.label_codes]
    rank = np.empty(len(labels))
    rank[sorted(range(len(labels)), key=lambda code: str(labels[code]))] = np.arange(len(labels))
    return rank[store.label_codes]


def _mix(hashes: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Scramble hashes with a seed: the finalizer of splitmix64 (Steele, Lea, Flood 2014)."""
    mixed = hashes ^ np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
