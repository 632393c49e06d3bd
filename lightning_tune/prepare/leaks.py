"""Texts that stand in two splits: found, counted, and taken out of the less precious one.

Test is the most precious and stays whole, then validation, then train. Global: it needs all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pyarrow as pa

from lightning_tune.prepare.rows import KEPT, KEY, Outcome, drop, joined, numbers
from lightning_tune.schema import Split

STEP = "leaks"
PRECIOUS: tuple[Split, ...] = ("test", "val", "train")


def leak_counts(splits: Mapping[Split, pa.Table], key: str = KEY) -> dict[str, int]:
    """Count the rows of a split whose text stands in a less precious one too.

    Args:
        splits: The rows of each split.
        key: The column that texts are compared by.

    Returns:
        `val_in_train`, `test_in_train`, `test_in_val`: rows of the first.
    """
    there = [split for split in PRECIOUS if split in splits]
    keys = {split: numbers(splits[split], key) for split in there}
    found = {}
    for precious, other in combinations(there, 2):
        known = keys[precious] != 0  # 0 is a text that was missing
        found[f"{precious}_in_{other}"] = int(np.isin(keys[precious][known], keys[other]).sum())
    return dict(sorted(found.items(), key=lambda pair: pair[0], reverse=True))


def drop_leaks(splits: Mapping[Split, pa.Table]) -> tuple[dict[Split, pa.Table], pa.Table]:
    """Take every text out of all splits but the most precious one that has it.

    Returns:
        The splits, and the rows that went, as `DROPPED`.
    """
    there = [split for split in PRECIOUS if split in splits]
    kept = dict(splits)
    gone = []
    for at, split in enumerate(there[1:], 1):
        outcome = _without(splits[split], {above: kept[above] for above in there[:at]})
        kept[split] = outcome.table
        gone.append(outcome.dropped)
    return kept, joined(gone)


def _without(table: pa.Table, above: Mapping[Split, pa.Table]) -> Outcome:
    keys = numbers(table, KEY)
    codes = np.full(len(keys), KEPT, np.int8)
    for code, rows in enumerate(above.values()):
        codes[(codes == KEPT) & np.isin(keys, numbers(rows, KEY))] = code
    reasons = [f"the text stands in {split}" for split in above]
    return Outcome(*drop(table, codes, reasons, step=STEP))
