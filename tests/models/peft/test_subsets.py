"""Biases alone, and the last layers alone."""

from __future__ import annotations

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.models.peft import BitFit, LastLayers

TOP = {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"}


def trained(model):
    return {name for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_the_last_layers_train_and_what_is_below_them_stays(layers, build):
    names = set(dict(build("bert").named_parameters()))
    above = {
        name
        for name in names
        if any(name.startswith(f"bert.encoder.layer.{index}.") for index in range(2 - layers, 2))
    }
    assert trained(build("bert", LastLayers(layers))) == TOP | above


def test_the_normalisation_above_the_layers_goes_with_them(build):
    assert "model.final_norm.weight" in trained(build("modernbert", LastLayers(1)))
    assert "model.final_norm.weight" not in trained(build("modernbert", LastLayers(0)))


def test_positions_that_all_layers_share_stay(build):
    assert "mpnet.encoder.relative_attention_bias.weight" not in trained(
        build("mpnet", LastLayers(2))
    )


@pytest.mark.parametrize(("family", "depth"), [("bert", 2), ("albert", 1)])
@pytest.mark.parametrize("layers", [-1, 3])
def test_more_layers_than_there_are_is_refused(family, depth, layers, build):
    with pytest.raises(ConfigError, match=rf"tuning\.layers={layers} is outside 0 to {depth}"):
        build(family, LastLayers(layers))


@pytest.mark.parametrize("family", ["bert", "mpnet", "deberta-v2"])
def test_bitfit_trains_every_bias_and_no_weight_below_the_head(family, build):
    model = build(family, BitFit())
    body = {name for name in trained(model) if name.startswith(f"{model.base_model_prefix}.")}
    biases = {
        name
        for name, _ in model.named_parameters()
        if name.startswith(f"{model.base_model_prefix}.") and name.rpartition(".")[2] == "bias"
    }
    assert body - {"bert.pooler.dense.weight"} == biases
