"""Checkpoints in parts: what each device holds of split tensors in a file of its own.

`last.ckpt` is then the rest: small, and naming the files of the parts with their digests. A part is
never changed, so that the moment at which last.ckpt is replaced is that of the whole checkpoint.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_tune.models.sealing import DamagedFileError, seal_of, verify
from lightning_tune.models.sharding import is_split, own_part

FOLDER = "shards"
"""Folder of the parts, beside the checkpoints."""

SHARDS_KEY = "shards"
"""Where a checkpoint names the files of its parts, with their seals."""

PARTS_KEY = "parts"
"""Where the file of a part keeps its tensors."""

_PLACE = "__shard__"


def take_out(checkpoint: Any) -> tuple[Any, list[Tensor]]:
    """Return a checkpoint with a number in the place of each split tensor, and the own parts."""
    parts: list[Tensor] = []

    def replaced(value: Any) -> Any:
        if isinstance(value, Tensor) and is_split(value):
            parts.append(own_part(value).detach().cpu())
            return {_PLACE: len(parts) - 1}
        return _mapped(value, replaced)

    return replaced(checkpoint), parts


def put_in(checkpoint: Any, parts: Sequence[Sequence[Tensor]]) -> Any:
    """Undo `take_out`: put each tensor together from the parts of all ranks."""

    def replaced(value: Any) -> Any:
        if isinstance(value, dict) and value.keys() == {_PLACE}:
            return torch.cat([part[value[_PLACE]] for part in parts])
        return _mapped(value, replaced)

    return replaced(checkpoint)


def part_file(checkpoint: Path, token: str, rank: int, ranks: int) -> Path:
    """Return where a rank's part of a checkpoint lies."""
    return checkpoint.parent / FOLDER / f"{token}-{rank:05d}-of-{ranks:05d}.ckpt"


def new_token() -> str:
    """Return a name for the parts of one checkpoint, which no other has."""
    return secrets.token_hex(8)


def named(checkpoint: Path, files: Sequence[Path]) -> dict[str, str]:
    """Return what goes under `SHARDS_KEY`: the seal of each part, by its path from the checkpoint.

    Raises:
        DamagedFileError: if one is not there or not sealed.
    """
    return {str(file.relative_to(checkpoint.parent)): seal_of(file) for file in files}


def read_parts(checkpoint: Path, parts: dict[str, str]) -> list[Path]:
    """Return the files that a checkpoint names, each whole and the one that was meant.

    Raises:
        DamagedFileError: naming the one that is not.
    """
    files = []
    for name, seal in parts.items():
        file = checkpoint.parent / name
        if Path(name).parent != Path(FOLDER) or not file.is_file():
            raise DamagedFileError(f"{name} is not there")
        verify(file)
        if seal_of(file) != seal:
            raise DamagedFileError(f"{name} is another checkpoint's")
        files.append(file)
    return files


def remove_unnamed(folder: Path, named_by: Callable[[Path], dict[str, str]]) -> None:
    """Remove the parts in a folder of checkpoints that none of these names.

    Args:
        folder: The folder.
        named_by: Returns what a checkpoint has under `SHARDS_KEY`.
    """
    if not (folder / FOLDER).is_dir():
        return
    kept = {name for file in folder.glob("*.ckpt") for name in named_by(file)}
    for file in (folder / FOLDER).iterdir():
        if str(file.relative_to(folder)) not in kept:
            file.unlink(missing_ok=True)
    if not any((folder / FOLDER).iterdir()):
        (folder / FOLDER).rmdir()


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: change(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([change(each) for each in value])
    return value
