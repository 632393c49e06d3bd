"""Measure the search for near duplicates: what it finds of planted ones, what it takes for more.

    python tests/benchmarks/near.py --data ../shared/data --rows 1000000

What is found: SST-2, BANKING77 and ChnSentiCorp, each cut down by brute force until no two texts
are near duplicates; copies of a fifth of them, a share of whose characters is edited at random,
stand between them in random order. Found is a copy that is in a cluster with its original; false
is a text that is in one with any other. A copy that by brute force is no near duplicate any more
does not count.

What it takes: rows of about 20 words, put together from halves of SST-2 sentences, every twentieth
a copy with 5 % of its characters edited; each run in a fresh process, with its peak memory and a
digest of the result, which has to be the same. With two processes the peak is an upper bound: Linux
counts what the parent held when it started a worker as the worker's too.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import resource
import string
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from lightning_tune.prepare.near import NearSettings, near_duplicates
from lightning_tune.prepare.near.search import plain_text

SETTINGS = NearSettings()
RATES = (0.02, 0.05, 0.08)
HAN = "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="rows of the speed test; 0: none"
    )
    parser.add_argument(
        "--texts", type=int, default=5000, help="texts of each data set to plant in"
    )
    parser.add_argument("--role", type=int, help=argparse.SUPPRESS)  # processes of a timed run
    args = parser.parse_args()
    if args.role is not None:
        print(json.dumps(timed(args)))
        return
    for name, texts in sources(args.data).items():
        quality(name, texts, args.texts)
    if args.rows:
        speed(args)


def sources(data: Path) -> dict[str, list[str]]:
    """The texts of three data sets by name."""
    sst2 = (data / "sst2_sentence" / "train.tsv").read_text(encoding="utf-8").splitlines()
    chinese = (data / "zh_chnsenticorp" / "train.tsv").read_text(encoding="utf-8").splitlines()
    with (data / "banking77" / "train.csv").open(newline="", encoding="utf-8") as file:
        banking = [row["text"] for row in csv.DictReader(file)]
    return {
        "SST-2": [line.split("\t")[0] for line in sst2],
        "BANKING77": banking,
        "ChnSentiCorp": [line.split("\t")[0] for line in chinese],
    }


def quality(name: str, texts: list[str], most: int) -> None:
    """Print what is found of copies, and what is found that should not be."""
    source = random.Random(0)
    originals = apart(source.sample(sorted(set(texts)), k=min(most, len(set(texts)))))
    for rate in RATES:
        rows = [(text, number, False) for number, text in enumerate(originals)]
        for number, text in enumerate(originals[::5]):
            copy = edited(source, text, rate)
            if is_near(copy, text):
                rows.append((copy, number, True))
        copies = sum(copy for _, _, copy in rows)
        source.shuffle(rows)
        found = near_duplicates([text for text, _, _ in rows], SETTINGS)
        at = {number: row for row, (_, number, copy) in enumerate(rows) if not copy}
        hit = sum(
            found[row] == found[at[5 * number]]
            for row, (_, number, copy) in enumerate(rows)
            if copy
        )
        false = wrong(rows, found)
        print(
            f"{name}, {len(originals):,} texts, {copies:,} copies, {rate:.0%} edited: "
            f"{hit / copies:.2%} found, {false / len(rows):.3%} false"
        )


def wrong(rows: list[tuple[str, int, bool]], found: np.ndarray) -> int:
    """Count rows whose cluster's earliest row goes back to another original."""
    origin = [5 * number if copy else number for _, number, copy in rows]
    return sum(origin[row] != origin[found[row]] for row in range(len(rows)))


def is_near(one: str, other: str) -> bool:
    one, other = (plain_text(text, SETTINGS.characters) for text in (one, other))
    return Levenshtein.normalized_similarity(one, other) >= SETTINGS.similarity - 1e-9


def apart(texts: list[str]) -> list[str]:
    """Drop, by brute force, each text that has a near duplicate before it."""
    plain = [plain_text(text, SETTINGS.characters) for text in texts]
    kept: list[int] = []
    for start in range(0, len(plain), 500):
        scores = cdist(
            plain[start : start + 500],
            plain,
            scorer=Levenshtein.normalized_similarity,
            score_cutoff=SETTINGS.similarity - 0.02,  # a margin, for edits come on top
        )
        kept += [start + row for row, each in enumerate(scores) if not each[: start + row].any()]
    return [texts[row] for row in kept]


def edited(source: random.Random, text: str, rate: float) -> str:
    """Insert, delete or replace characters at random places."""
    letters = string.ascii_lowercase if text.isascii() else HAN
    chars = list(text)
    for _ in range(max(1, round(rate * len(text)))):
        at = source.randrange(len(chars))
        action = source.choice(("insert", "delete", "replace"))
        if action == "insert":
            chars.insert(at, source.choice(letters))
        elif action == "replace":
            chars[at] = source.choice(letters)
        elif len(chars) > 1:
            del chars[at]
    return "".join(chars)


def made_rows(data: Path, rows: int) -> list[str]:
    """Rows of about 20 words: the first half of one sentence and the second of another."""
    source = random.Random(0)
    sentences = [text.split() for text in sources(data)["SST-2"]]
    texts: list[str] = []
    while len(texts) < rows:
        if len(texts) % 20 == 19:
            texts.append(edited(source, source.choice(texts[-19:]), 0.05))
            continue
        left, right = source.choice(sentences), source.choice(sentences)
        texts.append(" ".join(left[: len(left) // 2 + 1] + right[len(right) // 2 :]))
    return texts


def speed(args: argparse.Namespace) -> None:
    """Print rows a second on one and two processes."""
    digests = set()
    for processes in (1, 2):
        command = [sys.executable, __file__, "--data", str(args.data), "--rows", str(args.rows)]
        done = subprocess.run(
            [*command, "--role", str(processes)], capture_output=True, text=True, check=True
        )
        result = json.loads(done.stdout)
        digests.add(result["digest"])
        print(
            f"{args.rows:,} rows, {processes} process(es): {result['seconds']:.1f} s, "
            f"{args.rows / result['seconds']:,.0f} rows/s ({args.rows / result['cpu']:,.0f} a CPU "
            f"second), {result['joined']:,} rows in an earlier "
            f"row's cluster; peak memory {result['peak_mb']:,.0f} MB, {result['before_mb']:,.0f} "
            "of them before the search"
        )
    print("the same result" if len(digests) == 1 else "DIFFERENT RESULTS")


def timed(args: argparse.Namespace) -> dict[str, float | str]:
    texts = made_rows(args.data, args.rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start, busy = time.perf_counter(), cpu_seconds()
    found = near_duplicates(texts, SETTINGS, processes=args.role)
    seconds, busy = time.perf_counter() - start, cpu_seconds() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 * args.role
    return {
        "seconds": seconds,
        "cpu": busy,
        "joined": int((found != np.arange(len(found))).sum()),
        "peak_mb": peak + (workers if args.role > 1 else 0),
        "before_mb": before,
        "digest": hashlib.sha256(found.tobytes()).hexdigest(),
    }


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
