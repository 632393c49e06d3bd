"""Seconds from the imports to the first training step of a cached data set, by the clock.

    python tests/benchmarks/first_step.py --config quickstart --rounds 5

Each round is a fresh process that imports lightning, transformers' BERT and this package's command
line, then runs `fit` and notes when the first training step starts and when its weights are
updated. One round more goes first: it fills the token cache and the machine's measured peaks. Run
it on an idle machine; tests/test_startup.py holds the same budget in processor time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUND = """
import json, os, sys, time
import lightning, torch
from transformers import AutoTokenizer, BertForSequenceClassification
from lightning_tune.cli import main
from lightning_tune.training.module import TextClassifier

step, update = TextClassifier.training_step, TextClassifier.optimizer_step
began, seen = time.perf_counter(), {}

def training_step(self, *args):
    seen.setdefault("starts", time.perf_counter() - began)
    return step(self, *args)

def optimizer_step(self, *args, **kwargs):
    update(self, *args, **kwargs)
    seen["ends"] = time.perf_counter() - began
    print("\\n" + json.dumps(seen), flush=True)
    os._exit(0)

TextClassifier.training_step, TextClassifier.optimizer_step = training_step, optimizer_step
sys.exit(main(["fit", *sys.argv[1:]]))
"""


def time_round(words: list[str]) -> dict[str, float]:
    """Return when the first step starts and ends, in seconds after the imports."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", ROUND, *words],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run the rounds and print medians with the smallest and the largest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="quickstart")
    parser.add_argument("--rounds", type=int, default=5)
    asked, flags = parser.parse_known_args()
    config = str(Path(asked.config).resolve()) if Path(asked.config).is_file() else asked.config
    rounds = [time_round(["-c", config, *flags]) for _ in range(1 + asked.rounds)][1:]
    for what in ("starts", "ends"):
        seconds = [one[what] for one in rounds]
        print(
            f"the first step {what} {statistics.median(seconds):.2f} s after the imports "
            f"({min(seconds):.2f} to {max(seconds):.2f})"
        )


if __name__ == "__main__":
    main()
