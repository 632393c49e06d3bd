"""`merge`: write a checkpoint of a partial tuning as a whole one that needs no backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_tune.commands.from_checkpoint import check_target, find_checkpoint
from lightning_tune.commands.parsing import run_function
from lightning_tune.commands.settings import Setting
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.models.merging import merge_checkpoint
from lightning_tune.training.callbacks.checkpointing import WholeFileCheckpointIO


def main(name: str, args: Sequence[str]) -> int:
    """Run the command."""
    return run_function(merge, name, args)


def merge(ckpt_path: str, output: str, backbone: str | None = None) -> None:
    """Merge what was trained into the backbone: LoRA, DoRA, IA3, BitFit, LastLayers.

    The answers on random input are compared before anything is written.

    Args:
        ckpt_path: The checkpoint, or `last` or `best` of the newest run below runs.
        output: The .ckpt file to write; it answers the same and needs no backbone.
        backbone: Where the backbone is now, if not where the checkpoint says.

    Raises:
        ConfigError: if the method cannot be merged, or the output is no other .ckpt file.
        CheckpointError: if the checkpoint is missing, whole already or not the backbone's, or the
            merged one answers differently.
    """
    path = str(find_checkpoint("merge", [Setting("ckpt_path", ckpt_path, "--ckpt_path")], "runs"))
    check_target(output, path)
    merged = merge_checkpoint(read_checkpoint(path), path, backbone=backbone)
    WholeFileCheckpointIO().save_checkpoint(merged.checkpoint, output)
    print(
        f"{merged.method} merged; logits differ by {merged.difference:.1e} of the largest at most"
    )
    print(f"{output}  {Path(output).stat().st_size / 1e6:.1f} MB, from {path}")
