"""IA3's factors: where they stand, and what they multiply."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.models.peft import IA3, ia3

LAYER = "bert.encoder.layer.0"


def factors(model):
    return {
        name.removesuffix(".ia3_l.default"): weight
        for name, weight in model.named_parameters()
        if "ia3_l" in name
    }


def test_keys_values_and_inner_activations_are_multiplied(build):
    model = build("bert", IA3())
    found = factors(model)
    assert len(found) == 2 * 3
    assert all(torch.equal(factor, torch.ones_like(factor)) for factor in found.values())
    x, inner = torch.randn(5, 16), torch.randn(5, 32)
    with torch.no_grad():
        for factor in found.values():
            factor.copy_(torch.rand(factor.shape) + 0.5)
    for part in ("key", "value"):
        name = f"{LAYER}.attention.self.{part}"
        layer = model.get_submodule(name)
        torch.testing.assert_close(layer(x), layer.base_layer(x) * found[name].flatten())
    name = f"{LAYER}.output.dense"
    layer = model.get_submodule(name)
    torch.testing.assert_close(layer(inner), layer.base_layer(inner * found[name].flatten()))


def test_the_users_layers_are_the_only_ones(build):
    model = build("bert", IA3(targets=["query"], feed_forward=["intermediate.dense"]))
    found = factors(model)
    assert {name.removeprefix(f"{LAYER}.") for name in found if name.startswith(LAYER)} == {
        "attention.self.query",
        "intermediate.dense",
    }
    assert found[f"{LAYER}.intermediate.dense"].numel() == 16  # its inputs
    assert found[f"{LAYER}.attention.self.query"].numel() == 16


def test_a_family_with_other_names_has_to_name_its_layers(build, monkeypatch):
    monkeypatch.setattr(ia3, "keys_and_values", lambda encoder: [])
    monkeypatch.setattr(ia3, "feed_forward_outputs", lambda encoder: [])
    with pytest.raises(ConfigError, match=r"this bert; name its layers in tuning\.targets\.$"):
        build("bert", IA3())
    assert len(factors(build("bert", IA3(targets=["value"])))) == 2
