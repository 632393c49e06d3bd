"""From an encoder of another shape to a module and a checkpoint that hold it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_tune.models.checkpoints import PACKAGE_KEY
from lightning_tune.models.encoder import architecture_of
from lightning_tune.models.merging import STATE_OF_TRAINING
from lightning_tune.training.callbacks.checkpointing import WholeFileCheckpointIO
from lightning_tune.training.module import TextClassifier

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def module_like(module: TextClassifier, encoder: PreTrainedModel, **changes: Any) -> TextClassifier:
    """Build a module with another encoder.

    Args:
        module: Whose class and settings it has.
        encoder: Whose architecture and weights it has.
        changes: Settings that differ.
    """
    settings = {**module.hparams, "architecture": json.dumps(architecture_of(encoder)), **changes}
    made = type(module)(**settings)
    made.configure_model()
    made.classifier.encoder.load_state_dict(encoder.state_dict())
    return made


def pruned_checkpoint(
    checkpoint: Mapping[str, Any],
    module: TextClassifier,
    *,
    tokenizer: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the checkpoint of a pruned module, with what travelled in the one it was made of.

    It holds no state of a training: a fit begins from it as model.backbone.

    Args:
        checkpoint: The unpruned module's, as `read_checkpoint` gave it.
        module: The pruned module.
        tokenizer: The tokenizer as plain values, where its vocabulary was pruned.
    """
    prefix = "classifier.encoder."
    others = {
        name: value
        for name, value in checkpoint["state_dict"].items()
        if not name.startswith(prefix)
    }
    encoder = module.classifier.encoder
    weights = {f"{prefix}{name}": value.cpu() for name, value in encoder.state_dict().items()}
    architecture = json.dumps(architecture_of(encoder), ensure_ascii=False)
    ours = checkpoint[PACKAGE_KEY]
    return {
        **{key: value for key, value in checkpoint.items() if key not in STATE_OF_TRAINING},
        "state_dict": others | weights,
        "hyper_parameters": {**checkpoint["hyper_parameters"], "architecture": architecture},
        PACKAGE_KEY: {**ours, "tokenizer": dict(tokenizer)} if tokenizer else ours,
    }


def write_pruned(
    checkpoint: Mapping[str, Any],
    module: TextClassifier,
    path: Path,
    *,
    tokenizer: Mapping[str, Any] | None = None,
) -> None:
    """Write `pruned_checkpoint`, whole and sealed."""
    made = pruned_checkpoint(checkpoint, module, tokenizer=tokenizer)
    WholeFileCheckpointIO().save_checkpoint(made, path)
