"""`convert`: write a checkpoint whose parts lie in several files as one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_tune.commands.from_checkpoint import check_target, find_checkpoint
from lightning_tune.commands.parsing import run_function
from lightning_tune.commands.settings import Setting
from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import parts_of, read_checkpoint
from lightning_tune.training.callbacks.checkpointing import WholeFileCheckpointIO


def main(name: str, args: Sequence[str]) -> int:
    """Run the command."""
    return run_function(convert, name, args)


def convert(ckpt_path: str, output: str) -> None:
    """Write a sharded checkpoint as one file, which any strategy resumes and any command reads.

    Args:
        ckpt_path: The checkpoint, or `last` or `best` of the newest run below runs.
        output: The .ckpt file to write.

    Raises:
        ConfigError: if the checkpoint is one file already, or the output is no other .ckpt file.
        CheckpointError: if the checkpoint or one of its parts is missing or damaged.
    """
    path = str(find_checkpoint("convert", [Setting("ckpt_path", ckpt_path, "--ckpt_path")], "runs"))
    check_target(output, path)
    checkpoint = read_checkpoint(path)
    parts = parts_of(Path(path))
    if not parts:
        raise ConfigError(f"{path} is one file already; use it as it is.")
    WholeFileCheckpointIO().save_checkpoint(checkpoint, output)
    print(
        f"{output}  {Path(output).stat().st_size / 1e6:.1f} MB, from {path} and {len(parts)} parts"
    )
