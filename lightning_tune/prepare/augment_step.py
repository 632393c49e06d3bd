"""Edited copies of train, behind its rows, as a step of the stage; after the split, of train only.

Global: no copy may equal a text of train, validation or test, nor be a near duplicate of one of the
latter two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lightning_tune.prepare.augment.augmenting import (
    Augmented,
    AugmentSettings,
    Translate,
    augment,
)
from lightning_tune.prepare.augment.preserving import Preserved, held_out_preserved
from lightning_tune.prepare.augment.translating import check_models, round_trip
from lightning_tune.prepare.keys import content_key
from lightning_tune.prepare.labels import class_counts
from lightning_tune.prepare.leaks import PRECIOUS
from lightning_tune.prepare.near import NearSettings, near_pairs
from lightning_tune.prepare.near_step import comparison, texts_of
from lightning_tune.prepare.rows import pairs_of
from lightning_tune.schema import Split
from lightning_tune.tables import expand

STEP = "augment"
NEAR = "near"
"""Name of the count of copies that were near to a text of validation or test."""


@dataclass(frozen=True)
class Multiplied:
    """Train with its copies.

    Args:
        made: Rows and copies.
        classes: Copies by class.
        preserved: How many keep their label, as a linear model sees it; None: it cannot be told.
    """

    made: Augmented
    classes: Mapping[str, int]
    preserved: Preserved | None


def check_augment(settings: AugmentSettings, *, translate: Translate | None = None) -> None:
    """Refuse what can be seen to fail before any row is read.

    Raises:
        ConfigError: if translate is asked for and nothing translates, or a model is nowhere.
        DataError: if the thesaurus is nowhere.
    """
    if "translate" in settings.edits and translate is None:
        check_models(settings.translation)
    if settings.thesaurus is not None:
        expand(settings.thesaurus)


def multiply(
    splits: Mapping[Split, pa.Table],
    settings: AugmentSettings,
    *,
    near: NearSettings | None = None,
    translate: Translate | None = None,
    processes: int = 1,
) -> Multiplied:
    """Add edited copies to train.

    Args:
        splits: The rows of each split, as they are written.
        settings: What is done, and how often.
        near: What counts as a near duplicate; None: copies may be near to texts of other splits.
        translate: What says texts otherwise, for the edit translate; None: the models that the
            settings name.
        processes: How many processes look for near duplicates; the result is the same.

    Raises:
        ConfigError: if translate is asked for and nothing translates, or a class is unknown.
        DataError: if the thesaurus cannot be read.
    """
    if translate is None and settings.translation is not None and "translate" in settings.edits:
        translate = round_trip(settings.translation)
    precious: dict[Split, pa.Table] = {
        split: splits[split] for split in PRECIOUS if split in splits and split != "train"
    }
    made = augment(splits["train"], settings, translate=translate, avoid=_keys(precious))
    if near is not None:
        made = made.without(_near(precious, made.copies, near, processes), NEAR)
    classes = Counter(class_counts(made.copies))
    return Multiplied(made, classes, held_out_preserved(made, seed=settings.seed))


def _keys(splits: Mapping[Split, pa.Table]) -> set[str]:
    """Return the content keys of all rows."""
    return {
        content_key(text, pair)
        for table in splits.values()
        for text, pair in zip(
            table["text"].to_pylist(), pairs_of(table) or [None] * table.num_rows, strict=True
        )
    }


def _near(
    splits: Mapping[Split, pa.Table], copies: pa.Table, settings: NearSettings, processes: int
) -> NDArray[np.bool_]:
    """Return which copies are near to a row of these splits, [copies]."""
    texts = texts_of({**splits, "train": copies})
    first = len(texts) - copies.num_rows
    found = near_pairs(texts, settings, processes=processes)
    compare = comparison(texts, settings, found)
    others: dict[int, list[int]] = {}
    for row, cluster in enumerate(found.clusters[:first].tolist()):
        others.setdefault(cluster, []).append(row)
    flags = np.zeros(copies.num_rows, np.bool_)
    for copy, cluster in enumerate(found.clusters[first:].tolist()):
        if cluster in others:
            flags[copy] = compare(first + copy, others[cluster]).any()
    return flags
