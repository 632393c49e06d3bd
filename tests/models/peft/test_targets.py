"""The linear layers that are found, against the families' own names written out by hand."""

from __future__ import annotations

import pytest
from torch import nn

from lightning_tune.errors import ConfigError
from lightning_tune.models.peft.targets import (
    attention_outputs,
    feed_forward_outputs,
    keys_and_values,
    linear_layers,
    named,
)

BERT = {
    "all": [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    ],
    "keys_and_values": ["attention.self.key", "attention.self.value"],
    "attention": ["attention.output.dense"],
    "feed_forward": ["output.dense"],
}
DISTILBERT = {
    "all": [
        *(f"attention.{name}" for name in ("q_lin", "k_lin", "v_lin", "out_lin")),
        "ffn.lin1",
        "ffn.lin2",
    ],
    "keys_and_values": ["attention.k_lin", "attention.v_lin"],
    "attention": ["attention.out_lin"],
    "feed_forward": ["ffn.lin2"],
}
ALBERT = {
    "all": [
        *(f"attention.{name}" for name in ("query", "key", "value", "dense")),
        "ffn",
        "ffn_output",
    ],
    "keys_and_values": ["attention.key", "attention.value"],
    "attention": ["attention.dense"],
    "feed_forward": ["ffn_output"],
}
DEBERTA = BERT | {
    "all": [name + "_proj" if ".self." in name else name for name in BERT["all"]],
    "keys_and_values": [f"{name}_proj" for name in BERT["keys_and_values"]],
}
MODERNBERT = {
    "all": ["attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo"],
    "keys_and_values": ["attn.Wqkv"],
    "attention": ["attn.Wo"],
    "feed_forward": ["mlp.Wo"],
}
MPNET = {
    "all": [*(f"attention.attn.{name}" for name in "qkvo"), "intermediate.dense", "output.dense"],
    "keys_and_values": ["attention.attn.k", "attention.attn.v"],
    "attention": ["attention.attn.o"],
    "feed_forward": ["output.dense"],
}
PREFIX = {
    "bert": (BERT, "bert.encoder.layer.{}."),
    "roberta": (BERT, "roberta.encoder.layer.{}."),
    "xlm-roberta": (BERT, "roberta.encoder.layer.{}."),
    "electra": (BERT, "electra.encoder.layer.{}."),
    "distilbert": (DISTILBERT, "distilbert.transformer.layer.{}."),
    "albert": (ALBERT, "albert.encoder.albert_layer_groups.0.albert_layers.{}."),
    "deberta-v2": (DEBERTA, "deberta.encoder.layer.{}."),
    "modernbert": (MODERNBERT, "model.layers.{}."),
    "mpnet": (MPNET, "mpnet.encoder.layer.{}."),
}


@pytest.mark.parametrize("family", PREFIX)
def test_the_layers_of_a_family_are_found(family, build):
    model = build(family)
    by_hand, prefix = PREFIX[family]
    layers = [0] if family == "albert" else [0, 1]
    found = {
        "all": linear_layers(model),
        "keys_and_values": keys_and_values(model),
        "attention": attention_outputs(model),
        "feed_forward": feed_forward_outputs(model),
    }
    for role, names in by_hand.items():
        wanted = {prefix.format(layer) + name for layer in layers for name in names}
        assert set(found[role]) == wanted, role


def test_a_name_is_matched_by_its_whole_parts(build):
    model = build("mpnet")
    assert named(model, ["q"], "targets") == [
        f"mpnet.encoder.layer.{layer}.attention.attn.q" for layer in (0, 1)
    ]
    assert len(named(model, ["dense"], "targets")) == 4


@pytest.mark.parametrize(
    ("wanted", "hint"), [("qeury", "'query'"), ("classifier", ""), ("attention.self.kye", "key'")]
)
def test_a_name_of_no_layer_is_refused_with_those_there_are(wanted, hint, build):
    with pytest.raises(
        ConfigError, match=r"names no linear layer of this bert; choose from"
    ) as err:
        named(build("bert"), [wanted], "targets")
    assert str(err.value).startswith(f"tuning.targets: {wanted!r}")
    assert hint in str(err.value)
    assert "\n" not in str(err.value)


def test_an_encoder_without_linear_layers_is_refused(build):
    model = build("bert")
    model.bert.encoder = nn.Identity()
    with pytest.raises(ConfigError, match=r"this bert; it can only be tuned whole"):
        linear_layers(model)
