"""Label BANKING77 in rounds; print how many labels each strategy needs for 90 % of full accuracy.

    python tests/benchmarks/active.py --data ../shared/data/banking77 --seeds 0 1 2

The model is logistic regression over the mean hidden states of a frozen backbone, refitted after
each round; the first round is chosen by diversity, or at random for the strategy random. Accuracy
is that on the test split; the labels that are needed are read off the curve, between two rounds in
a straight line, and a curve ends where the goal is reached, but not before 1,000 labels.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import statistics
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lightning_tune.commands.crossfitting import EncoderSettings, embedder
from lightning_tune.prepare.labelling.choosing import STRATEGIES, Strategy, choose

COMPARED = (500, 1000)
"""Labels at which accuracies are printed."""


def read(path: Path) -> tuple[list[str], NDArray[np.str_]]:
    """Return texts and labels."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], np.array([row["category"] for row in rows])


def fit(vectors: NDArray[np.float32], labels: NDArray[np.str_]) -> LogisticRegression:
    """Fit the model on the rows that have labels."""
    return LogisticRegression(C=20, max_iter=300).fit(vectors, labels)


def curve(
    pool: NDArray[np.float32],
    labels: NDArray[np.str_],
    test: tuple[NDArray[np.float32], NDArray[np.str_]],
    *,
    strategy: Strategy,
    asked: argparse.Namespace,
    seed: int,
    goal: float,
) -> list[tuple[int, float]]:
    """Return labels and accuracy after each round, until the goal and COMPARED are reached."""
    first: Strategy = "random" if strategy == "random" else "diversity"
    known = choose(asked.first, strategy=first, vectors=pool, rows=len(pool), seed=seed)
    points = []
    while True:
        model = fit(pool[known], labels[known])
        points.append((len(known), float((model.predict(test[0]) == test[1]).mean())))
        reached = len(known) >= COMPARED[-1] and points[-1][1] >= goal
        if reached or len(known) >= asked.most:
            return points
        rest = np.setdiff1d(np.arange(len(pool)), known)
        chosen = choose(
            asked.step,
            strategy=strategy,
            probabilities=model.predict_proba(pool[rest]),
            vectors=pool[rest],
            seed=seed + len(known),
        )
        known += rest[chosen].tolist()


def needed(points: list[tuple[int, float]], goal: float) -> float | None:
    """Return at how many labels the curve first reaches an accuracy; None if it never does."""
    for (before, low), (after, high) in itertools.pairwise(points):
        if low < goal <= high:
            return before + (after - before) * (goal - low) / (high - low)
    return float(points[0][0]) if points[0][1] >= goal else None


def main() -> None:
    """Measure, and print a row a strategy."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/banking77"))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--first", type=int, default=154, help="labels of the first round")
    parser.add_argument("--step", type=int, default=100, help="labels of each further round")
    parser.add_argument("--most", type=int, default=3000)
    parser.add_argument("--pool", type=int, help="rows to choose from, the first of a random order")
    parser.add_argument("--share", type=float, default=0.9, help="of full accuracy")
    parser.add_argument("--backbone", default=EncoderSettings().name)
    asked = parser.parse_args()
    embed = embedder(asked.backbone)
    texts, labels = read(asked.data / "train.csv")
    order = np.random.default_rng(0).permutation(len(texts))[: asked.pool or len(texts)]
    texts, labels = [texts[at] for at in order], labels[order]
    test_texts, test_labels = read(asked.data / "test.csv")
    pool, test = embed(texts), (embed(test_texts), test_labels)
    full = float((fit(pool, labels).predict(test[0]) == test_labels).mean())
    goal = asked.share * full
    print(f"accuracy of all {len(texts)} labels {full:.4f}; {asked.share:.0%} of it is {goal:.4f}")
    print(
        "| strategy | labels needed, mean | by seed | accuracy at 500, 1,000 |\n|---|---|---|---|"
    )
    for strategy in asked.strategies:
        curves = [
            curve(pool, labels, test, strategy=strategy, asked=asked, seed=seed, goal=goal)
            for seed in asked.seeds
        ]
        counts = [needed(points, goal) for points in curves]
        reached = [count for count in counts if count is not None]
        mean = f"{statistics.mean(reached):.0f}" if len(reached) == len(counts) else "not reached"
        each = ", ".join("-" if count is None else f"{count:.0f}" for count in counts)
        at = ", ".join(
            f"{statistics.mean(float(np.interp(x, *zip(*c, strict=False))) for c in curves):.3f}"
            for x in COMPARED
        )
        print(f"| {strategy} | {mean} | {each} | {at} |", flush=True)


if __name__ == "__main__":
    main()
