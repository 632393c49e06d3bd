"""A checkpoint as training writes one; equal encoders, a batch, and how gradients compare."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from torch import Tensor
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


@pytest.fixture
def twins(tiny_backbone: Callable[[str], Path]) -> Callable[..., Any]:
    """Return a function: a family and a tuning to two equal encoders, training without dropout.

    Their weights are steeper than random ones are, so that small steps change something.
    """
    import torch

    from lightning_tune.models.encoder import DropoutSettings, build_encoder
    from lightning_tune.models.peft import Full
    from lightning_tune.schema import LabelSet

    three, off = LabelSet("multiclass", ("a", "b", "c")), DropoutSettings(hidden=0.0, attention=0.0)

    def make(family: str = "bert", tuning: Any = None) -> tuple[PreTrainedModel, PreTrainedModel]:
        torch.manual_seed(0)
        folder = str(tiny_backbone(family))
        encoder = build_encoder(folder, three, dropout=off, tuning=tuning or Full())
        with torch.no_grad():
            for name, weight in encoder.named_parameters():
                if weight.ndim == 2 and "embedding" not in name:
                    weight.mul_(6)
                if "lora_B" in name or "adapter.up" in name:
                    weight.normal_(std=0.3)
        for module in encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        return encoder, copy.deepcopy(encoder)

    return make


@pytest.fixture
def a_batch() -> Callable[..., Any]:
    """Return a function: an encoder to a batch of four texts of 11, 7, 4 and 11 tokens."""
    import torch

    def make(encoder: PreTrainedModel, *, types: bool = False) -> dict[str, Tensor]:
        ids = torch.randint(5, 300, (4, 11), generator=torch.Generator().manual_seed(0))
        mask = torch.arange(11) < torch.tensor([11, 7, 4, 11]).unsqueeze(1)
        batch = {
            "input_ids": ids.masked_fill(~mask, encoder.config.pad_token_id),
            "attention_mask": mask.long(),
            "labels": torch.tensor([0, 2, 1, 1]),
            "index": torch.arange(4),
        }
        types_of = (mask & (torch.arange(11) >= 3)).long()
        return batch | ({"token_type_ids": types_of} if types else {})

    return make


@pytest.fixture
def gradients() -> Callable[..., dict[str, Tensor]]:
    """Return a function: a classifier and a loss to the gradients of all weights by name."""

    def of(classifier: Any, value: Tensor) -> dict[str, Tensor]:
        classifier.zero_grad(set_to_none=True)
        value.backward()
        named = classifier.named_parameters()
        return {name: each.grad.clone() for name, each in named if each.grad is not None}

    return of


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """Return a function that compares gradients by name, and asks that they are not all small."""
    import torch

    def compare(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
        assert found.keys() == expected.keys()
        assert max(value.abs().max() for value in expected.values()) > 0.05
        for name, value in expected.items():
            torch.testing.assert_close(
                found[name],
                value,
                rtol=1e-4,
                atol=2e-5,
                msg=lambda text, name=name: f"{name}: {text}",
            )

    return compare
