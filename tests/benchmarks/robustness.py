"""Fit each objective over several seeds, attack what comes out, print one Markdown table a config.

    python tests/benchmarks/robustness.py --data ../shared/data --only sst2 banking77
    python tests/benchmarks/robustness.py --only sst2 --objectives Plain FGM:radius=0.3 --split val

An objective is NAME or NAME:KEY=VALUE,KEY=VALUE. Each seed is one `fit` and one attacked `test` (or
`validate`, to choose objectives by) of the real command line; what stands in the output folder is
not run again. Radius and budget are the same for all, and no objective sees the attack's edits.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from accuracy import DATA, run

OBJECTIVES = ["Plain", "FGM", "PGD", "FreeLB", "SMART", "RDrop", "FGMRDrop"]
COLUMNS = {
    "accuracy": "clean",
    "accuracy_pgd": "PGD",
    "accuracy_text_attack": "text attack",
}


@dataclass(frozen=True)
class Measured:
    """One seed: accuracies by metric, samples a second of the fit, its peak memory in MiB."""

    metrics: dict[str, float]
    speed: float
    memory: float


def fit(config: str, seed: int, data: Path, work: Path, flags: list[str]) -> float:
    """Fit in a process of its own; return the largest resident memory of its children, in MiB."""
    run(config, seed, data, work, None, flags)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def measure(
    config: str, objective: str, seed: int, asked: argparse.Namespace, attack: list[str]
) -> Measured:
    """Fit and attack once, unless that was done before."""
    work = asked.work / objective.replace(":", "-").replace("=", "-").replace(",", "-")
    root = work / config / str(seed)
    memory_file, result = root / "memory.json", root / f"robust-{asked.split}.json"
    if not memory_file.is_file():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as own:
            flags = [*objective_flags(objective), *asked.extra]
            memory = own.submit(fit, config, seed, asked.data, work, flags).result()
        memory_file.write_text(json.dumps(memory))
    best = max(root.glob("*/checkpoints/best.ckpt"), key=lambda file: file.stat().st_mtime)
    if not result.is_file():
        command = ["test"] if asked.split == "test" else ["validate"]
        words = [*command, f"--ckpt_path={best}", "-c", "robust", *attack]
        subprocess.run(
            [sys.executable, "-m", "lightning_tune", *words], check=True, stdout=sys.stderr
        )
        result.write_text((best.parents[1] / "metrics.json").read_text())
    return Measured(
        json.loads(result.read_text()),
        samples_per_second(best.parents[1] / "metrics.csv"),
        json.loads(memory_file.read_text()),
    )


def objective_flags(objective: str) -> list[str]:
    """Return the flags of NAME:KEY=VALUE,KEY=VALUE."""
    name, _, settings = objective.partition(":")
    pairs = [setting.split("=") for setting in settings.split(",") if setting]
    return [
        f"--model.objective={name}",
        *(f"--model.objective.{key}={value}" for key, value in pairs),
    ]


def attack_flags(asked: argparse.Namespace) -> list[str]:
    """Return the flags of the attacks."""
    given = {
        "rows": asked.rows or "null",
        "validation": asked.split == "val",
        "pgd.radius": asked.radius,
        "pgd.norm": asked.norm,
        "pgd.steps": asked.steps,
        "pgd.restarts": asked.restarts,
        "text.queries": asked.queries,
        "text.max_changed": asked.max_changed,
        "text.synonyms": asked.synonyms,
    }
    return [
        f"--trainer.callbacks.{name}={value}" for name, value in given.items() if value is not None
    ]


def samples_per_second(curves: Path) -> float:
    """Return the median rate that a fit logged."""
    with curves.open(newline="") as file:
        rates = [row.get("throughput/samples_per_second") for row in csv.DictReader(file)]
    return statistics.median(float(rate) for rate in rates if rate)


def print_table(config: str, found: dict[str, list[Measured]], split: str) -> None:
    """Print the means over seeds, with the smallest and the largest; costs against the first."""
    headings = ["objective", *COLUMNS.values(), "step over the first", "peak memory, MiB"]
    print(
        f"\n{config}, {split}\n\n| {' | '.join(headings)} |\n|---|{'---:|' * (len(headings) - 1)}"
    )
    first = statistics.mean(one.speed for one in next(iter(found.values())))
    for objective, seeds in found.items():
        cells = [objective]
        for name in COLUMNS:
            values = [100 * one.metrics[f"{split}/{name}"] for one in seeds]
            cells.append(f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        cells.append(f"{first / statistics.mean(one.speed for one in seeds):.2f}")
        cells.append(f"{max(one.memory for one in seeds):.0f}")
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run, and print one table a config."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("runs/robustness"))
    parser.add_argument("--only", nargs="*", default=["sst2", "banking77"], choices=list(DATA))
    parser.add_argument("--objectives", nargs="*", default=OBJECTIVES)
    parser.add_argument("--seeds", nargs="*", type=int, default=[42, 43, 44])
    parser.add_argument("--split", choices=["test", "val"], default="test")
    parser.add_argument("--rows", type=int, default=500, help="rows to attack; 0: all")
    parser.add_argument("--radius", type=float, default=0.2)
    parser.add_argument("--norm", default="l2")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--max-changed", type=float, default=0.2)
    parser.add_argument("--synonyms", help="file of synonyms that the text attack may use")
    parser.add_argument("extra", nargs="*", help="more flags for fit, after --")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    attack = attack_flags(asked)
    print(f"attacks: {' '.join(attack)}")
    for config in asked.only:
        found = {
            objective: [measure(config, objective, seed, asked, attack) for seed in asked.seeds]
            for objective in asked.objectives
        }
        print_table(config, found, asked.split)


if __name__ == "__main__":
    main()
