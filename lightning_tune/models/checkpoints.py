"""Read a training checkpoint without executing anything that it holds."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import torch

from lightning_tune.errors import CheckpointError, nearest
from lightning_tune.models.sealing import DamagedFileError, verify
from lightning_tune.models.shards import PARTS_KEY, SHARDS_KEY, put_in, read_parts

PACKAGE_KEY = "lightning_tune"
"""Where a checkpoint keeps what is needed beside the weights: labels, tokenizer, data settings."""


def require_known_class(class_path: str) -> None:
    """Refuse a class that a checkpoint names unless it is ours or its module is imported already.

    Raises:
        CheckpointError: since importing a module runs its code.
    """
    module = class_path.rpartition(".")[0]
    if module not in sys.modules and module.split(".")[0] != "lightning_tune":
        raise CheckpointError(
            f"the checkpoint names the class {class_path}, which is not ours; importing it would "
            "run its code: if you trust it, import its module first, or name the class yourself."
        )


def is_checkpoint(name: str) -> bool:
    """Whether a backbone or tokenizer name means one of our checkpoint files."""
    return name.endswith(".ckpt")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint written by this package; tensors stay memory-mapped until used.

    Args:
        path: A file on this machine.

    Returns:
        Lightning's checkpoint dictionary, with the key `lightning_tune` in it.

    Raises:
        CheckpointError: if it is remote, missing, damaged, unsafe, or written by something else.
    """
    checkpoint = _load(_local_file(str(path)))
    ours = isinstance(checkpoint, dict) and {PACKAGE_KEY, "state_dict"} <= checkpoint.keys()
    if not ours:
        raise CheckpointError(
            f"checkpoint {str(path)!r} was not written by lightning_tune: it lacks the label set "
            "and the tokenizer; fine-tune with `fit`, giving its encoder as model.backbone."
        )
    return checkpoint  # type: ignore[no-any-return]


def _local_file(name: str) -> Path:
    if "://" in name:
        raise CheckpointError(
            f"checkpoint {name!r} is a URL; checkpoints are read from local files only: "
            "download it first."
        )
    file = Path(name)
    if not file.is_file():
        kind = "is a folder" if file.is_dir() else "does not exist"
        folder = file if file.is_dir() else file.parent
        hint = nearest(file.name, (entry.name for entry in folder.glob("*.ckpt")))
        raise CheckpointError(
            f"checkpoint {name!r} {kind}; name a .ckpt file that `fit` wrote.{hint}"
        )
    return file


def _load(file: Path) -> Any:
    check_whole(file)
    try:
        return assembled(_load_safely(file), file)
    except pickle.UnpicklingError as err:
        raise CheckpointError(
            f"checkpoint '{file}' holds objects other than tensors and plain values, or is "
            "damaged; it was not loaded, since loading it could execute code."
        ) from err
    except OSError as err:
        raise CheckpointError(f"checkpoint '{file}' cannot be read: {err.strerror}.") from err
    except Exception as err:  # broken bytes make PyTorch's reader raise whatever they hit
        raise CheckpointError(_damaged(file)) from err


def _load_safely(file: Path) -> Any:
    return torch.load(file, map_location="cpu", weights_only=True, mmap=True)


def assembled(checkpoint: Any, file: Path) -> Any:
    """Return a checkpoint with the tensors that lie in files beside it, where it names such files.

    Raises:
        DamagedFileError: if one of these is missing, damaged or another checkpoint's.
    """
    if not isinstance(checkpoint, dict) or SHARDS_KEY not in checkpoint:
        return checkpoint
    files = read_parts(file, checkpoint.pop(SHARDS_KEY))
    return put_in(checkpoint, [_load_safely(part)[PARTS_KEY] for part in files])


def parts_of(file: Path) -> dict[str, str]:
    """Return the files beside a checkpoint that it names as its parts, with their digests."""
    try:
        stored = _load_safely(file)
    except Exception:  # no checkpoint of ours: those who read it say what it is
        return {}
    parts: dict[str, str] = stored.get(SHARDS_KEY, {}) if isinstance(stored, dict) else {}
    return parts


def check_whole(file: Path) -> None:
    """Refuse a checkpoint that is not, byte by byte, what was written.

    Raises:
        CheckpointError: naming the file, and a whole one beside it.
    """
    try:
        _verify_with_parts(file)
    except DamagedFileError as err:
        raise CheckpointError(_damaged(file)) from err
    except OSError as err:
        raise CheckpointError(f"checkpoint '{file}' cannot be read: {err.strerror}.") from err


def is_whole(file: Path) -> bool:
    """Whether a file is a checkpoint as it was written."""
    try:
        _verify_with_parts(file)
    except (DamagedFileError, OSError):
        return False
    return True


def _verify_with_parts(file: Path) -> None:
    verify(file)
    read_parts(file, parts_of(file))


def _damaged(file: Path) -> str:
    beside = sorted(
        (other for other in file.parent.glob("*.ckpt") if other != file and is_whole(other)),
        key=lambda other: other.stat().st_mtime,
    )
    use = f"use {beside[-1].name} beside it" if beside else "use another one"
    size = file.stat().st_size
    return f"checkpoint '{file}' is damaged or cut short ({size} bytes); {use}."
