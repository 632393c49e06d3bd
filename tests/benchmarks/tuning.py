"""Tune BANKING77 in every way; print weights trained, accuracy, speed, memory, checkpoint size.

    python tests/benchmarks/tuning.py --data ../shared/data/banking77 --methods Full LoRA

Each method is one `fit` and one `test` of the real command line, with configs/banking77.yaml and
the settings below; what stands in the output folder is not run again. Speed is the median over the
run's log lines; memory is the peak resident size of the whole fit. Leave the machine to it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

METHODS: dict[str, dict[str, str]] = {
    "Full": {"lr": "1e-4"},
    "LoRA": {"lr": "2e-3", "tuning.rank": "6", "tuning.alpha": "12"},
    "DoRA": {"lr": "2e-3", "tuning.rank": "6", "tuning.alpha": "12"},
    "IA3": {"lr": "1e-2"},
    "Adapters": {"lr": "1e-3", "tuning.placement": "pfeiffer"},
    "Prefix": {"lr": "1e-2"},
    "BitFit": {"lr": "3e-3"},
    "LastLayers": {"lr": "2e-4", "tuning.layers": "2"},
}
COLUMNS = ("method", "trained", "test accuracy", "samples/s", "peak RSS MB", "best.ckpt MB")


def flags(method: str, data: Path, root: Path, seed: int, extra: list[str]) -> list[str]:
    """Return the words of a fit."""
    settings = {f"--model.{name}={value}" for name, value in METHODS[method].items()}
    return [
        *(sys.executable, "-m", "lightning_tune", "fit", "-c", "banking77"),
        f"--data.train={data / 'train.csv'}",
        f"--data.test={data / 'test.csv'}",
        f"--model.tuning={method}",
        *sorted(settings),
        f"--seed_everything={seed}",
        f"--trainer.default_root_dir={root}",
        "--trainer.enable_progress_bar=false",
        *extra,
    ]


def measured(words: list[str], log: Path) -> int:
    """Run a command; return the peak resident size of its process in MB.

    Raises:
        SystemExit: if it failed.
    """
    with log.open("w") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} failed; see {log}")
    return usage.ru_maxrss // 1024


def run(method: str, data: Path, work: Path, seed: int, extra: list[str]) -> dict[str, str]:
    """Fit and test once; return a row of the table."""
    root = work / method / str(seed)
    result = root / "result.json"
    if result.is_file():
        return json.loads(result.read_text())
    root.mkdir(parents=True, exist_ok=True)
    peak = measured(flags(method, data, root, seed, extra), root / "fit.log")
    (best,) = root.glob("*/checkpoints/best.ckpt")
    test = [sys.executable, "-m", "lightning_tune", "test", f"--ckpt_path={best}"]
    measured(test, root / "test.log")
    folder = best.parents[1]
    with (folder / "metrics.csv").open(newline="") as file:
        rates = [row["throughput/samples_per_second"] for row in csv.DictReader(file)]
    share = re.search(r"^trained .*\((.*%)\)", (root / "fit.log").read_text(), flags=re.M)
    accuracy = json.loads((folder / "metrics.json").read_text())["test/accuracy"]
    row = {
        "method": method,
        "trained": share[1] if share else "?",
        "test accuracy": f"{accuracy:.4f}",
        "samples/s": f"{statistics.median(float(rate) for rate in rates if rate):.0f}",
        "peak RSS MB": f"{peak:,}",
        "best.ckpt MB": f"{best.stat().st_size / 1e6:.1f}",
    }
    result.write_text(json.dumps(row, indent=2))
    return row


def main() -> None:
    """Run, and print a row a method as it ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/banking77"))
    parser.add_argument("--work", type=Path, default=Path("runs/tuning"))
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("extra", nargs="*", help="more flags for fit, after --")
    asked = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for method in asked.methods:
        row = run(method, asked.data, asked.work, asked.seed, asked.extra)
        print(f"| {' | '.join(row[column] for column in COLUMNS)} |", flush=True)


if __name__ == "__main__":
    main()
