"""Where a run lives: its folder, and the newest checkpoint below the root of all runs."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from lightning_tune.errors import CheckpointError
from lightning_tune.models.checkpoints import is_whole, parts_of
from lightning_tune.models.shards import remove_unnamed

logger = logging.getLogger(__name__)

PREVIOUS = "previous"
"""Name of the checkpoint that last.ckpt took the place of."""

_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")  # as `replace_file` names them


def new_run(root: str, name: str) -> Path:
    """Make a fresh folder `root/name-YYYYMMDD-HHMMSS`, readable by its owner alone.

    Raises:
        OSError: if the folder cannot be made.
    """
    base = Path(root)
    base.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for attempt in range(1, 1000):
        folder = base / (f"{name}-{stamp}" if attempt == 1 else f"{name}-{stamp}-{attempt}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(17, "too many runs in one second", str(base))


def discard_empty(folder: Path) -> None:
    """Remove the folder of a run that failed before anything was written into it."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def run_of(checkpoint: str) -> Path | None:
    """Return the run's folder that a checkpoint stands in; None for one that lies elsewhere."""
    parent = Path(checkpoint).parent
    return parent.parent if parent.name == "checkpoints" else None


def newest_checkpoint(root: str, which: str = "last") -> Path:
    """Return a checkpoint of the newest run below the root of all runs that has a whole one.

    A damaged one is named and passed over: within a run for the one before it, then for its best.

    Args:
        root: Folder of all runs.
        which: "last" or "best".

    Raises:
        CheckpointError: if there is none.
    """
    needed, fallback = (("last", PREVIOUS), ("best",)) if which == "last" else ((which,), ())
    runs: list[list[Path]] = []
    for folder in Path(root).glob("*/checkpoints"):
        files = _files(folder, needed)
        if files:
            runs.append([*files, *_files(folder, fallback)])
    runs.sort(key=_written, reverse=True)
    for file in chain.from_iterable(runs):
        if is_whole(file):
            return file
        logger.warning("%s is damaged or cut short; an older checkpoint is looked for.", file)
    raise CheckpointError(
        f"ckpt_path={which}: no run below {root!r} has a whole checkpoints/{which}.ckpt; name a "
        "checkpoint, or set trainer.default_root_dir to the folder of your runs."
    )


def has_checkpoint(root: str) -> bool:
    """Whether a run below the root of all runs has written its last.ckpt, whole or not."""
    return any(_files(folder, ("last", PREVIOUS)) for folder in Path(root).glob("*/checkpoints"))


def has_report(checkpoint: str) -> bool:
    """Whether a run ended with its report, the last file of which is report.html."""
    run = run_of(checkpoint)
    report = None if run is None else run / "report.html"
    if report is None or not report.is_file():
        return False
    return report.stat().st_mtime >= Path(checkpoint).stat().st_mtime


def remove_leftovers(run: Path) -> None:
    """Remove what a process that was killed had begun to write into a run's folder."""
    for folder in (run, run / "checkpoints"):
        for file in folder.glob(".*.tmp"):
            if _LEFTOVER.fullmatch(file.name):
                file.unlink(missing_ok=True)
    remove_unnamed(run / "checkpoints", parts_of)


def _files(folder: Path, names: Sequence[str]) -> list[Path]:
    return [file for name in names if (file := folder / f"{name}.ckpt").is_file()]


def _written(files: list[Path]) -> float:
    return max(file.stat().st_mtime for file in files)
