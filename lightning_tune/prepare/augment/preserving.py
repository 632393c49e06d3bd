"""How many copies still mean what their originals mean, as a model sees it, on a sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lightning_tune.prepare.augment.augmenting import COLUMN, Augmented
from lightning_tune.schema import Label

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
    augmented: Augmented, answer: Answer, *, sample: int = 1000, seed: int = 0
) -> Preserved:
    """Estimate the share of copies that keep their label.

    Args:
        augmented: What `augment` made.
        answer: The model; best one that did not see the rows in its training.
        sample: Copies to ask about, a random draw where there are more.
        seed: Decides about the draw.
    """
    copies = np.arange(len(augmented.rows))
    if len(copies) > sample:
        copies = np.sort(np.random.default_rng(seed).choice(copies, sample, replace=False))
    places = (len(augmented.table) - len(augmented.rows) + copies).tolist()
    originals = [augmented.rows[at] for at in copies]
    edits = augmented.table[COLUMN].take(places).to_pylist()
    texts, labels = augmented.table["text"], augmented.table["label"].take(originals).to_pylist()
    before = answer(texts.take(originals).to_pylist())
    after = answer(texts.take(places).to_pylist())
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


def _plain(label: Label) -> object:
    return sorted(label) if isinstance(label, list | tuple) else label
