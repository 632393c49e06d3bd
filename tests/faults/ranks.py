"""kill -9 or SIGSTOP of one of two ranks: the other one ends the job, and nothing stays behind."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

from report import Outcome
from stops import ENDLESS
from world import World

SECONDS = 10  # the timeout of the process group
STRATEGY = ["--trainer.strategy=DDPStrategy", f"--trainer.strategy.timeout=0:00:{SECONDS}"]


def keys(count: int) -> list[str]:
    """Return the names of the trials."""
    return [f"{('killed', 'hung')[trial % 2]} {trial // 2 % 2} {trial}" for trial in range(count)]


def run(key: str, work: Path, *, cold: bool) -> Outcome:
    """Hit one rank in training; all have to be gone within the timeout and 15 seconds."""
    way, rank, _ = key.split()
    world = World(work / "world", 2)
    folder = work / "ranks" / key.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    made = world.start(folder, world.words(*ENDLESS, *STRATEGY), cold=cold)
    if not made.wait_for(lambda: any(folder.glob("runs/*/metrics.csv"))):
        return Outcome(False, 0.0, f"it did not start: {made.errors()[-300:]}")
    time.sleep(random.Random(key).uniform(0.0, 1.0))
    began = time.monotonic()
    made.hit(signal.SIGKILL if way == "killed" else signal.SIGSTOP, rank)
    code = made.end(SECONDS + 15)
    while made.left() and time.monotonic() - began < SECONDS + 15:
        time.sleep(0.05)
    left, took = made.left(), time.monotonic() - began
    faults = [
        "it hung" if code is None else "",
        "exit code 0" if code == 0 else "",
        f"processes left: {left}" if left else "",
        "" if "lost another rank" in made.errors() else f"it said {made.errors()[-200:]!r}",
    ]
    made.hit(signal.SIGKILL)
    wrong = "; ".join(filter(None, faults))
    if not wrong:
        shutil.rmtree(folder)
    return Outcome(not wrong, took, wrong)
