"""How fast `score` is: a cold process to its first label; rows a second beside the bare session.

    python tests/benchmarks/scoring.py --bundle FOLDER --input ../shared/data/sst2_sentence/test.tsv

The bare session runs the very batches that `score` makes, from arrays that are ready, and nothing
else: no file, no tokenizer, no answer. Both go in turns; the medians of the rounds are compared.
`--settings` also measures what the settings of `score` were chosen by: tokens a batch, threads, and
threads that spin while they wait.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lightning_tune.serving import bundle as bundles
from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.runtime import OnnxRuntimeSession
from lightning_tune.serving.scoring import score
from lightning_tune.tables import Fields, TableFormat, read_rows

COLUMNS = ("text", "label")  # of the sentence files of SST-2, which have no header line


def cold_starts(bundle: str, folder: Path, rounds: int) -> list[tuple[float, float]]:
    """Wall and processor seconds of fresh processes that answer one row each."""
    source = folder / "one.csv"
    source.write_text("text\na fine film\n", encoding="utf-8")
    words = ["-m", "lightning_tune", "score", "--bundle", bundle, "--text", "text"]
    words += ["--input", str(source), "--output", str(folder / "one.parquet")]
    times = []
    for _ in range(rounds):
        before = os.times()
        begun = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - begun
        after = os.times()
        spent = after.children_user + after.children_system
        times.append((wall, spent - before.children_user - before.children_system))
    return times


def in_turns(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round of each work; the order turns with the rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    for number in range(-1, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            begun = time.perf_counter()
            works[name]()
            if number >= 0:  # the first round warms up
                seconds[name].append(time.perf_counter() - begun)
    return seconds


def readable(source: str, folder: Path) -> tuple[Path, list[str]]:
    """Copy the texts of a file into a csv with a header line; return it and the texts."""
    columns = COLUMNS if source.endswith(".tsv") else None
    fields = Fields(label=None, columns=columns)
    batches = read_rows(source, fields, format=TableFormat(), on_bad_rows="skip")
    texts = [text for batch in batches for text in batch.texts]
    copy = folder / "texts.csv"
    with copy.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *[[text] for text in texts]])
    return copy, texts


def against_the_session(bundle: Bundle, source: Path, folder: Path, rounds: int) -> None:
    """Print rows a second of `score`, of Bundle without files, and of the session alone."""
    fields, format = Fields(label=None), TableFormat()
    parts = [batch.texts for batch in read_rows(str(source), fields, format=format)]
    ready = [
        inputs for texts in parts for _, inputs in bundle.batches(bundle.encoder.encode(texts))
    ]
    rows = sum(map(len, parts))

    def bare() -> None:
        for inputs in ready:
            bundle.session.run(inputs)

    output = folder / "out.parquet"
    works: dict[str, Callable[[], object]] = {
        "bare session": bare,
        "Bundle(texts)": lambda: [bundle(texts) for texts in parts],
        "score": lambda: score(bundle, [str(source)], output, fields=fields, format=format),
    }
    found = in_turns(works, rounds)
    base = statistics.median(found["bare session"])
    print(f"{rows} rows, {len(ready)} batches of up to {bundles.BATCH_TOKENS} tokens")
    for name, seconds in found.items():
        median = statistics.median(seconds)
        print(f"  {name:<14} {rows / median:8,.0f} rows/s   {base / median:6.1%} of the session")


def settings(path: str, texts: list[str], rounds: int) -> None:
    """Print what each setting reaches, all in turns: milliseconds of one text, rows a second."""
    made = Bundle(path, verify=False)
    file = made.path / made.manifest.model
    disabled = made.manifest.session.disabled_optimizers
    encoded = made.encoder.encode(texts)
    one = next(inputs for _, inputs in made.batches(made.encoder.encode(["a fine film, at last"])))
    cores = len(os.sched_getaffinity(0))
    works: dict[str, Callable[[], object]] = {}
    for tokens in (256, 512, 1024, 2048, 4096, 16384):
        ready = []
        bundles.BATCH_TOKENS, kept = tokens, bundles.BATCH_TOKENS
        ready = [inputs for _, inputs in made.batches(encoded)]
        bundles.BATCH_TOKENS = kept
        works[f"{tokens} tokens a batch"] = lambda ready=ready: [
            made.session.run(inputs) for inputs in ready
        ]
    usual = [inputs for _, inputs in made.batches(encoded)]
    for threads in sorted({1, cores}):
        for spins in (True, False):
            name = f"{threads} threads, {'spinning' if spins else 'sleeping'}"
            session = OnnxRuntimeSession(file, disabled, threads, spins=spins)
            works[name] = lambda run=session.run: [run(inputs) for inputs in usual]
            works[f"{name}, 100 times 1 text"] = lambda run=session.run: [
                run(one) for _ in range(100)
            ]
    for name, seconds in in_turns(works, rounds).items():
        median = statistics.median(seconds)
        told = (
            f"{10 * median:8.2f} ms" if "1 text" in name else f"{len(texts) / median:8,.0f} rows/s"
        )
        print(f"  {name:<40} {told}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--input", required=True, help="a file of texts")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--settings", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = cold_starts(args.bundle, folder, args.rounds)
        wall, spent = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"cold process to first label: {wall:.2f} s, of the processor {spent:.2f} s")
        source, texts = readable(args.input, folder)
        bundle = Bundle(args.bundle, threads=args.threads)
        against_the_session(bundle, source, folder, args.rounds)
        if args.settings:
            settings(args.bundle, texts, args.rounds)


if __name__ == "__main__":
    main()
