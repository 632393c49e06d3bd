"""What a tracker that fails takes from a training: a run with W&B against one without, by turns.

    python tests/benchmarks/outages.py --rounds 3
    python tests/benchmarks/outages.py --kinds dies "falls silent" -- --trainer.max_epochs=6

Each run is a `fit` in a process of its own, on one server of tests/faults/trackers.py that fails in
its way. Two figures for each kind, medians over the rounds: the share of the training that its
thread spends in the tracker's calls (sure even on a busy machine), and the time of the training
over the untracked run of the same round (the service that W&B starts takes processor time too; this
one needs a quiet machine, and the untracked runs' own spread stands in the first row). Training is
what lies between the first step and the end of the last epoch; what comes after it is the business
of the harness. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import Any

FAULTS = Path(__file__).resolve().parents[1] / "faults"
KINDS = ("absent", "hangs", "refuses the key", "answers nonsense", "dies", "falls silent")
WITHOUT = "without"
CALLS = ("log_metrics", "log_hyperparams", "log_evaluation", "after_save_checkpoint", "save")


def work(config: str, kind: str, flags: list[str]) -> None:
    """Fit once in this process; print the seconds of training and those in the tracker's calls."""
    from lightning_tune.cli import main as command_line
    from lightning_tune.training.callbacks.throughput import Throughput
    from lightning_tune.training.loggers import WandbRun

    times: dict[str, float] = {"in calls": 0.0}
    note(Throughput, "on_train_start", lambda: times.setdefault("began", time.perf_counter()))
    note(Throughput, "on_train_end", lambda: times.setdefault("ended", time.perf_counter()))
    for name in CALLS:
        add_up(WandbRun, name, times)
    tracked = [] if kind == WITHOUT else ["-c", "wandb"]
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        code = command_line(["fit", "-c", config, *tracked, *flags])
    whole = times["ended"] - times["began"]
    print(json.dumps({"code": code, "training": whole, "in calls": times["in calls"]}))


def note(owner: type, name: str, tell: Callable[[], object]) -> None:
    """Call `tell` before each call of a method."""
    method = getattr(owner, name)

    def told(*args: Any, **kwargs: Any) -> Any:
        tell()
        return method(*args, **kwargs)

    setattr(owner, name, told)


def add_up(owner: type, name: str, times: dict[str, float]) -> None:
    """Count the seconds that a method takes while a training runs."""
    method = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            if "began" in times and "ended" not in times:
                times["in calls"] += time.perf_counter() - began

    setattr(owner, name, timed)


def measure(kind: str, asked: argparse.Namespace) -> dict[str, float]:
    """Fit once, in a process of its own, against a server of this kind."""
    from trackers import KEY, broken

    words = [sys.executable, __file__, "--worker", kind, "--config", asked.config]
    served = broken(kind) if kind != WITHOUT else nullcontext()
    with tempfile.TemporaryDirectory() as home, served as server:
        places = ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")
        env = {**os.environ, **dict.fromkeys(places, home), "WANDB_API_KEY": KEY}
        if server is not None:
            env["WANDB_BASE_URL"] = server.url
        done = subprocess.run(
            [*words, "--", *asked.flags], env=env, check=True, stdout=subprocess.PIPE, text=True
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if found["code"] != 0:
        sys.exit(f"{kind}: exit code {found['code']}")
    return found


def show(found: dict[str, list[dict[str, float]]]) -> None:
    """Print a row for each kind: medians, with the smallest and the largest."""
    print("| tracker | training, s | in its calls, % | time over the untracked run |")
    print("|---|---:|---:|---:|")
    untracked = [run["training"] for run in found[WITHOUT]]
    for kind, runs in found.items():
        shares = [100 * run["in calls"] / run["training"] for run in runs]
        against = untracked if kind != WITHOUT else [statistics.median(untracked)] * len(runs)
        ratios = [run["training"] / other for run, other in zip(runs, against, strict=True)]
        print(
            f"| {kind} | {statistics.median(run['training'] for run in runs):.1f} | "
            f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f}) | "
            f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) |"
        )


def main() -> None:
    """Measure by turns, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="quickstart")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("flags", nargs="*", help="more flags for fit, after --")
    asked = parser.parse_args()
    if asked.worker:
        work(asked.config, asked.worker, asked.flags)
        return
    sys.path.insert(0, str(FAULTS))
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in (WITHOUT, *asked.kinds)}
    for turn in range(asked.rounds):
        for kind, runs in found.items():
            runs.append(measure(kind, asked))
            print(f"round {turn + 1}, {kind}: {runs[-1]}", file=sys.stderr, flush=True)
    show(found)


if __name__ == "__main__":
    main()
