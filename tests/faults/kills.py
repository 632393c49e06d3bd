"""kill -9 at a random moment of a run that saves after every step, then a restart; repeated."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

from report import Outcome
from saves import FILE_SYSTEMS
from stops import ENDLESS
from world import World

from lightning_tune.models.checkpoints import is_whole
from lightning_tune.training.runs import newest_checkpoint

SAVING = [
    "--trainer.callbacks+=LastCheckpoint",
    "--trainer.callbacks.every_n_steps=1",
    "--ckpt_path=auto",
]


def keys(count: int) -> list[str]:
    """Return the names of the trials, half of them on each file system."""
    systems = [name for name, place in FILE_SYSTEMS.items() if place is None or place.is_dir()]
    return [f"{systems[trial % len(systems)]} {trial}" for trial in range(count)]


def run(key: str, work: Path, *, cold: bool) -> Outcome:
    """Go on with what the trial before left, and kill it; its newest checkpoint has to be whole."""
    place = FILE_SYSTEMS[key.split()[0]]
    folder = (work if place is None else place / "lightning-tune-faults") / "kills"
    draw = random.Random(key)
    if draw.random() < 0.05:  # now and then from the beginning
        shutil.rmtree(folder, ignore_errors=True)
    world = World(work / "world")
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    before = _leftovers(folder)
    started = time.time()
    began = time.monotonic()
    made = world.start(folder, world.words(*ENDLESS, *SAVING), cold=cold)
    trained = made.wait_for(
        lambda: any(file.stat().st_mtime > started for file in folder.glob("runs/*/*/last.ckpt"))
    )
    left = sorted(before & _leftovers(folder)) if trained else []
    time.sleep(draw.uniform(0.0, 0.7))
    made.hit(signal.SIGKILL)
    made.end()
    newest = max(folder.glob("runs/*/checkpoints/last.ckpt"), key=lambda file: file.stat().st_mtime)
    faults = [
        "" if trained else f"it did not start again: {made.errors()[-300:]}",
        f"left behind after the restart: {left}" if left else "",
        "" if is_whole(newest) and newest_checkpoint(str(folder / "runs")) == newest else "damaged",
    ]
    wrong = "; ".join(filter(None, faults))
    return Outcome(not wrong, time.monotonic() - began, wrong)


def _leftovers(folder: Path) -> set[str]:
    return {str(file) for file in folder.glob("runs/**/.*.tmp")}
