"""Encoders of every family, tuned in every way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from lightning_tune.models.peft import Tuning


@pytest.fixture
def build(tiny_backbone: Callable[[str], Path]) -> Callable[..., PreTrainedModel]:
    """Return a function: a family and a tuning -> the tiny encoder; its head is always the same."""

    def make(family: str = "bert", tuning: Tuning | None = None) -> PreTrainedModel:
        import torch

        from lightning_tune.models.encoder import build_encoder
        from lightning_tune.models.peft import Full
        from lightning_tune.schema import LabelSet

        labels = LabelSet("multiclass", ("bad", "good", "mixed"))
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return build_encoder(str(tiny_backbone(family)), labels, tuning=tuning or Full())

    return make
