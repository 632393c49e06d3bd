"""Positions and dropout, whatever a family's config calls them."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, FunnelConfig, XLNetConfig

from lightning_tune.models.encoder import DropoutSettings, build_encoder
from lightning_tune.models.family_names import attention_dropout, first_position, max_positions
from lightning_tune.schema import LabelSet

THREE = LabelSet("multiclass", ("bad", "good", "mixed"))
UNLIMITED = ["deberta-v2", "modernbert"]  # positions: relative, rotary


def some_ids(length):
    """Ids of ordinary words, none of them padding."""
    return torch.randint(5, 300, (2, length), generator=torch.Generator().manual_seed(length))


def answer(model, ids, **inputs):
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs).logits


def test_the_longest_sequence_works_and_one_token_more_fails(family, tiny_backbone):
    if family in UNLIMITED:
        pytest.skip("its positions have no limit")
    model = build_encoder(str(tiny_backbone(family)), THREE).eval()
    limit = max_positions(model.config)
    assert limit == 64
    assert answer(model, some_ids(limit)).isfinite().all()
    with pytest.raises((RuntimeError, IndexError)):
        answer(model, some_ids(limit + 1))


@pytest.mark.parametrize("family", UNLIMITED)
def test_relative_and_rotary_positions_have_no_limit(family, tiny_backbone):
    model = build_encoder(str(tiny_backbone(family)), THREE).eval()
    assert max_positions(model.config) is None
    assert answer(model, some_ids(200)).isfinite().all()


@pytest.mark.parametrize("config", [FunnelConfig(), XLNetConfig()])
def test_an_encoder_without_position_embeddings_has_no_limit(config):
    assert max_positions(config) is None


def test_positions_counted_by_hand_are_those_that_an_encoder_takes_by_itself(family, tiny_backbone):
    model = build_encoder(str(tiny_backbone(family)), THREE).eval()
    ids = some_ids(9)
    positions = torch.arange(9).unsqueeze(0) + first_position(model.config)
    given = answer(model, ids, position_ids=positions)
    torch.testing.assert_close(given, answer(model, ids), rtol=1e-6, atol=1e-7)


def test_attention_dropout_is_that_of_the_layers(family, tiny_backbone):
    model = build_encoder(str(tiny_backbone(family)), THREE, dropout=DropoutSettings(attention=0.3))
    assert attention_dropout(model.config) == 0.3


@pytest.mark.parametrize(("kind", "expected"), [("bert", 0.1), ("modernbert", 0.0)])
def test_attention_dropout_as_it_comes(kind, expected):
    assert attention_dropout(AutoConfig.for_model(kind)) == expected
