"""Tune on ten BANKING77 examples a class, with and without copies; print the test accuracy of each.

    python tests/benchmarks/augmentation.py --data ../shared/data/banking77 --seeds 0 1 2
    python tests/benchmarks/augmentation.py --model linear  # a minute

Each setting gets the same number of steps: twice the rows, half the epochs. The thesaurus is PPDB's
pairs in ../shared/data/synonyms. The seed draws the ten examples, the edits and the head. Beside
the accuracy stands the share of copies whose label the linear model of all training rows keeps.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from lightning_tune.commands.crossfitting import EncoderSettings, cross_fitted
from lightning_tune.prepare.augment.augmenting import AugmentSettings, augment
from lightning_tune.prepare.augment.preserving import preserved
from lightning_tune.prepare.quality.folds import FitPredict, Training
from lightning_tune.prepare.quality.linear import fit_linear
from lightning_tune.prepare.quality.suspects import encode

SETTINGS = {
    "none": (),
    "synonym": ("synonym",),
    "swap": ("swap",),
    "delete": ("delete",),
    "insert": ("insert",),
    "typo": ("typo",),
    "ocr": ("ocr",),
    "EDA": ("synonym", "swap", "delete"),
    "all": ("synonym", "swap", "delete", "insert", "typo", "ocr"),
}


def read(path: Path) -> pa.Table:
    """Read texts and labels."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return pa.table({"text": [r["text"] for r in rows], "label": [r["category"] for r in rows]})


def few(table: pa.Table, each: int, seed: int) -> pa.Table:
    """Draw so many rows of each class."""
    labels = np.array(table["label"].to_pylist())
    draw = np.random.default_rng(seed)
    chosen = [draw.permutation(np.flatnonzero(labels == name))[:each] for name in np.unique(labels)]
    return table.take(pa.array(np.sort(np.concatenate(chosen))))


def answers(fit_predict: FitPredict, train: pa.Table, texts: Sequence[str]) -> list[str]:
    """Fit, and label texts."""
    names, targets = encode(train["label"].to_pylist())
    training = Training(train["text"].to_pylist(), targets, np.ones(len(targets)))
    return [names[at] for at in fit_predict(training, list(texts)).argmax(axis=1)]


def main() -> None:
    """Measure, and print a row a setting."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/banking77"))
    parser.add_argument("--thesaurus", default="../shared/data/synonyms/mwa_ppdb.zip")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--model", choices=["linear", "encoder"], default="encoder")
    parser.add_argument("--each", type=int, default=10, help="examples a class")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=24, help="of the rows without copies")
    parser.add_argument("--lr", type=float, default=2e-4)
    asked = parser.parse_args()
    whole, test = read(asked.data / "train.csv"), read(asked.data / "test.csv")
    right = test["label"].to_pylist()
    names = encode(whole["label"].to_pylist())[0]
    print("| copies by | test accuracy, mean | by seed | label kept |\n|---|---|---|---|")
    for name in asked.settings:
        edits, scores, kept = SETTINGS[name], [], []
        for seed in asked.seeds:
            train, epochs = few(whole, asked.each, seed), asked.epochs
            if edits:
                thesaurus = asked.thesaurus if "synonym" in edits else None
                settings = AugmentSettings(
                    edits, copies=asked.copies, share=asked.share, thesaurus=thesaurus, seed=seed
                )
                made = augment(train, settings)
                told = preserved(made, lambda texts: answers(fit_linear, whole, texts))
                kept.append(told.share or 0.0)
                train, epochs = made.table, max(1, round(epochs / (1 + asked.copies)))
            encoder = EncoderSettings(epochs=epochs, lr=asked.lr, max_length=64)
            fit_predict = (
                fit_linear
                if asked.model == "linear"
                else cross_fitted(names, encoder, several=False, seed=seed)
            )
            said = answers(fit_predict, train, test["text"].to_pylist())
            scores.append(float(np.mean(np.array(said) == np.array(right))))
        each = ", ".join(f"{score:.4f}" for score in scores)
        share = f"{statistics.mean(kept):.1%}" if kept else ""
        print(f"| {name} | {statistics.mean(scores):.4f} | {each} | {share} |", flush=True)


if __name__ == "__main__":
    main()
