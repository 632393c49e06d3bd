"""From labels as they stand in a file to the numbers that a loss compares with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.data.labels import split_label
from lightning_tune.data.tokens import TokenStore
from lightning_tune.errors import DataError
from lightning_tune.schema import Label, LabelSet, Split

_SHOWN = 5  # rows in a message


def encode_labels(
    store: TokenStore, label_set: LabelSet, *, separator: str | None, split: Split
) -> NDArray[Any]:
    """Return the target of each label code of a store.

    Args:
        store: The rows; each must have a label.
        label_set: The labels that train has.
        separator: What stands between the names in one string of a multi-label row.
        split: Name of the split, for messages.

    Returns:
        [codes] int64 class indices, [codes, labels] float32 zeros and ones (multi-label), or
        [codes] float32 numbers (regression).

    Raises:
        DataError: naming rows without a label, or with one that is not in the set.
    """
    if (store.label_codes < 0).any():
        raise DataError(
            f"data.{split}: {store.meta['source']} has no labels; name their column in data.label."
        )
    targets: list[int | float | list[float]] = []
    wrong: dict[int, str] = {}
    for code, label in enumerate(store.labels):
        try:
            targets.append(_encode(split_label(label, separator), label_set))
        except DataError as err:
            wrong[code] = str(err)
    if wrong:
        raise _unknown(store, wrong, split)
    classes = label_set.kind in ("binary", "multiclass")
    return np.array(targets, np.int64 if classes else np.float32)


def _encode(label: Label, label_set: LabelSet) -> int | float | list[float]:
    target = label_set.encode(label)
    if isinstance(target, float) and not math.isfinite(target):
        raise DataError(f"label {label!r} is not a finite number; correct it.")
    return target


def _unknown(store: TokenStore, wrong: dict[int, str], split: Split) -> DataError:
    rows = np.flatnonzero(np.isin(store.label_codes, list(wrong)))
    shown = ", ".join(f"{store.where(row)} {store.label(row)!r}" for row in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    reason = wrong[int(store.label_codes[rows[0]])]
    return DataError(f"data.{split}: labels that train does not have: {shown}{more}; {reason}")
