"""The figures of builtin:support's data card: lengths, spelling habits, near duplicates.

python tests/benchmarks/support_statistics.py
"""

from __future__ import annotations

import csv
import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from lightning_tune.datasets import builtin


@dataclass(frozen=True)
class Row:
    """One message and where it stands."""

    split: str
    line: int
    text: str
    label: str


def read() -> list[Row]:
    """Return all rows of the three splits."""
    rows = []
    for split, path in builtin("support").items():
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows += [Row(split, reader.line_num, row["text"], row["label"]) for row in reader]
    return rows


def plain(text: str) -> str:
    """Return a text in lower case without punctuation."""
    return re.sub(r"\W+", " ", text.casefold()).strip()


def print_lengths(name: str, rows: Sequence[Row]) -> None:
    """Print quantiles of the number of words, split at white space, and the share of each size."""
    words = sorted(len(row.text.split()) for row in rows)
    shares = [sum(low <= n <= high for n in words) for low, high in ((0, 8), (9, 45), (46, 999))]
    print(
        f"{name:<17} {len(words):>5} rows; words {words[0]} / {statistics.median(words):g} / "
        f"{statistics.mean(words):.1f} / {words[int(0.95 * len(words))]} / {words[-1]};"
        + "".join(f" {share / len(words):.0%}" for share in shares)
    )


def print_habits(texts: Sequence[str]) -> None:
    """Print how many messages are written in which way."""
    habits = {
        "begin with a small letter": [text[0].islower() for text in texts],
        "have no punctuation": [not re.search(r"[.,!?;]", text) for text in texts],
        "hold a character outside ASCII": [not text.isascii() for text in texts],
        "hold an emoji": [any(unicodedata.category(c) == "So" for c in text) for text in texts],
        "are in capitals": [text.isupper() for text in texts],
    }
    for habit, holds in habits.items():
        print(f"{sum(holds):>5} {habit}")
    print(f"{max(map(len, texts)):>5} characters in the longest")
    repeated = [text for text, count in Counter(map(plain, texts)).items() if count > 1]
    print(f"{len(repeated):>5} stand twice, apart from case and punctuation")


def print_nearest(rows: Sequence[Row], count: int = 5) -> None:
    """Print the pairs that are most alike by TF-IDF over characters, and the one across splits."""
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    vectors = vectorizer.fit_transform([row.text for row in rows])
    likeness = np.triu((vectors @ vectors.T).toarray(), 1)
    order = np.argsort(likeness, axis=None)[::-1]
    pairs = [divmod(int(position), len(rows)) for position in order[:1000]]
    across = next(pair for pair in pairs if rows[pair[0]].split != rows[pair[1]].split)
    for first, second in [*pairs[:count], across]:
        places = [f"{rows[i].split}:{rows[i].line} {rows[i].text!r}" for i in (first, second)]
        print(f"{likeness[first, second]:.2f} {' | '.join(places)}")


def main() -> None:
    """Print all figures."""
    rows = read()
    for split in ("train", "val", "test"):
        print_lengths(split, [row for row in rows if row.split == split])
    for label in sorted({row.label for row in rows}):
        print_lengths(label, [row for row in rows if row.label == label])
    print_habits([row.text for row in rows])
    print_nearest(rows)


if __name__ == "__main__":
    main()
