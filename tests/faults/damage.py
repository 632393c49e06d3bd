"""A checkpoint that was cut or has one bit flipped: refused, and the one before it is used."""

from __future__ import annotations

import logging
import random
import shutil
import time
from pathlib import Path

from report import Outcome
from world import World

from lightning_tune.errors import CheckpointError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.training.runs import newest_checkpoint


def keys(count: int) -> list[str]:
    """Return the names of the trials: every other one cuts."""
    return [f"{('flipped', 'cut')[trial % 2]} {trial}" for trial in range(count)]


def run(key: str, work: Path, *, cold: bool) -> Outcome:
    """Damage a copy of last.ckpt at a random place; --ckpt_path last has to pass it over."""
    del cold  # no process of its own
    logging.getLogger("lightning_tune").setLevel(logging.ERROR)
    began = time.monotonic()
    whole = whole_checkpoint(work)
    root = work / "damage"
    folder = root / "run" / "checkpoints"
    shutil.rmtree(root, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(whole, folder / "previous.ckpt")
    data = bytearray(whole.read_bytes())
    draw = random.Random(key)
    place = draw.randrange(len(data))
    if key.startswith("cut"):
        del data[place:]
    else:
        data[place] ^= 1 << draw.randrange(8)
    (folder / "last.ckpt").write_bytes(data)
    try:
        read_checkpoint(folder / "last.ckpt")
    except CheckpointError as err:
        refused = "damaged or cut short" in str(err)
    else:
        refused = False
    used = newest_checkpoint(str(root)).name
    good = refused and used == "previous.ckpt"
    return Outcome(good, time.monotonic() - began, "" if good else f"byte {place}: {used} was used")


def whole_checkpoint(work: Path) -> Path:
    """Return the last checkpoint of a short run; it is made once."""
    folder = work / "whole"
    found = list(folder.glob("runs/*/checkpoints/last.ckpt"))
    if not found:
        world = World(work / "world")
        world.start(folder, world.words("--trainer.max_epochs=1")).end()
        found = list(folder.glob("runs/*/checkpoints/last.ckpt"))
    return found[0]
