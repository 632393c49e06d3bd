"""A checkpoint with what training writes into one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from lightning_tune.schema import LabelSet

SaveCheckpoint = Callable[..., Path]


@pytest.fixture
def save_checkpoint(tmp_path: Path) -> SaveCheckpoint:
    """Return a function that writes an encoder as the checkpoint of a run."""

    def save(
        encoder: PreTrainedModel,
        labels: LabelSet,
        name: str = "best.ckpt",
        tokenizer: dict[str, Any] | None = None,
    ) -> Path:
        import torch

        from lightning_tune.models.encoder import architecture_of

        state = {f"classifier.encoder.{k}": v for k, v in encoder.state_dict().items()}
        checkpoint = {
            "state_dict": state | {"own_metric.total": torch.tensor(3.0)},
            "hyper_parameters": {"architecture": json.dumps(architecture_of(encoder)), "lr": 2e-5},
            "lightning_tune": {"format": 1, "labels": labels.to_dict()}
            | ({"tokenizer": tokenizer} if tokenizer else {}),
        }
        torch.save(checkpoint, tmp_path / name)
        return tmp_path / name

    return save
