"""From a checkpoint that holds what was trained to one that holds all weights and answers alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_tune.errors import CheckpointError
from lightning_tune.models.checkpoints import PACKAGE_KEY
from lightning_tune.models.encoder import restore_encoder
from lightning_tune.models.family_names import max_positions
from lightning_tune.models.partial import BACKBONE_KEY
from lightning_tune.models.peft import Full, as_tuning
from lightning_tune.models.specs import describe_object

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLERANCE = 1e-4
"""Most that a logit may move, as a share of the largest one: float32 leaves a hundredth of it."""
STATE_OF_TRAINING = ("optimizer_states", "lr_schedulers", "loops", "callbacks")


@dataclass(frozen=True)
class Merged:
    """A merged checkpoint.

    Args:
        checkpoint: As it is to be written.
        method: How it was tuned.
        difference: The most that a logit differs on random input, over the largest logit.
    """

    checkpoint: dict[str, Any]
    method: str
    difference: float


def merge_checkpoint(
    checkpoint: Mapping[str, Any], path: str, *, backbone: str | None = None
) -> Merged:
    """Merge what was trained into the backbone, and compare the answers on random input.

    Args:
        checkpoint: What `read_checkpoint` gave.
        path: Where it is from, for errors.
        backbone: Where the backbone is now, if not where the checkpoint says.

    Raises:
        ConfigError: if the method cannot be merged, or the backbone is not found.
        CheckpointError: if the checkpoint is whole already, or the merged one answers differently.
    """
    tuning = as_tuning(checkpoint["hyper_parameters"].get("tuning"))
    if not tuning.partial:
        raise CheckpointError(
            f"checkpoint {path!r} holds all weights already; there is nothing to merge."
        )
    tuning.check_mergeable()
    encoder = restore_encoder(checkpoint, path, backbone=backbone)
    before = answers(encoder)
    tuning.merge(encoder)
    after = answers(encoder)
    scale = max(1.0, float(before.abs().max()))
    difference = float((after - before).abs().max()) / scale
    if not difference <= TOLERANCE:
        raise CheckpointError(
            f"merged, checkpoint {path!r} answers differently: by {difference:.1e} of the largest "
            f"logit, over {TOLERANCE:.0e}; it was not written: answer with the checkpoint as it is."
        )
    return Merged(_whole(checkpoint, encoder), type(tuning).__name__, difference)


@torch.no_grad()
def answers(encoder: PreTrainedModel) -> Tensor:
    """Return the logits of random tokens, one sequence of them shorter, [4, outputs]."""
    encoder.train(False)
    length = min(32, max_positions(encoder.config) or 32)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, encoder.config.vocab_size, (4, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[-1, length // 2 :] = 0
    logits: Tensor = encoder(input_ids=ids, attention_mask=mask).logits
    return logits.float()


def _whole(checkpoint: Mapping[str, Any], encoder: PreTrainedModel) -> dict[str, Any]:
    prefix = "classifier.encoder."
    state = checkpoint["state_dict"]
    others = {name: value for name, value in state.items() if not name.startswith(prefix)}
    weights = {f"{prefix}{name}": value for name, value in encoder.state_dict().items()}
    ours = {key: value for key, value in checkpoint[PACKAGE_KEY].items() if key != BACKBONE_KEY}
    settings = {
        **checkpoint["hyper_parameters"],
        "tuning": describe_object(Full(), "tuning"),
    }
    kept = {key: value for key, value in checkpoint.items() if key not in STATE_OF_TRAINING}
    return {
        **kept,
        "state_dict": others | weights,
        "hyper_parameters": settings,
        PACKAGE_KEY: ours,
    }
