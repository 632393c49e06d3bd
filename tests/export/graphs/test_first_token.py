"""The last layer computes for the first token alone, where the head reads no other."""

from __future__ import annotations

import onnx

from lightning_tune_export.contenders import onnx_session
from lightning_tune_export.measure import equal_length
from lightning_tune_export.onnx_graph import export_portable


def shapes_of_products(path):
    """Return rows a text of each product's result, by running the graph on 5 tokens."""
    model = onnx.load(path)
    names = [node.output[0] for node in model.graph.node if node.op_type in ("MatMul", "Attention")]
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, None))
    batch = dict(equal_length(2, 5, with_types=True, vocabulary=200))
    values = onnx_session(model.SerializeToString(), threads=1).run(names, batch)
    return [value.shape[-2] for value in values]


def cuts(path):
    """Return the values that are cut to the first token."""
    nodes = onnx.load(path).graph.node
    return [name for node in nodes for name in node.output if name.startswith("first_token")]


def test_only_keys_and_values_of_the_last_layer_are_computed_for_all(fused):
    # Of each layer: query, key, value, attention, its output, feed-forward up and down.
    assert shapes_of_products(fused) == [5] * 7 + [1, 5, 5, 1, 1, 1, 1]


def test_written_out_attention_is_followed_by_one_token(bert, tmp_path):
    export_portable(bert, tmp_path / "model.onnx", with_types=True)
    assert shapes_of_products(tmp_path / "model.onnx")[-3:] == [1, 1, 1]


def test_a_head_that_reads_all_tokens_keeps_them(tiny_classifier, tmp_path):
    classifier = tiny_classifier("modernbert")
    classifier.encoder.config.classifier_pooling = "mean"
    export_portable(classifier, tmp_path / "mean.onnx", with_types=False)
    classifier.encoder.config.classifier_pooling = "cls"
    export_portable(classifier, tmp_path / "cls.onnx", with_types=False)
    assert not cuts(tmp_path / "mean.onnx")
    assert cuts(tmp_path / "cls.onnx")
