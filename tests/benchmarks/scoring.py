"""How fast `score` is: a cold process to its first label; rows a second beside the bare session.

    python tests/benchmarks/scoring.py --bundle FOLDER --input ../shared/data/sst2_sentence/test.tsv

The bare session runs the very batches that `score` makes, from arrays that are ready, and nothing
else: no file, no tokenizer, no answer. Both go in turns; the medians of the rounds are compared.
`--settings` also measures what the settings of `score` were chosen by: tokens a batch, and how long
threads wait busily.
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

from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.runtime import OnnxRuntimeSession
from lightning_tune.serving.scoring import score
from lightning_tune.tables import Fields, TableFormat, read_rows

ONE = "a fine film, at last, and not too long for a child of ten"
COLUMNS = ("text", "label")  # of the sentence files of SST-2, which have no header line


def cold_starts(
    bundle: str, folder: Path, rounds: int, runtime: str | None
) -> list[tuple[float, float]]:
    """Wall and processor seconds of fresh processes that answer one row each."""
    source = folder / "one.csv"
    source.write_text("text\na fine film\n", encoding="utf-8")
    words = ["-m", "lightning_tune", "score", "--bundle", bundle, "--text", "text"]
    words += ["--input", str(source), "--output", str(folder / "one.parquet")]
    words += [] if runtime is None else ["--runtime", runtime]
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


def in_turns(
    works: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor seconds of each round of each work; the order turns with the rounds."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    names = list(works)
    for number in range(-1, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            begun, spent = time.perf_counter(), time.process_time()
            works[name]()
            if number >= 0:  # the first round warms up
                times = time.perf_counter() - begun, time.process_time() - spent
                seconds[name].append(times)
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
    medians = {
        name: [statistics.median(column) for column in zip(*times, strict=True)]
        for name, times in found.items()
    }
    base, base_spent = medians["bare session"]
    print(f"{rows} rows, {len(ready)} batches of up to {bundle.session.batch_tokens} tokens")
    for name, (wall, spent) in medians.items():
        print(
            f"  {name:<14} {rows / wall:8,.0f} rows/s, {base / wall:6.1%} of the session; "
            f"by processor time {base_spent / spent:6.1%}"
        )


def compare_budgets(bundle: Bundle, texts: list[str], rounds: int) -> None:
    """Print rows a second by tokens a batch, all budgets in turns; processor time beside it."""
    encoded = bundle.encoder.encode(texts)
    works: dict[str, Callable[[], object]] = {}
    kept = bundle.session.batch_tokens
    for tokens in (128, 256, 512, 1024, 2048, 4096, 16384):
        bundle.session.batch_tokens = tokens
        ready = [inputs for _, inputs in bundle.batches(encoded)]
        works[f"{tokens} tokens a batch"] = lambda ready=ready: [
            bundle.session.run(inputs) for inputs in ready
        ]
    bundle.session.batch_tokens = kept
    for name, times in in_turns(works, rounds).items():
        wall, spent = (statistics.median(column) for column in zip(*times, strict=True))
        print(
            f"  {name:<26} {len(texts) / wall:8,.0f} rows/s, "
            f"{1000 * spent / len(texts):.2f} ms of the processor a row"
        )


def compare_waiting(bundle: Bundle, rounds: int) -> None:
    """Print milliseconds of one text by threads and how they wait, all in turns."""
    file = bundle.path / bundle.manifest.model
    disabled = bundle.manifest.session.disabled_optimizers
    one = next(inputs for _, inputs in bundle.batches(bundle.encoder.encode([ONE])))
    cores = len(os.sched_getaffinity(0))
    runs: dict[str, Callable[[], object]] = {}
    for threads, spin in [(1, 0), *((cores, spin) for spin in (None, 100, 20, 0))]:
        waiting = "as ONNX Runtime waits" if spin is None else f"waiting {spin} us"
        session = OnnxRuntimeSession(file, disabled, threads, spin_us=spin)
        runs[f"{threads} threads, {waiting}"] = lambda run=session.run: run(one)
    single: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()
            for _ in range(12):
                begun = time.perf_counter()
                run()
                single[name].append(1000 * (time.perf_counter() - begun))
    print(f"  one text of {one['input_ids'].shape[1]} tokens, {12 * rounds} runs each, in turns")
    for name, times in single.items():
        tenth, median = statistics.quantiles(times, n=10)[0], statistics.median(times)
        print(f"  {name:<34} 10th percentile {tenth:6.2f} ms   median {median:6.2f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--input", required=True, help="a file of texts")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--runtime", help="another than export chose, as of `score`")
    parser.add_argument("--settings", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times = cold_starts(args.bundle, folder, args.rounds, args.runtime)
        wall, spent = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"cold process to first label: {wall:.2f} s, of the processor {spent:.2f} s")
        source, texts = readable(args.input, folder)
        bundle = Bundle(args.bundle, runtime=args.runtime, threads=args.threads)
        against_the_session(bundle, source, folder, args.rounds)
        if args.settings:
            compare_budgets(bundle, texts, args.rounds)
            if args.runtime is None:
                compare_waiting(bundle, 5 * args.rounds)


if __name__ == "__main__":
    main()
