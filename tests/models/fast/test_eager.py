"""Attention for other layers: torch's own without dropout, its formula with it."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.models.encoder import architecture_of, build_encoder
from lightning_tune.models.fast import accelerate, dropout
from lightning_tune.models.fast.dropout import scale_of
from lightning_tune.models.fast.eager import NAME, attend
from lightning_tune.schema import LabelSet


def heads(requires_grad=True):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, 3, 5, 4, generator=generator).requires_grad_(requires_grad) for _ in range(3)
    ]


MASK = torch.ones(2, 1, 5, 5, dtype=torch.bool)
MASK[1, ..., 3:] = False
ADDED = torch.zeros(2, 1, 5, 5).masked_fill(~MASK, -1e9)
MODULE = torch.nn.Module()
MODULE.is_causal = False


def by_torch(q, k, v, mask, scale=0.5):
    attended = torch.nn.functional.scaled_dot_product_attention
    return attended(q, k, v, attn_mask=mask, scale=scale).transpose(1, 2)


@pytest.mark.parametrize("mask", [None, MASK, ADDED])
@pytest.mark.parametrize("learning", [True, False])
def test_without_dropout_it_is_torchs_attention(mask, learning):
    found = []
    for compute in (
        lambda q, k, v: attend(MODULE, q, k, v, mask, scaling=0.5)[0],
        lambda q, k, v: by_torch(q, k, v, mask),
    ):
        parts = heads(learning)
        out = compute(*parts)
        if learning:
            out.square().sum().backward()
        found.append([out.detach(), *(part.grad for part in parts if learning)])
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_the_scale_is_that_of_the_head_size_unless_given():
    q, k, v = heads()
    ours, _ = attend(MODULE, q, k, v, None)
    assert torch.allclose(ours, by_torch(q, k, v, None, scale=4**-0.5), atol=1e-6)


def test_with_dropout_it_is_the_formula_with_the_same_mask(monkeypatch):
    keep = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(1)) > 0.3
    monkeypatch.setattr(dropout, "keep_bits", lambda shape, p, dtype: -keep.to(torch.int32))
    q, k, v = heads()
    ours, _ = attend(MODULE, q, k, v, MASK, dropout=0.3, scaling=0.5)
    scores = (0.5 * q @ k.transpose(2, 3)).masked_fill(~MASK, -1e9)
    formula = (scores.softmax(-1) * keep * scale_of(0.3)) @ v
    assert torch.allclose(ours, formula.transpose(1, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("family", "takes_it"), [("albert", True), ("modernbert", True), ("deberta-v2", False)]
)
def test_families_of_transformers_attention_take_it(family, takes_it, tiny_backbone):
    model = build_encoder(str(tiny_backbone(family)), LabelSet("binary", ("a", "b")))
    before = architecture_of(model)
    accelerate(model)
    assert (model.config._attn_implementation == NAME) is takes_it
    assert architecture_of(model) == before
