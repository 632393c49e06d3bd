"""Measure tokenization into the cache against the bare tokenizer, its peak memory, and padding.

    python tests/benchmarks/tokenization.py --text FILE --tokenizer FOLDER --rows 200000

The lines of FILE (up to the first tab) are repeated up to the number of rows and written as CSV.
Each round times, in fresh processes and in turn, the bare `encode_batch_fast` over texts in memory,
and our whole way from the CSV to the finished cache: reading, checking, hashing, encoding, writing,
fsync. The ratio is the median over the rounds. CPU seconds are shown too, since they suffer less
from other processes. Padding is measured on one epoch of FILE's own lines.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True, help="a text file, one example a line")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of a tokenizer.json")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--role", choices=("bare", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--csv", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role is not None:
        result = bare(args) if args.role == "bare" else ours(args)
        print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory() as folder:
        args.csv = Path(folder) / "rows.csv"
        write_rows(args.text, args.csv, args.rows)
        rounds = [{role: run(role, args) for role in ("bare", "ours")} for _ in range(args.rounds)]
    ratios = [each["bare"]["seconds"] / each["ours"]["seconds"] for each in rounds]
    for each, ratio in zip(rounds, ratios, strict=True):
        rates = {role: f"{args.rows / each[role]['seconds']:,.0f} rows/s" for role in each}
        print(f"bare {rates['bare']}, ours {rates['ours']}, ratio {ratio:.3f}")
    peak = max(each["ours"]["peak_mb"] for each in rounds)
    cpu = statistics.median(each["bare"]["cpu"] / each["ours"]["cpu"] for each in rounds)
    print(
        f"median ratio {statistics.median(ratios):.3f} (by CPU seconds {cpu:.3f}), "
        f"peak memory {peak:,.0f} MB"
    )
    share, floor = padding(args)
    print(f"padding {share:.2%} of tokens at batch {args.batch_size} (all sorted: {floor:.2%})")


def read_lines(path: Path) -> list[str]:
    lines = path.read_text("utf-8-sig").splitlines()
    return [text for line in lines if (text := line.split("\t")[0].strip())]


def write_rows(source: Path, target: Path, rows: int) -> None:
    labels = random.Random(0)
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for text in itertools.islice(itertools.cycle(read_lines(source)), rows):
            writer.writerow((text, labels.choice("ab")))


def run(role: str, args: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--role", role, "--csv", str(args.csv)]
    command += ["--text", str(args.text), "--tokenizer", str(args.tokenizer)]
    command += ["--max-length", str(args.max_length)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def bare(args: argparse.Namespace) -> dict[str, float]:
    with args.csv.open(newline="", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    tokenizer = Tokenizer.from_file(str(args.tokenizer / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(args.max_length)
    started, began = time.perf_counter(), time.process_time()
    for start in range(0, len(texts), 1024):
        tokenizer.encode_batch_fast(texts[start : start + 1024])
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - began}


def ours(args: argparse.Namespace) -> dict[str, float]:
    from lightning_tune.data.building import build_or_open
    from lightning_tune.data.sources import open_source
    from lightning_tune.serving.encoding import EncodingSettings, TextEncoder
    from lightning_tune.tables import Fields, TableFormat

    tokenizer = Tokenizer.from_file(str(args.tokenizer / "tokenizer.json"))
    encoder = TextEncoder(tokenizer, EncodingSettings(args.max_length), with_types=True)
    with tempfile.TemporaryDirectory() as folder:
        started, began = time.perf_counter(), time.process_time()
        source = open_source(str(args.csv), "train", Fields(), TableFormat())
        build_or_open(
            source, lambda: encoder, key_parts={}, folder=Path(folder), on_bad_rows="refuse"
        )
        seconds, cpu = time.perf_counter() - started, time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": cpu, "peak_mb": peak}


def padding(args: argparse.Namespace) -> tuple[float, float]:
    from lightning_tune.data.batching import BatchSettings, BucketSampler
    from lightning_tune.serving.encoding import EncodingSettings, TextEncoder

    tokenizer = Tokenizer.from_file(str(args.tokenizer / "tokenizer.json"))
    encoder = TextEncoder(tokenizer, EncodingSettings(args.max_length), with_types=True)
    lengths = encoder.encode(read_lines(args.text)).lengths
    settings = BatchSettings(args.batch_size)
    shares = []
    for shuffle in (True, False):
        batches = [
            np.array(batch) for batch in BucketSampler(lengths, settings=settings, shuffle=shuffle)
        ]
        slots = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
        shares.append(1 - int(lengths.sum()) / slots)
    return shares[0], shares[1]


if __name__ == "__main__":
    main()
