"""LoRA and DoRA against their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.models.peft import DoRA, LoRA

QUERY = "bert.encoder.layer.1.attention.self.query"


def shaken(layer):
    with torch.no_grad():
        for weight in layer.parameters():
            if weight.requires_grad:
                weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(5)))
    return layer


def parts(layer):
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    return layer.base_layer.weight, layer.base_layer.bias, a, b


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({"rank": 2, "alpha": 16.0}, 8.0),
        ({"rank": 4, "alpha": 2.0}, 0.5),
        ({"rank": 4, "alpha": 3.0, "rank_stabilized": True}, 3.0 / math.sqrt(4)),
    ],
)
def test_lora_is_the_weight_and_a_scaled_product(settings, scale, build):
    layer = shaken(build("bert", LoRA(**settings)).get_submodule(QUERY))
    weight, bias, a, b = parts(layer)
    assert a.shape == (settings["rank"], 16)
    x = torch.randn(3, 16)
    torch.testing.assert_close(layer(x), x @ (weight + scale * b @ a).T + bias)


def test_dora_gives_every_row_of_the_changed_weight_its_own_length(build):
    layer = shaken(build("bert", DoRA(rank=2, alpha=6.0)).get_submodule(QUERY))
    weight, bias, a, b = parts(layer)
    length = layer.lora_magnitude_vector["default"].weight
    changed = weight + 3.0 * b @ a
    unit = changed / changed.norm(dim=1, keepdim=True)
    x = torch.randn(3, 16)
    torch.testing.assert_close(layer(x), x @ (length[:, None] * unit).T + bias)


def test_the_users_targets_are_the_only_ones(build):
    model = build("bert", LoRA(rank=1, targets=["query", "intermediate.dense"]))
    changed = {name.split(".lora_")[0] for name, _ in model.named_parameters() if ".lora_" in name}
    layers = [f"bert.encoder.layer.{index}" for index in (0, 1)]
    assert changed == {f"{layer}.attention.self.query" for layer in layers} | {
        f"{layer}.intermediate.dense" for layer in layers
    }


def test_dropout_acts_on_the_change_alone(build):
    layer = shaken(build("bert", LoRA(rank=2, dropout=0.9)).get_submodule(QUERY)).train()
    x = torch.ones(500, 16)
    rows = layer(x).detach()
    weight, bias, *_ = parts(layer)
    plain = torch.nn.functional.linear(x[0], weight, bias)
    untouched = (rows - plain).abs().amax(dim=1) < 1e-5
    assert 0.9**16 * 0.5 < untouched.float().mean() < 0.9**16 * 1.5
    assert torch.equal(layer.eval()(x)[0], layer(x)[1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, r"tuning\.rank=0 is below 1; 8 is usual\."),
        ({"alpha": 0.0}, r"tuning\.alpha=0\.0 is not above 0; twice the rank"),
        ({"alpha": math.nan}, r"tuning\.alpha=nan is not above 0"),
        ({"dropout": 1.0}, r"tuning\.dropout=1\.0 is outside \[0, 1\)"),
    ],
)
@pytest.mark.parametrize("kind", [LoRA, DoRA])
def test_settings_outside_their_range_are_refused(kind, settings, message):
    with pytest.raises(ConfigError, match=message):
        kind(**settings)


def test_the_same_seed_gives_the_same_start(build):
    first, second = (build("bert", LoRA(rank=2)).get_submodule(QUERY) for _ in range(2))
    assert torch.equal(first.lora_A["default"].weight, second.lora_A["default"].weight)
    assert first.lora_A["default"].weight.abs().sum() > 0
    assert first.lora_B["default"].weight.abs().sum() == 0
