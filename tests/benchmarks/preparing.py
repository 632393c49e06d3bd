"""Measure `prepare` on a million rows: rows a second, and the memory of all its processes.

    python tests/benchmarks/preparing.py --text FILE --rows 1000000 --recipe FILE --processes 2

The lines of FILE (up to the first tab; SST-2's sentences have 19 words) are repeated up to the
number of rows, each time with edits: three words in ten are swapped for words of other lines; one
row in twenty stays as it was, so that there are duplicates to find. The rows are written as CSV and
prepared in a fresh process, the way the command does it, with the recipe that is named.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True, help="a text file, one example a line")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--recipe", help="a recipe, as `prepare --recipe` takes it")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "rows.csv"
        write_rows(args.text, table, args.rows)
        print(f"{args.rows:,} rows, {table.stat().st_size / 1e6:,.0f} MB of CSV")
        for number in range(args.rounds):
            measure(table, Path(folder) / str(number), args)


def write_rows(source: Path, target: Path, rows: int) -> None:
    """Repeat the lines of a file with edits."""
    draw = random.Random(0)
    lines = [line.split("\t")[0].split() for line in source.read_text("utf-8-sig").splitlines()]
    words = [word for line in lines for word in line]
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for row in range(rows):
            line = lines[row % len(lines)]
            if draw.random() > 0.05:
                line = [draw.choice(words) if draw.random() < 0.3 else word for word in line]
            text = " ".join(line)
            writer.writerow((text, "ab"[len(text) % 2]))


def measure(table: Path, output: Path, args: argparse.Namespace) -> None:
    """Prepare the rows in a process of their own and say how it went."""
    command = [sys.executable, "-m", "lightning_tune", "prepare", "--input", str(table)]
    command += ["--output", str(output), "--processes", str(args.processes)]
    command += [] if args.recipe is None else ["--recipe", args.recipe]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = Peak(process.pid)
    told, _ = process.communicate()
    seconds = time.perf_counter() - start
    peak.stop()
    if process.returncode not in (0, 3):
        sys.exit(process.returncode)
    rows = json.loads((output / "report.json").read_text())["rows"]
    print(told.rstrip().splitlines()[-2])
    print(
        f"{rows['read'] / seconds:,.0f} rows/s over {seconds:.1f} s with start and imports, "
        f"peak memory {peak.megabytes:,.0f} MB, {rows['kept']:,} rows kept"
    )


class Peak:
    """The largest memory that a process and its children had together, read from /proc."""

    def __init__(self, pid: int) -> None:
        self.megabytes = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            pids = [self._pid, *children(self._pid)]
            self.megabytes = max(self.megabytes, sum(map(proportional, pids)) / 1024)

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def children(pid: int) -> list[int]:
    """Return the processes that a process started, theirs too."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, found) for each in (child, *children(child))]


def proportional(pid: int) -> int:
    """Return a process's memory in KB, what it shares divided among those that share it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
