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
_PARTS: tuple[dict[str, Any], ...] = (
    {"token_pattern": _TOKEN, "ngram_range": (1, 2)},
    {"analyzer": "char_wb", "ngram_range": (2, 5)},
)
"""What is counted, side by side: single words and pairs, and 2 to 5 characters inside words."""


def fit_linear(
    training: Training,
    held: Sequence[str],
    *,
    strength: float = 3.0,
    counted: Counted | None = None,
) -> NDArray[np.float64]:
    """Fit logistic regression on some rows and answer other texts: probabilities, [texts, labels].

    Args:
        training: The rows; a label that none of them has gets the probability 0.
        held: The texts to answer.
        strength: Inverse of the l2 penalty, above 0.
        counted: All these texts, where their words were counted before; the answers are the same
            but for the last digits of a float32.
    """
    if counted is None:
        features = Features.suiting(training.texts)
        known, asked = features.fit(training.texts), features.transform(held)
    else:
        known, asked = counted.features(training.texts, held)
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
            TfidfVectorizer(**part, sublinear_tf=True, min_df=least, dtype=np.float32)
            for part in _PARTS
        ]

    @classmethod
    def suiting(cls, texts: Sequence[str]) -> Features:
        """Return features for so many texts: of many, what a single one has tells nothing."""
        return cls(_least(texts))

    def fit(self, texts: Sequence[str]) -> Any:
        """Learn the words of texts, and return these texts as a sparse matrix, [n, features]."""
        from scipy.sparse import hstack

        return hstack([part.fit_transform(texts) for part in self._parts]).tocsr()

    def transform(self, texts: Sequence[str]) -> Any:
        """Return other texts as a sparse matrix, [n, features]."""
        from scipy.sparse import hstack

        return hstack([part.transform(texts) for part in self._parts]).tocsr()


class Counted:
    """Texts whose words and characters are counted once, for models of many parts of them.

    To count them is most of the work of a model, and cross-fitting would do it once a fold.

    Args:
        texts: All texts that models will be fitted on or asked about.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        self._place = {text: at for at, text in enumerate(dict.fromkeys(texts))}
        self._counts = [
            CountVectorizer(**part, dtype=np.float32).fit_transform(list(self._place))
            for part in _PARTS
        ]

    def features(self, known: Sequence[str], asked: Sequence[str]) -> tuple[Any, Any]:
        """Return what `Features` learned of some texts makes of them, and of others."""
        from scipy.sparse import hstack

        rows, others = ([self._place[text] for text in some] for some in (known, asked))
        both = [_weighed(each[rows], each[others], _least(known)) for each in self._counts]
        return hstack([one for one, _ in both]).tocsr(), hstack([one for _, one in both]).tocsr()


def _weighed(known: Any, asked: Any, least: int) -> tuple[Any, Any]:
    """Weigh counts by how rare each is among the known texts; those of too few are left out."""
    from sklearn.feature_extraction.text import TfidfTransformer

    stands = np.bincount(known.indices, minlength=known.shape[1])
    kept = np.flatnonzero(stands >= least)
    weigh = TfidfTransformer(sublinear_tf=True).fit(known[:, kept])
    return weigh.transform(known[:, kept]), weigh.transform(asked[:, kept])


def _least(texts: Sequence[str]) -> int:
    """Return in how many texts a feature has to stand: of many, what one has tells nothing."""
    return 1 if len(texts) < _MANY else 2


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
