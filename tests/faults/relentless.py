"""A run that is killed every 20 to 60 seconds until it is done ends with the same weights."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

from report import Outcome
from resumes import reference
from world import World, differences

WORDS = [
    "--trainer.max_epochs=1600",
    "--trainer.callbacks+=EarlyStopping",
    "--trainer.callbacks.monitor=val/loss",
    "--trainer.callbacks.patience=500",
    "--trainer.callbacks+=LastCheckpoint",
    "--trainer.callbacks.every_minutes=0.05",
]


def keys(count: int) -> list[str]:
    """Return the names of the trials."""
    return [f"run {trial}" for trial in range(count)]


def run(key: str, work: Path, *, cold: bool) -> Outcome:
    """Kill with SIGKILL and SIGTERM by turns."""
    world = World(work / "world")
    words = world.words(*WORDS)
    expected = reference(work, "relentless", world, words)
    draw = random.Random(key)
    folder = work / "relentless" / key.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    began, kills = time.monotonic(), 0
    while True:
        made = world.start(folder, [*words, "--ckpt_path=auto"], cold=cold)
        end = time.monotonic() + draw.uniform(20, 60)
        made.wait_for(lambda: False, end - time.monotonic())
        if made.code is not None:
            break
        made.hit(signal.SIGTERM if kills % 2 else signal.SIGKILL)
        made.end(20)
        kills += 1
    wrong = differences(expected, made.result()) if made.code == 0 else [f"exit code {made.code}"]
    note = f"{kills} kills; differs in {wrong[:3]}" if wrong else f"{kills} kills"
    return Outcome(not wrong, time.monotonic() - began, note)
