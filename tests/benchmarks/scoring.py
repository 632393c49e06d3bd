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
import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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


def one_text(bundle: Bundle) -> dict[str, Any]:
    """Return the inputs of one text."""
    return next(inputs for _, inputs in bundle.batches(bundle.encoder.encode([ONE])))


def calls(run: Callable[[], object], seconds: float) -> list[float]:
    """Milliseconds of each call, one after the other, after those of a tenth of the time."""
    found: list[float] = []
    begun = time.perf_counter()
    while (started := time.perf_counter()) < begun + seconds:
        run()
        if started > begun + seconds / 10:
            found.append(1000 * (time.perf_counter() - started))
    return found


def compare_waiting(bundle: Bundle, rounds: int) -> None:
    """Print milliseconds of one text by threads and how they wait, all in turns.

    A session lives for its turn alone: the threads of one that is left may still wait busily.
    """
    file, off = bundle.path / bundle.manifest.model, bundle.manifest.session.disabled_optimizers
    one, cores = one_text(bundle), len(os.sched_getaffinity(0))
    times: dict[tuple[int, int | None], list[float]] = {
        key: [] for key in [(1, 0), *((cores, spin) for spin in (None, 100, 50, 20, 0))]
    }
    for _ in range(rounds):
        for threads, spin in times:
            session = OnnxRuntimeSession(file, off, threads, spin_us=spin)
            times[threads, spin] += calls(lambda run=session.run: run(one), 0.5)
    print(f"  one text of {one['input_ids'].shape[1]} tokens, in turns")
    for (threads, spin), found in times.items():
        print(f"  {told(threads, spin):<34} median {statistics.median(found):6.2f} ms")


def told(threads: int, spin: int | None) -> str:
    """Return the words for how threads wait."""
    return f"{threads} threads, " + ("as ONNX Runtime waits" if spin is None else f"{spin} us")


def answering(
    file: Path, off: tuple[str, ...], one: dict[str, Any], wait: Any, key: Any, found: Any
) -> None:
    """Answer one text again and again in a process of its own, beside others."""
    threads, spin = key
    session = OnnxRuntimeSession(file, off, threads, spin_us=spin)
    session.run(one)
    wait.wait()
    found.put(calls(lambda: session.run(one), 2.0))


def compare_company(bundle: Bundle) -> None:
    """Print milliseconds of one text, and texts a second of all, by how many processes answer."""
    file, off = bundle.path / bundle.manifest.model, bundle.manifest.session.disabled_optimizers
    one, cores = one_text(bundle), len(os.sched_getaffinity(0))
    begin = multiprocessing.get_context("spawn")
    for several in (1, 2, 4, 8):
        for key in [(1, 0), *((cores, spin) for spin in (None, 100, 50, 20, 0))]:
            wait, found = begin.Barrier(several), begin.Queue()
            words = (file, off, one, wait, key, found)
            each = [begin.Process(target=answering, args=words) for _ in range(several)]
            for process in each:
                process.start()
            times = sorted(itertools.chain.from_iterable(found.get() for _ in each))
            for process in each:
                process.join()
            middle, late = times[len(times) // 2], times[int(0.95 * len(times))]
            print(
                f"  {several} processes of {told(*key):<34} median {middle:6.2f} ms   "
                f"95 % {late:6.2f} ms   {len(times) / 1.8:6,.0f} texts/s",
                flush=True,
            )


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
                compare_waiting(bundle, args.rounds)
                compare_company(bundle)


if __name__ == "__main__":
    main()
