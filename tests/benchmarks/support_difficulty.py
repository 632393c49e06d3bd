"""How hard builtin:support is for a word counter: TF-IDF with logistic regression, no pretraining.

    python tests/benchmarks/support_difficulty.py

Fits on train for every setting of the grid, picks the best on validation, and prints its macro-F1
on test. The other settings' test figures stand beside it, to show how much the choice matters.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from lightning_tune.datasets import builtin

INVERSE_PENALTIES = (1.0, 3.0, 10.0, 30.0)
LONGEST_NGRAMS = (1, 2)


@dataclass(frozen=True)
class Outcome:
    """One setting of the grid with its macro-F1 on validation and test."""

    inverse_penalty: float
    longest_ngram: int
    val: float
    test: float


def read(path: Path) -> tuple[list[str], list[str]]:
    """Return the texts and the labels of a split."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def measure(inverse_penalty: float, longest_ngram: int) -> Outcome:
    """Fit one setting on train and score it on the other two splits."""
    files = builtin("support")
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, longest_ngram), sublinear_tf=True),
        LogisticRegression(C=inverse_penalty, max_iter=2000),
    ).fit(*read(files["train"]))
    scores = {}
    for split in ("val", "test"):
        texts, labels = read(files[split])
        scores[split] = float(f1_score(labels, model.predict(texts), average="macro"))
    return Outcome(inverse_penalty, longest_ngram, **scores)


def choose(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome that is best on validation; of equals the first."""
    return max(outcomes, key=lambda outcome: outcome.val)


def main() -> None:
    """Print the grid and the choice."""
    outcomes = [measure(*setting) for setting in product(INVERSE_PENALTIES, LONGEST_NGRAMS)]
    print(f"{'C':>5} {'n-grams':>8} {'val':>7} {'test':>7}")
    for outcome in outcomes:
        print(
            f"{outcome.inverse_penalty:>5g} {f'1-{outcome.longest_ngram}':>8} "
            f"{outcome.val:>7.4f} {outcome.test:>7.4f}"
        )
    best = choose(outcomes)
    print(
        f"chosen on validation: C={best.inverse_penalty:g}, n-grams to {best.longest_ngram}; "
        f"test macro-F1 {best.test:.4f}"
    )


if __name__ == "__main__":
    main()
