"""Early stopping in a run that is cut and resumed: it stops where the undisturbed run did.

Each task kind, on one rank and on two; the best checkpoint is that of the best validation.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import signal
import time
from pathlib import Path

from report import Outcome
from resumes import reference
from world import TASKS, World, differences

from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.training.defaults import PATIENCE

MAIN = {"multilabel": "val/f1_macro", "regression": "val/spearman"}  # else val/accuracy
EPOCHS = 40
WORDS = [f"--trainer.max_epochs={EPOCHS}"]
CUT_WITHIN = 1.5  # seconds of training; an undisturbed run takes about two


def keys(count: int) -> list[str]:
    """Return the names of the trials."""
    return [
        f"{task} {ranks} {trial}" for trial in range(count) for task in TASKS for ranks in (1, 2)
    ]


def run(key: str, work: Path, *, cold: bool) -> Outcome:
    """Cut a run once or twice before it stops early; compare with the one that was not cut."""
    task, ranks, _ = key.split()
    world = World(work / "world", int(ranks), task=task)
    words = world.words(*WORDS)
    name = f"stopping {task} {ranks}"
    expected = reference(work, name, world, words)
    main = MAIN.get(task, "val/accuracy")
    faults = _choice(work / "references" / name.replace(" ", "-"), main)
    draw = random.Random(key)
    folder = work / "stopping" / key.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    made, cuts = world.start(folder, words, cold=cold), 0
    for _ in range(draw.randint(1, 2)):
        made.wait_for_training()
        time.sleep(draw.uniform(0.0, CUT_WITHIN))
        made.hit(signal.SIGTERM)
        if made.end(20) != 143:
            break
        cuts += 1
        made = world.start(folder, [*words, "--ckpt_path=auto"], cold=cold)
    code = made.end()
    if code != 0:
        return Outcome(False, time.monotonic() - began, f"exit code {code} after {cuts} cuts")
    wrong = differences(expected, made.result())
    faults += [f"differs in {wrong[:3]}"] if wrong else []
    faults += _choice(folder, main)
    if not faults:
        shutil.rmtree(folder)
    return Outcome(not faults, time.monotonic() - began, "; ".join([f"{cuts} cuts", *faults]))


def _choice(folder: Path, main: str) -> list[str]:
    """Return what is wrong with where a run stopped, and which step it kept, by its curves."""
    (report,) = folder.glob("runs/*/report.html")
    with (report.parent / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get(main)]
    values = [float(row[main]) for row in rows]
    best = values.index(max(values))
    kept = read_checkpoint(report.parent / "checkpoints" / "best.ckpt")["global_step"] - 1
    told = json.loads((report.parent / "metrics.json").read_text())[main]
    waited = len(values) - 1 - best
    wrong = {
        "it did not stop early": len(values) == EPOCHS,
        f"it stopped {waited} epochs after its best": waited != PATIENCE,
        f"step {kept} was kept": kept != int(rows[best]["step"]),
        f"the report says {told}": abs(told - values[best]) > 1e-5,
    }
    return [what for what, is_wrong in wrong.items() if is_wrong]
