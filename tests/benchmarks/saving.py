"""The share of a run's time that goes into being able to go on: checkpoints, and notes each step.

    python tests/benchmarks/saving.py --config quickstart
    python tests/benchmarks/saving.py --config sst2 --data.train FOLDER/train.tsv …

Runs one `fit` in this process and times, within it, all writing of checkpoints (the best and the
last), copying of a best one that is written later, what is noted before each step, and what is
asked after it. Shares of one run hold on a machine that others use too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import chdir
from pathlib import Path
from typing import Any

from lightning_tune.cli import main as command_line
from lightning_tune.training.callbacks.checkpointing import (
    BestCheckpoint,
    WholeFileCheckpointIO,
)
from lightning_tune.training.callbacks.last_checkpoint import LastCheckpoint
from lightning_tune.training.module import TextClassifier

TIMED = {
    "writing checkpoints": (WholeFileCheckpointIO, "save_checkpoint"),
    "copying a best one": (BestCheckpoint, "on_train_batch_start"),
    "noting where a step begins": (TextClassifier, "on_train_batch_start"),
    "asking after a step": (LastCheckpoint, "on_train_batch_end"),
}


def time_calls(seconds: dict[str, float], counts: dict[str, int]) -> None:
    """Count the time that is spent in each of the methods."""
    for what, (owner, name) in TIMED.items():
        method = getattr(owner, name)

        def timed(*args: Any, _what: str = what, _method: Any = method, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return _method(*args, **kwargs)
            finally:
                seconds[_what] += time.perf_counter() - began
                counts[_what] += 1

        setattr(owner, name, timed)


def main() -> int:
    """Run one fit and print the shares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="quickstart")
    asked, flags = parser.parse_known_args()
    config = str(Path(asked.config).resolve()) if Path(asked.config).is_file() else asked.config
    seconds: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    time_calls(seconds, counts)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        began = time.perf_counter()
        code = command_line(["fit", "-c", config, *flags])
        whole = time.perf_counter() - began
    for what in TIMED:
        calls, taken = counts[what], seconds[what]
        each = f"{1000 * taken / max(1, calls):.3f} ms each"
        print(f"{what}: {calls} times, {each}, {100 * taken / whole:.2f} % of {whole:.0f} s")
    print(f"together: {100 * sum(seconds.values()) / whole:.2f} %")
    return code


if __name__ == "__main__":
    sys.exit(main())
