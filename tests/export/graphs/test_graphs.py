"""Every family's graphs answer as its classifier does, in shapes and companies never seen."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import onnx
import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface

from lightning_tune.models.fast import accelerate
from lightning_tune.models.peft import IA3, Adapters, LoRA, Prefix
from lightning_tune_export.contenders import onnx_runner, onnx_session
from lightning_tune_export.fused_graph import export_fused
from lightning_tune_export.onnx_graph import export_portable
from lightning_tune_export.parity import check_parity, random_sequences

WITH_TYPES = ("bert", "electra", "albert", "deberta-v2")
UNFUSED = ("deberta-v2", "mpnet")


def parity(path, classifier, *, with_types):
    run = onnx_runner(onnx_session(path, threads=1))
    texts = random_sequences(classifier, 40, longest=60, with_types=with_types)
    found = check_parity(run, classifier, texts, with_types=with_types)
    assert found.answers == 160
    assert found.largest > 0.1
    return found


def operators(path):
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def test_a_family_answers_alike_in_standard_operators(family, tiny_classifier, tmp_path):
    classifier, with_types = tiny_classifier(family), family in WITH_TYPES
    accelerate(classifier.encoder)  # as a trained one is
    export_portable(classifier, tmp_path / "model.onnx", with_types=with_types)
    model = onnx.load(tmp_path / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {each.domain for each in model.opset_import} == {""}
    found = parity(tmp_path / "model.onnx", classifier, with_types=with_types)
    assert found.difference <= 1e-4
    assert found.flips == 0


def test_a_family_answers_alike_with_fused_attention(family, tiny_classifier, tmp_path):
    classifier, with_types = tiny_classifier(family), family in WITH_TYPES
    made = export_fused(classifier, tmp_path / "fused.onnx", with_types=with_types)
    if family in UNFUSED:
        assert made.path is None
        assert "attention of its own" in made.reason
        return
    assert made.attentions == 2
    assert operators(made.path)["Attention"] == 2
    assert operators(made.path)["Softmax"] == 0
    onnx.checker.check_model(onnx.load(made.path))
    found = parity(made.path, classifier, with_types=with_types)
    assert found.difference <= 1e-4
    assert found.flips == 0


def test_inputs_and_output_are_named_with_their_axes(fused):
    graph = onnx.load(fused).graph
    axes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    both = ["batch", "sequence"]
    assert axes == {
        "input_ids": both,
        "attention_mask": both,
        "token_type_ids": both,
        "logits": ["batch", 3],
    }


def test_a_graph_says_nothing_of_the_machine_and_is_the_same_twice(bert, tmp_path):
    for name in ("one.onnx", "two.onnx"):
        export_portable(bert, tmp_path / name, with_types=True)
    content = (tmp_path / "one.onnx").read_bytes()
    assert content == (tmp_path / "two.onnx").read_bytes()
    checkout = str(Path(__file__).parents[3])
    traces = (checkout, sys.prefix, str(tmp_path), ".py", "site-packages")
    assert not [trace for trace in traces if trace.encode() in content]


def test_the_classifier_is_left_as_it_was(bert, tmp_path):
    before = bert.encoder.config._attn_implementation
    functions, masks = dict(AttentionInterface()), dict(AttentionMaskInterface())
    bert.encoder.train()
    try:
        export_fused(bert, tmp_path / "fused.onnx", with_types=True)
        assert bert.encoder.training
        assert bert.encoder.bert.encoder.layer[0].training
    finally:
        bert.encoder.eval()
    assert bert.encoder.config._attn_implementation == before
    assert dict(AttentionInterface()) == functions
    assert dict(AttentionMaskInterface()) == masks


def test_a_classifier_in_training_is_exported_without_its_dropout(bert, tmp_path):
    bert.encoder.train()
    try:
        export_portable(bert, tmp_path / "model.onnx", with_types=True)
    finally:
        bert.encoder.eval()
    assert operators(tmp_path / "model.onnx")["Dropout"] == 0
    assert parity(tmp_path / "model.onnx", bert, with_types=True).difference <= 1e-4


def test_layers_with_fewer_heads_are_fused_with_as_many_as_they_have(tiny_classifier, tmp_path):
    classifier = tiny_classifier("bert")
    attention = classifier.encoder.bert.encoder.layer[0].attention
    own, output = attention.self, attention.output
    with torch.no_grad():
        for linear in (own.query, own.key, own.value):  # the second of two heads of size 8 stays
            linear.weight = torch.nn.Parameter(linear.weight[8:])
            linear.bias = torch.nn.Parameter(linear.bias[8:])
        output.dense.weight = torch.nn.Parameter(output.dense.weight[:, 8:].contiguous())
    made = export_fused(classifier, tmp_path / "fused.onnx", with_types=True)
    heads = [
        attribute.i
        for node in onnx.load(made.path).graph.node
        for attribute in node.attribute
        if attribute.name == "q_num_heads"
    ]
    assert heads == [1, 2]
    assert parity(made.path, classifier, with_types=True).difference <= 1e-4


@pytest.mark.parametrize("tuning", [LoRA(), IA3(), Adapters(), Prefix(tokens=3)], ids=str)
def test_what_tuning_added_is_exported_with_it(tuning, tiny_classifier, tmp_path):
    classifier = tiny_classifier("bert", tuning=tuning)
    if tuning.merges:
        tuning.merge(classifier.encoder)
    made = export_fused(classifier, tmp_path / "fused.onnx", with_types=True)
    export_portable(classifier, tmp_path / "model.onnx", with_types=True)
    for path in (made.path, tmp_path / "model.onnx"):
        assert parity(path, classifier, with_types=True).difference <= 1e-4
