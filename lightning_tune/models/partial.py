"""Checkpoints that hold only what was trained, beside the name and digest of their backbone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from torch import Tensor, nn

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.backbones import resolve
from lightning_tune.models.checkpoints import is_checkpoint

BACKBONE_KEY = "backbone"
"""Where a partial checkpoint keeps {name, sha256} of its backbone, beside the label set."""
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
"""What transformers reads, in its order of preference; several files are the parts of one."""


def digest(backbone: str) -> str:
    """Return the sha256 of a backbone's weights: of model.safetensors, or of all parts in order.

    A file is read once in a process, unless it changes.

    Raises:
        ConfigError: if there is no file of weights.
        CheckpointError: if the backbone is a checkpoint that is not there.
    """
    files = weight_files(backbone)
    stats = [(file, file.stat()) for file in files]
    return _digest(tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats))


@cache
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    if len(files) == 1:
        with files[0][0].open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256()
    for path, *_ in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()


def weight_files(backbone: str) -> list[Path]:
    """Return the files that hold a backbone's weights, parts in the order of their names.

    Raises:
        ConfigError: if there is none.
        CheckpointError: if the backbone is a checkpoint that is not there.
    """
    if is_checkpoint(backbone):
        if not Path(backbone).is_file():
            raise CheckpointError(
                f"the backbone {backbone!r} does not exist; name the checkpoint's place now in "
                "model.backbone."
            )
        return [Path(backbone)]
    folder = Path(_snapshot(backbone))
    for pattern in WEIGHTS:
        if found := sorted(folder.glob(pattern)):
            return found
    raise ConfigError(
        f"no file of weights was found for backbone={backbone!r} (model.safetensors); a checkpoint "
        "that holds only what was trained needs its digest: give a folder or hub name that has it."
    )


def _snapshot(backbone: str) -> str:
    """Return the folder of a backbone's files; of one that was fetched, in the hub's cache."""
    place = resolve(backbone)
    if Path(place).is_dir():
        return place
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(backbone, "config.json")
    except HFValidationError:  # a path
        return place
    return str(Path(config).parent) if isinstance(config, str) else place


def check_digest(stored: Mapping[str, str], backbone: str, found: str) -> None:
    """Refuse a backbone whose weights are not those that a partial checkpoint was trained on.

    Args:
        stored: Name and sha256, from the checkpoint.
        backbone: The backbone that is used now.
        found: Its digest.

    Raises:
        CheckpointError: naming both digests.
    """
    if found != stored["sha256"]:
        raise CheckpointError(
            f"the checkpoint was trained on {stored['name']} with weights of sha256 "
            f"{stored['sha256']}, but {backbone} has {found}; name the backbone with those weights "
            "in model.backbone."
        )


def trained_only(weights: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Return a module's weights without those that are not trained."""
    frozen = {name for name, each in module.named_parameters() if not each.requires_grad}
    return {name: tensor for name, tensor in weights.items() if name not in frozen}


def completed(weights: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Return what `trained_only` left, with the module's own weights that are not trained.

    What it was trained on and lacks stays missing, for the strict loading that follows.
    """
    own = module.state_dict()
    frozen = {name for name, each in module.named_parameters() if not each.requires_grad}
    return {**{name: own[name] for name in frozen if name in own}, **weights}
