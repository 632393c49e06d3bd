"""How many copies still mean what their originals mean, as a model sees it, on a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lightning_tune.prepare.augment.augmenting import Augmented
from lightning_tune.prepare.quality.folds import Training, fold_of_each
from lightning_tune.prepare.quality.linear import fit_linear
from lightning_tune.prepare.quality.suspects import encode
from lightning_tune.prepare.rows import AUGMENTED, labels_of, single_texts
from lightning_tune.schema import Label

_FOLDS = 5
_LEAST = 50  # different texts; a model of fewer tells nothing
_MOST = 10_000  # rows that the model is fitted on

Answer = Callable[[Sequence[str]], Sequence[Label]]
"""Texts -> the label that a model gives each."""


@dataclass(frozen=True)
class Preserved:
    """What a model said of copies whose originals it labels as the data does.

    Args:
        asked: Copies of the sample.
        known: Those of them whose original the model labels right; of the others it can tell
            nothing.
        kept: Those of these to which it gives the same label.
        by_edit: Share of `kept` in `known`, by edit.
    """

    asked: int
    known: int
    kept: int
    by_edit: dict[str, float]

    @property
    def share(self) -> float | None:
        """The share of copies that keep their label; None where nothing can be told."""
        return self.kept / self.known if self.known else None


def preserved(
    augmented: Augmented,
    answer: Answer,
    *,
    sample: int = 1000,
    seed: int = 0,
    of: NDArray[np.bool_] | None = None,
) -> Preserved:
    """Estimate the share of copies that keep their label.

    Args:
        augmented: What `augment` made.
        answer: The model; best one that did not see the rows in its training.
        sample: Copies to ask about, a random draw where there are more.
        seed: Decides about the draw.
        of: Which originals to ask about copies of, [originals]; None: any.
    """
    copies = np.arange(len(augmented.rows))
    if of is not None:
        copies = copies[of[augmented.rows]]
    if len(copies) > sample:
        copies = np.sort(np.random.default_rng(seed).choice(copies, sample, replace=False))
    places = (len(augmented.table) - len(augmented.rows) + copies).tolist()
    originals = [augmented.rows[at] for at in copies]
    edits = augmented.table[AUGMENTED].take(places).to_pylist()
    labels = augmented.table["label"].take(originals).to_pylist()
    before = answer(single_texts(augmented.table.take(originals)))
    after = answer(single_texts(augmented.table.take(places)))
    told: dict[str, list[bool]] = {}
    for edit, label, was, now in zip(edits, labels, before, after, strict=True):
        if _plain(was) == _plain(label):
            told.setdefault(edit, []).append(_plain(now) == _plain(was))
    outcomes = [kept for some in told.values() for kept in some]
    return Preserved(
        asked=len(copies),
        known=len(outcomes),
        kept=sum(outcomes),
        by_edit={edit: sum(some) / len(some) for edit, some in sorted(told.items())},
    )


def held_out_preserved(augmented: Augmented, *, seed: int = 0) -> Preserved | None:
    """Estimate the same by a linear model that saw neither the copies asked about nor their rows.

    It is fitted on four fifths of the rows, at most 10,000, and asked about copies of the others.

    Returns:
        The estimate; None where there are no classes, or too few different texts.
    """
    rows = augmented.table.slice(0, augmented.counts["originals"])
    if "label" not in rows.column_names or pa.types.is_floating(rows["label"].type):
        return None
    texts, labels = single_texts(rows), labels_of(rows)
    if len(set(texts)) < _LEAST or not augmented.rows:
        return None
    names, targets = encode(labels)
    folds = fold_of_each(texts, targets, folds=_FOLDS, seed=seed)
    known = np.flatnonzero(folds != 0)
    if len(known) > _MOST:
        known = np.sort(np.random.default_rng(seed).choice(known, _MOST, replace=False))
    training = Training([texts[at] for at in known], targets[known], np.ones(len(known)))
    several = pa.types.is_list(rows["label"].type)

    def answer(asked: Sequence[str]) -> list[Label]:
        said = fit_linear(training, asked)
        if several:
            return [tuple(names[at] for at in np.flatnonzero(row > 0.5)) for row in said]
        return [names[at] for at in said.argmax(axis=1)]

    return preserved(augmented, answer, seed=seed, of=folds == 0)


def _plain(label: Label) -> object:
    return sorted(label) if isinstance(label, list | tuple) else label
