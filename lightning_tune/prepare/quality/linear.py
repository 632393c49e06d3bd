"""A linear model of words and characters: quick, needs nothing pretrained, knows every language."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_tune.prepare.quality.folds import Training

_TOKEN = r"(?u)\b\w+\b|[^\w\s]"  # words of one letter and marks too: "!" and ":(" tell
_MANY = 1000  # texts


def fit_linear(
    training: Training, held: Sequence[str], *, strength: float = 3.0
) -> NDArray[np.float64]:
    """Fit logistic regression on some rows and answer other texts: probabilities, [texts, labels].

    Args:
        training: The rows; a label that none of them has gets the probability 0.
        held: The texts to answer.
        strength: Inverse of the l2 penalty, above 0.
    """
    features = Features.suiting(training.texts)
    known, asked = features.fit(training.texts), features.transform(held)
    found = np.zeros((len(held), training.targets.shape[1]))
    if (training.targets.sum(axis=1) == 1).all():
        given = training.targets.argmax(axis=1)
        classes, chances = _regress(known, given, training.weights, asked, strength)
        found[:, classes] = chances
        return found
    for column in range(found.shape[1]):
        given = training.targets[:, column].astype(np.int64)
        classes, chances = _regress(known, given, training.weights, asked, strength)
        found[:, column] = chances[:, classes == 1].sum(axis=1)
    return found


def text_vectors(texts: Sequence[str], *, width: int = 100, seed: int = 0) -> NDArray[np.float32]:
    """Return vectors in which like texts lie near each other, [n, up to width].

    Latent semantic analysis: the largest singular vectors of the words and characters.

    Args:
        texts: The texts, at least one.
        width: Most components.
        seed: Decides about the random start of the decomposition.
    """
    from sklearn.decomposition import TruncatedSVD

    found = Features.suiting(texts).fit(texts)
    kept = min(width, found.shape[0] - 1, found.shape[1] - 1)
    if kept < 1:
        return np.ones((len(texts), 1), dtype=np.float32)
    with np.errstate(invalid="ignore"):  # it divides by a variance, which equal texts do not have
        reduced = TruncatedSVD(kept, random_state=seed).fit_transform(found)
    vectors: NDArray[np.float32] = reduced.astype(np.float32)
    return vectors


class Features:
    """TF-IDF of single words and pairs, and of 2 to 5 characters inside words, side by side.

    Args:
        least: Texts that a feature has to stand in.
    """

    def __init__(self, least: int = 1) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._parts = [
            TfidfVectorizer(
                token_pattern=_TOKEN,
                ngram_range=(1, 2),
                sublinear_tf=True,
                min_df=least,
                dtype=np.float32,
            ),
            TfidfVectorizer(
                analyzer="char_wb",
                ngram_range=(2, 5),
                sublinear_tf=True,
                min_df=least,
                dtype=np.float32,
            ),
        ]

    @classmethod
    def suiting(cls, texts: Sequence[str]) -> Features:
        """Return features for so many texts: of many, what a single one has tells nothing."""
        return cls(1 if len(texts) < _MANY else 2)

    def fit(self, texts: Sequence[str]) -> Any:
        """Learn the words of texts, and return these texts as a sparse matrix, [n, features]."""
        from scipy.sparse import hstack

        return hstack([part.fit_transform(texts) for part in self._parts]).tocsr()

    def transform(self, texts: Sequence[str]) -> Any:
        """Return other texts as a sparse matrix, [n, features]."""
        from scipy.sparse import hstack

        return hstack([part.transform(texts) for part in self._parts]).tocsr()


def _regress(
    known: Any, given: NDArray[np.int64], weights: NDArray[np.float64], asked: Any, strength: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the classes that are there and their probabilities, [asked, classes]."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    classes = np.unique(given)
    if len(classes) == 1:
        return classes, np.ones((asked.shape[0], 1))
    with warnings.catch_warnings():  # the order of the rows stands long before the last digit
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", ".*number of unique classes.*")  # few labels so far
        model = LogisticRegression(C=strength, max_iter=100).fit(known, given, weights)
    chances: NDArray[np.float64] = model.predict_proba(asked).astype(np.float64)
    return classes, chances
