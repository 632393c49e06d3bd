"""SIGTERM or SIGINT to the group, the first rank or the second, at a random moment of training."""

from __future__ import annotations

import random
import re
import shutil
import signal
import time
from pathlib import Path

from report import Outcome
from world import World

from lightning_tune.models.checkpoints import is_whole

TARGETS = {
    "one process": (1, "0"),
    "first rank": (2, "0"),
    "second rank": (2, "1"),
    "group": (2, "group"),
    "setting up": (2, "group"),
    "first rank, setting up": (2, "0"),
}
LAUNCHED = "first rank, setting up"
"""Its other rank has to be started by Lightning: from the command line, and 20 times at most."""
ENDLESS = [
    "--trainer.max_epochs=500",
    "--trainer.callbacks+=EarlyStopping",
    "--trainer.callbacks.monitor=val/loss",
    "--trainer.callbacks.patience=500",
]
TOLD = re.compile(r"after step (\d+)")


def keys(count: int) -> list[str]:
    """Return the names of the trials."""
    return [
        f"{target} {trial}"
        for target in TARGETS
        for trial in range(min(count, 20) if target == LAUNCHED else count)
    ]


def run(key: str, work: Path, *, cold: bool) -> Outcome:
    """Stop one run; all ranks have to end on one step, with 143 or 130 and a whole checkpoint."""
    target, _, trial = key.rpartition(" ")
    ranks, hit = TARGETS[target]
    draw = random.Random(key)
    training = "setting up" not in target
    by_keys = int(trial) % 5 == 4 and training
    signum = signal.SIGINT if by_keys else signal.SIGTERM
    world = World(work / "world", ranks)
    folder = work / "stops" / key.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    made = world.start(folder, world.words(*ENDLESS), cold=cold or target == LAUNCHED)
    if target == LAUNCHED:
        made.wait_for(lambda: len(made.ranks()) == ranks)
    if training and not made.wait_for(lambda: any(folder.glob("runs/*/metrics.csv"))):
        return Outcome(False, 0.0, f"it did not start: {made.errors()[-300:]}")
    time.sleep(draw.uniform(0.0, 2.0))
    made.hit(signum, hit)
    code = made.end(20)
    gone = time.monotonic() + 5  # the first rank may be the first to end
    while made.left() and time.monotonic() < gone:
        time.sleep(0.05)
    if code is None:
        return Outcome(False, made.seconds, "it hung")
    kept = list(folder.glob("runs/*/checkpoints/last.ckpt"))
    steps = set(TOLD.findall(made.errors()))
    faults = [
        f"exit code {code}" if code != 128 + signum else "",
        f"ranks stopped on steps {sorted(steps)}" if training and len(steps) != 1 else "",
        "no whole checkpoint" if training and not all(map(is_whole, kept or [folder])) else "",
        f"processes left after 5 s: {made.left()}" if made.left() else "",
    ]
    wrong = "; ".join(filter(None, faults))
    if not wrong:
        shutil.rmtree(folder)
    return Outcome(not wrong, made.seconds, wrong)
