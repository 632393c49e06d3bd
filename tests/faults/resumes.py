"""Stopped at a random moment and resumed, a run ends as one that was not: compared bit by bit."""

from __future__ import annotations

import pickle
import random
import shutil
import signal
import time
from pathlib import Path

from report import Outcome
from world import World, differences

KINDS = {
    "plain": [],
    "FGM": ["--model.objective=FGM"],
    "FreeLB": ["--model.objective=FreeLB"],
    "RDrop": ["--model.objective=RDrop"],
    "accumulation": ["--trainer.accumulate_grad_batches=3"],
    "average": ["--trainer.callbacks+=WeightAverage", "--trainer.callbacks.decay=0.9"],
    "LoRA": ["--model.tuning=LoRA", "--model.tuning.rank=2"],
    "two ranks": [],
    "sharded": [],
    "sharded in parts": ["--trainer.strategy.sharded_checkpoints=true"],
}
SHARDED = "FullyShardedStrategy"
STARTING = 1.2  # seconds in which a run of three epochs trains; the cut falls somewhere within


def keys(count: int) -> list[str]:
    """Return the names of the trials."""
    return [f"{kind} {trial}" for trial in range(count) for kind in KINDS]


def run(key: str, work: Path, *, cold: bool) -> Outcome:
    """Cut a run one to three times, resume it each time, and compare its end."""
    kind = key.rpartition(" ")[0]
    sharded = kind.startswith("sharded")
    ranks = 2 if sharded or kind == "two ranks" else 1
    world = World(work / "world", ranks, strategy=SHARDED if sharded else "ddp")
    words = world.words(*KINDS[kind])
    expected = reference(work, kind, world, words)
    draw = random.Random(key)
    folder = work / "resumes" / key.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    made = world.start(folder, words, cold=cold)
    cuts = 0
    for _ in range(draw.randint(1, 3)):
        made.wait_for_training()
        time.sleep(draw.uniform(0.0, STARTING))
        made.hit(signal.SIGTERM)
        code = made.end(20)
        if code == 0:
            break
        if code != 143:
            return Outcome(False, time.monotonic() - began, f"exit code {code}")
        cuts += 1
        made = world.start(folder, [*words, "--ckpt_path=auto"], cold=cold)
    code = made.end()
    if code != 0:
        return Outcome(False, time.monotonic() - began, f"resumed, exit code {code}")
    wrong = differences(expected, made.result())
    if not wrong:
        shutil.rmtree(folder)
    note = f"{cuts} cuts; differs in {wrong[:3]}" if wrong else f"{cuts} cuts"
    return Outcome(not wrong, time.monotonic() - began, note)


def reference(work: Path, kind: str, world: World, words: list[str]) -> object:
    """Return what an undisturbed run leaves; it is run once for all trials."""
    folder = work / "references" / kind.replace(" ", "-")
    kept = folder / "result.pickle"
    if not kept.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        made = world.start(folder, words)
        if made.end(1800) != 0:
            raise RuntimeError(f"the undisturbed run of {kind} failed: {made.errors()[-500:]}")
        kept.write_bytes(pickle.dumps(made.result()))
    return pickle.loads(kept.read_bytes())
