"""Find texts that do not belong; print average precision, and what the default of `outliers` finds.

    python tests/benchmarks/outliers.py --data ../shared/data

Into 4,000 texts of a set 40 strangers are put: texts of another set, of a language that none of the
sets is in, random letters, or machine output. The baseline is the mean cosine distance to the ten
nearest texts, by scikit-learn over its TF-IDF of words with their defaults. `found` is the share of
the strangers that stand out at the default, `besides` the share of the set's own texts that do.
"""

from __future__ import annotations

import argparse
import random
import string
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from lightning_tune.prepare.quality.outliers import is_outlier, surprisals

OWN, STRANGE, SEEDS = 4000, 40, 3
LINES = (
    '{{"id": {0}, "status": "ok", "data": [{1}, {2}]}}',
    'Traceback (most recent call last): File "job{0}.py", line {1}, in <module> {2}',
    '<div class="c{0}"><span id="{1}">{2}</span></div>',
    "SELECT * FROM t{0} WHERE a = {1} AND b > {2};",
)
Draw = Callable[[random.Random, int], list[str]]


def cells(path: Path, column: int, *, skip: int = 0, encoding: str = "utf-8") -> list[str]:
    """Read a column of a TSV file without quoting."""
    lines = path.read_text(encoding=encoding).split("\n")
    return [line.split("\t")[column] for line in lines[skip:] if line]


def sets(data: Path) -> dict[str, list[str]]:
    """Read the texts of each set."""
    import csv

    with (data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        banking = [row[0] for row in csv.reader(file)][1:]
    phrases = cells(data / "financial_phrasebank" / "Sentences_50Agree.txt", 0, encoding="latin-1")
    return {
        "SST-2": cells(data / "sst2_sentence" / "train.tsv", 0),
        "BANKING77": banking,
        "GoEmotions": cells(data / "goemotions" / "train.tsv", 0),
        "financial phrases": [line.rsplit("@", 1)[0] for line in phrases],
        "ChnSentiCorp": cells(data / "zh_chnsenticorp" / "train.tsv", 0, skip=1),
    }


def letters(draw: random.Random, count: int) -> list[str]:
    """Return random letters, digits and spaces."""
    some = string.ascii_lowercase + string.digits + " "
    return ["".join(draw.choices(some, k=draw.randrange(20, 90))) for _ in range(count)]


def output(draw: random.Random, count: int) -> list[str]:
    """Return what machines write, with random numbers in it."""
    return [
        draw.choice(LINES).format(*(draw.randrange(1000) for _ in range(3))) for _ in range(count)
    ]


def neighbours(texts: list[str]) -> NDArray[np.float64]:
    """Return the mean cosine distance of each text to the ten nearest."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    vectors = TfidfVectorizer().fit_transform(texts)
    away, _ = NearestNeighbors(n_neighbors=11, metric="cosine").fit(vectors).kneighbors(vectors)
    return np.asarray(away[:, 1:].mean(axis=1))


def row(own: list[str], strangers: Draw) -> list[float]:
    """Return the two average precisions, the share found, and the share of others, over seeds."""
    found = []
    for seed in range(SEEDS):
        draw = random.Random(seed)
        texts = [*draw.sample(own, min(OWN, len(own))), *strangers(draw, STRANGE)]
        strange = np.arange(len(texts)) >= len(texts) - STRANGE
        scores = surprisals(texts)
        flags = is_outlier(scores)
        found.append(
            [
                average_precision_score(strange, neighbours(texts)),
                average_precision_score(strange, scores),
                flags[strange].mean(),
                flags[~strange].mean(),
            ]
        )
    return [float(value) for value in np.mean(found, axis=0)]


def kinds(texts: Mapping[str, list[str]], data: Path) -> dict[str, Draw]:
    """Return what draws each kind of stranger."""
    hausa = cells(data / "noisy_newsclass" / "hausa" / "train_clean.tsv", -2, skip=1)
    named = {**texts, "Hausa": hausa}
    drawn: dict[str, Draw] = {
        name: lambda draw, count, some=some: draw.sample(some, count)
        for name, some in named.items()
    }
    return {**drawn, "random letters": letters, "machine output": output}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    texts = sets(data)
    print("| texts | strangers | neighbours | surprisal | found | besides |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, own in texts.items():
        for kind, strangers in kinds(texts, data).items():
            if kind != name:
                base, ours, found, besides = row(own, strangers)
                print(
                    f"| {name} | {kind} | {base:.2f} | {ours:.2f} | {found:.0%} | {besides:.2%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
