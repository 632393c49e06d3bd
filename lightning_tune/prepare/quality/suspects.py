"""Rows whose label is probably wrong, by what models say that were fitted without them.

A label is suspected where confident learning puts the row into another class; the score says how
far out of fold another label is believed in its place. There may be several rounds, each with folds
of its own: in a later one a row counts as much as the round before believed its label, so that
wrong labels teach less, and the probabilities of all rounds are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.quality.confident import doubt, is_suspected, noise_rate
from lightning_tune.prepare.quality.folds import FitPredict, Training, fold_of_each, out_of_fold
from lightning_tune.prepare.quality.linear import Counted, fit_linear
from lightning_tune.schema import Label

Mode = Literal["fast", "encoder"]
_LEAST_BELIEF = 1e-6  # the only row of a class is never believed, and models need some weight


@dataclass(frozen=True)
class QualitySettings:
    """How suspected labels are looked for.

    Args:
        mode: What answers out of fold: fast, a linear model of words and characters; encoder, a
            backbone that is tuned once a fold and round.
        folds: Parts of the data, each answered by a model of the others, at least 2.
        rounds: How often all folds are fitted, at least 1; null: 2 in fast mode, 1 in encoder mode.
        seed: Decides about the folds.

    Raises:
        ConfigError: if a value is out of its range.
    """

    mode: Mode = "fast"
    folds: int = 5
    rounds: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ConfigError(f"quality.folds={self.folds} is below 2; 5 is usual.")
        if self.rounds is not None and self.rounds < 1:
            raise ConfigError(f"quality.rounds={self.rounds} is below 1; use 1 or more.")


def caveat(share: float, mode: Mode) -> str:
    """Return what to say of many suspects.

    >>> caveat(0.387, "encoder").partition(";")[0]
    '38.7 % of the labels that were looked at are suspected'
    """
    why = "those of fast mode are simple, and hard data" if mode == "fast" else "hard data"
    return (
        f"{100 * share:.1f} % of the labels that were looked at are suspected; that may say more "
        f"of the models than of the labels, as {why} looks wrong to them. Review the most doubtful "
        "first, and do not correct all."
    )


@dataclass(frozen=True)
class Suspects:
    """What was found out about each of n rows.

    Args:
        names: The labels, in the order of the columns.
        probabilities: Out of fold, [n, labels].
        scores: How doubtful the row's label is, in [0, 1], [n]; the most doubtful first is the
            order to review in.
        suspected: Whether the row is better put into another class, [n] bool.
        suggestions: The label that the models would give each row.
        noise: Share of wrong labels that confident learning estimates, in [0, 1]; None for
            multi-label data.
    """

    names: tuple[str, ...]
    probabilities: NDArray[np.float64]
    scores: NDArray[np.float64]
    suspected: NDArray[np.bool_]
    suggestions: list[Label]
    noise: float | None = None

    def ranked(self) -> list[int]:
        """Return the suspected rows, the most doubtful first."""
        order = np.argsort(-self.scores, kind="stable")
        return [int(at) for at in order if self.suspected[at]]


def suspects(
    texts: Sequence[str],
    labels: Sequence[Label],
    *,
    settings: QualitySettings = QualitySettings(),  # frozen
    probabilities: FitPredict | None = None,
) -> Suspects:
    """Look for rows whose label is probably wrong.

    Args:
        texts: The texts, n of them; of pairs both, joined.
        labels: A name each, or in multi-label data a tuple of names each.
        settings: How they are looked for.
        probabilities: What fits and answers in encoder mode.

    Raises:
        ConfigError: if the mode is encoder and nothing answers.
        DataError: if the labels are numbers, all of one class, or too few for the folds.
    """
    if settings.mode == "encoder" and probabilities is None:
        raise ConfigError("quality.mode='encoder' needs a backbone to fit; name one, or use fast.")
    names, targets = encode(labels)
    answer: FitPredict
    if settings.mode == "encoder" and probabilities is not None:
        answer = probabilities
    else:
        answer = partial(fit_linear, counted=Counted(texts))
    several = any(isinstance(label, tuple) for label in labels)
    weights, said = np.ones(len(texts)), []
    for number in range(settings.rounds or (2 if settings.mode == "fast" else 1)):
        seed = settings.seed * 1000 + number
        folds = fold_of_each(texts, targets, folds=settings.folds, seed=seed)
        said.append(out_of_fold(Training(texts, targets, weights), answer, folds=folds))
        weights = np.maximum(belief(said[-1], targets, several=several), _LEAST_BELIEF)
    return judge(names, np.mean(said, axis=0), targets, several=several)


def encode(labels: Sequence[Label]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the names of the labels and zeros and ones, [n, labels].

    Raises:
        DataError: if the labels are numbers, or all of one class.

    >>> encode(["b", "a"])
    (('a', 'b'), array([[0., 1.],
           [1., 0.]]))
    """
    if any(isinstance(label, float) for label in labels):
        raise DataError("suspects are looked for among class names; these labels are numbers.")
    held = [label if isinstance(label, tuple) else (str(label),) for label in labels]
    names = tuple(sorted({name for row in held for name in row}))
    several = any(isinstance(label, tuple) for label in labels)
    if len(names) < (1 if several else 2):
        raise DataError(
            f"the labels are {list(names)}; suspects can only be told with two classes or more."
        )
    column = {name: at for at, name in enumerate(names)}
    targets = np.zeros((len(held), len(names)))
    for at, row in enumerate(held):
        targets[at, [column[name] for name in row]] = 1
    return names, targets


def belief(
    probabilities: NDArray[np.float64], targets: NDArray[np.float64], *, several: bool
) -> NDArray[np.float64]:
    """Return how far models believe each row's label against the likeliest one, in [0, 1], [n]."""
    if several:
        own = np.where(targets > 0.5, probabilities, 1 - probabilities)
        worst: NDArray[np.float64] = (own / np.maximum(own, 1 - own)).min(axis=1)
        return worst
    own = (probabilities * targets).sum(axis=1)
    share: NDArray[np.float64] = own / np.maximum(probabilities.max(axis=1), 1e-12)
    return share


def judge(
    names: tuple[str, ...],
    probabilities: NDArray[np.float64],
    targets: NDArray[np.float64],
    *,
    several: bool,
) -> Suspects:
    """Tell suspects by out-of-fold probabilities, [n, labels], of the given labels, [n, labels]."""
    if not several:
        given = targets.argmax(axis=1)
        return Suspects(
            names=names,
            probabilities=probabilities,
            scores=doubt(given, probabilities),
            suspected=is_suspected(given, probabilities),
            suggestions=[names[at] for at in probabilities.argmax(axis=1)],
            noise=noise_rate(given, probabilities),
        )
    scores, wrong = np.zeros(targets.shape), np.zeros(targets.shape, dtype=np.bool_)
    for column in range(len(names)):  # each label is a yes or no of its own
        given = targets[:, column].astype(np.int64)
        both = np.stack([1 - probabilities[:, column], probabilities[:, column]], axis=1)
        scores[:, column] = doubt(given, both)
        wrong[:, column] = is_suspected(given, both)
    right = np.where(wrong, 1 - targets, targets) > 0.5
    return Suspects(
        names=names,
        probabilities=probabilities,
        scores=scores.max(axis=1),
        suspected=np.asarray(wrong.any(axis=1)),
        suggestions=[tuple(names[at] for at in np.flatnonzero(row)) for row in right],
    )
