"""Adapters: where they stand, and what they compute."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.models.peft import Adapters, adapters
from lightning_tune.models.peft.adapters import Bottleneck


def places(model):
    return {
        name.removesuffix(".adapter")
        for name, m in model.named_modules()
        if name.endswith(".adapter")
    }


@pytest.mark.parametrize(
    ("family", "attention", "feed_forward"),
    [
        ("bert", "layer.{}.attention.output.dense", "layer.{}.output.dense"),
        ("distilbert", "layer.{}.attention.out_lin", "layer.{}.ffn.lin2"),
        ("modernbert", "layers.{}.attn.Wo", "layers.{}.mlp.Wo"),
        ("mpnet", "layer.{}.attention.attn.o", "layer.{}.output.dense"),
        ("deberta-v2", "layer.{}.attention.output.dense", "layer.{}.output.dense"),
    ],
)
def test_pfeiffer_follows_the_feed_forward_block_and_houlsby_attention_too(
    family, attention, feed_forward, build
):
    one = {name.partition(".layer")[2] for name in places(build(family, Adapters()))}
    both = {name.partition(".layer")[2] for name in places(build(family, Adapters("houlsby")))}
    wanted = {feed_forward.format(index).removeprefix("layer") for index in (0, 1)}
    assert one == wanted
    assert both == wanted | {attention.format(index).removeprefix("layer") for index in (0, 1)}


def test_albert_shares_its_adapter_as_it_shares_its_layer(build):
    (place,) = places(build("albert", Adapters()))
    assert place.endswith("albert_layers.0.ffn_output")


def test_an_adapter_is_a_bottleneck_with_a_residual():
    adapter = Bottleneck(6, 2)
    x = torch.randn(4, 6)
    assert torch.equal(adapter(x), x)
    with torch.no_grad():
        for weight in adapter.parameters():
            weight.normal_()
    inner = x @ adapter.down.weight.T + adapter.down.bias
    inner = inner * (1 + torch.erf(inner / 2**0.5)) / 2
    torch.testing.assert_close(adapter(x), x + inner @ adapter.up.weight.T + adapter.up.bias)


@pytest.mark.parametrize(("reduction", "inner"), [(1, 16), (4, 4), (5, 3), (16, 1), (100, 1)])
def test_the_inner_width_is_a_share_of_the_encoders(reduction, inner, build):
    model = build("bert", Adapters(reduction=reduction))
    assert model.bert.encoder.layer[0].output.dense.adapter.down.out_features == inner


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reduction": 0.5}, r"tuning\.reduction=0\.5 is below 1"),
        ({"placement": "both"}, r"tuning\.placement='both' is unknown; choose houlsby or pfeiffer"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Adapters(**settings)


def test_a_family_with_other_blocks_is_refused(build, monkeypatch):
    monkeypatch.setattr(adapters, "feed_forward_outputs", lambda encoder: [])
    with pytest.raises(ConfigError, match="does not know the blocks of this bert; use LoRA"):
        build("bert", Adapters())
