"""Out-of-fold probabilities: every text is answered by a model that did not see it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_tune.errors import DataError
from lightning_tune.prepare.keys import content_key


@dataclass(frozen=True)
class Training:
    """What a model is fitted on.

    Args:
        texts: The texts, n of them.
        targets: Zeros and ones, [n, labels]; exactly one 1 a row unless the task is multi-label.
        weights: How much each row counts, at least 0, [n].
    """

    texts: Sequence[str]
    targets: NDArray[np.float64]
    weights: NDArray[np.float64]


FitPredict = Callable[[Training, Sequence[str]], NDArray[np.float64]]
"""Fits a model on some rows and answers other texts: their probabilities, [texts, labels]."""


def fold_of_each(
    texts: Sequence[str], targets: NDArray[np.float64], *, folds: int, seed: int
) -> NDArray[np.int64]:
    """Return the fold of each row, [n] from 0: of equal mix of labels, equal texts in one fold.

    Folds go by content: the order of the rows has no part in it.

    Raises:
        DataError: if there are fewer different texts than folds.
    """
    keys = [content_key(text) for text in texts]
    strata: dict[str, tuple[bytes, bytes]] = {}
    for key, row in zip(keys, targets, strict=True):
        drawn = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
        # Of equal texts with several labels one decides, the same one in any order of the rows.
        strata[key] = min(strata.get(key, (b"\xff", b"")), (row.astype(np.uint8).tobytes(), drawn))
    if len(strata) < folds:
        raise DataError(
            f"quality.folds={folds}, and there are {len(strata)} different texts; label more, or "
            "use fewer folds."
        )
    dealt = {key: at % folds for at, key in enumerate(sorted(strata, key=strata.__getitem__))}
    return np.array([dealt[key] for key in keys], dtype=np.int64)


def out_of_fold(
    training: Training, fit_predict: FitPredict, *, folds: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return what models say that were fitted on the other folds, [n, labels].

    Args:
        training: All rows.
        fit_predict: Fits and answers; it is called once a fold.
        folds: The fold of each row, [n].
    """
    labels = training.targets.shape[1]
    found = np.zeros((len(training.texts), labels))
    for fold in range(int(folds.max()) + 1):
        held, kept = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        rest = Training(
            [training.texts[at] for at in kept.tolist()],
            training.targets[kept],
            training.weights[kept],
        )
        answered = fit_predict(rest, [training.texts[at] for at in held.tolist()])
        if answered.shape != (len(held), labels) or not np.isfinite(answered).all():
            raise ValueError(
                f"probabilities of shape {answered.shape} came back for {len(held)} texts and "
                f"{labels} labels, or some are no numbers."
            )
        found[held] = answered
    return found
