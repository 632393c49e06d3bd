"""Where a run lives: its folder, and the newest checkpoint below the root of all runs."""

from __future__ import annotations

import logging
import time
import zipfile
from pathlib import Path

from lightning_tune.errors import CheckpointError

logger = logging.getLogger(__name__)


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
    """Return the checkpoint that was written last below the root of all runs, and is whole.

    Args:
        root: Folder of all runs.
        which: "last" or "best".

    Raises:
        CheckpointError: if there is none.
    """
    found = sorted(
        Path(root).glob(f"*/checkpoints/{which}.ckpt"), key=lambda file: file.stat().st_mtime
    )
    for file in reversed(found):
        if zipfile.is_zipfile(file):
            return file
        logger.warning("%s is damaged or cut short; an older checkpoint is looked for.", file)
    raise CheckpointError(
        f"ckpt_path={which}: no run below {root!r} has a whole checkpoints/{which}.ckpt; name a "
        "checkpoint, or set trainer.default_root_dir to the folder of your runs."
    )
