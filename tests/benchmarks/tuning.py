"""Tune BANKING77 in every way; print weights trained, accuracy, speed, memory, checkpoint size.

    python tests/benchmarks/tuning.py --data ../shared/data/banking77 --methods Full LoRA
    python tests/benchmarks/tuning.py --steps 150  # speed and memory alone, a minute a method

Each method is one `fit` and one `test` of the real command line, with configs/banking77.yaml and
the settings below; what stands in the output folder is not run again. Speed is the median over the
run's log lines; memory is the peak resident size of the whole fit; both also as a multiple of full
tuning's, which is run first. Leave the machine to it.
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
    "Pfeiffer": {"lr": "1e-3", "tuning": "Adapters", "tuning.placement": "pfeiffer"},
    "Houlsby": {"lr": "1e-3", "tuning": "Adapters", "tuning.placement": "houlsby"},
    "Prefix": {"lr": "1e-2"},
    "BitFit": {"lr": "3e-3"},
    "LastLayers": {"lr": "2e-4", "tuning.layers": "2"},
}
COLUMNS = (
    *("method", "trained", "test accuracy", "samples/s", "over Full"),
    *("peak RSS MB", "of Full", "checkpoint MB"),
)


def flags(method: str, data: Path, root: Path, seed: int, extra: list[str]) -> list[str]:
    """Return the words of a fit."""
    named = METHODS[method].get("tuning", method)
    settings = {f"--model.{key}={value}" for key, value in METHODS[method].items()}
    return [
        *(sys.executable, "-m", "lightning_tune", "fit", "-c", "banking77"),
        f"--data.train={data / 'train.csv'}",
        f"--data.test={data / 'test.csv'}",
        f"--model.tuning={named}",
        *sorted(settings - {f"--model.tuning={named}"}),
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


def run(method: str, asked: argparse.Namespace) -> dict[str, str]:
    """Fit and, unless steps are limited, test once; return a row of the table."""
    limit = [f"--trainer.max_steps={asked.steps}"] if asked.steps else []
    root = asked.work / (f"{asked.steps}-steps" if asked.steps else "whole") / method
    root = root / str(asked.seed)
    result = root / "result.json"
    if result.is_file():
        return json.loads(result.read_text())
    root.mkdir(parents=True, exist_ok=True)
    words = flags(method, asked.data, root, asked.seed, [*limit, *asked.extra])
    peak = measured(words, root / "fit.log")
    (written,) = root.glob(f"*/checkpoints/{'last' if asked.steps else 'best'}.ckpt")
    folder = written.parents[1]
    with (folder / "metrics.csv").open(newline="") as file:
        rates = [row["throughput/samples_per_second"] for row in csv.DictReader(file)]
    share = re.search(r"^trained .*\((.*%)\)", (root / "fit.log").read_text(), flags=re.M)
    accuracy = "not asked"
    if not asked.steps:
        test = [sys.executable, "-m", "lightning_tune", "test", f"--ckpt_path={written}"]
        measured(test, root / "test.log")
        accuracy = f"{json.loads((folder / 'metrics.json').read_text())['test/accuracy']:.4f}"
    row = {
        "method": method,
        "trained": share[1] if share else "?",
        "test accuracy": accuracy,
        "samples/s": f"{statistics.median(float(rate) for rate in rates if rate):.0f}",
        "peak RSS MB": f"{peak}",
        "checkpoint MB": f"{written.stat().st_size / 1e6:.1f}",
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
    parser.add_argument("--steps", type=int, help="end after so many, and do not test")
    parser.add_argument("extra", nargs="*", help="more flags for fit, after --")
    asked = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    full = run("Full", asked)
    for method in asked.methods:
        row = full if method == "Full" else run(method, asked)
        for column, of in (("over Full", "samples/s"), ("of Full", "peak RSS MB")):
            row[column] = f"{float(row[of]) / float(full[of]):.2f}"
        print(f"| {' | '.join(row[column] for column in COLUMNS)} |", flush=True)


if __name__ == "__main__":
    main()
