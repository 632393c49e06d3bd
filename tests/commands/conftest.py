"""For the commands that take a bundle: one whose answers a reader can tell."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lightning_tune.schema import LabelSet
from lightning_tune.serving.encoding import EncodingSettings
from lightning_tune.serving.manifest import InputColumns, Manifest, write_manifest
from lightning_tune.serving.sums import write_sums


@pytest.fixture
def bundle(tmp_path, tiny_tokenizer) -> str:
    """A bundle that looks for the word "good", in the column message."""
    folder = tmp_path / "bundle"
    (folder / "onnx").mkdir(parents=True)
    table = np.zeros((tiny_tokenizer.get_vocab_size(), 2), np.float32)
    table[tiny_tokenizer.token_to_id("good")] = [-1, 1]
    ids = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask")
    ]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("ReduceSum", ["tokens", "axis"], ["logits"], keepdims=0),
    ]
    tables = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([1]), "axis"),
    ]
    graph = helper.make_graph(nodes, "good", ids, [logits], tables)
    opset = helper.make_opsetid("", 18)
    onnx.save(
        helper.make_model(graph, opset_imports=[opset], ir_version=10), folder / "onnx/model.onnx"
    )
    tiny_tokenizer.save(str(folder / "tokenizer.json"))
    labels = LabelSet("binary", ("other", "good"), "good")
    manifest = Manifest(
        labels, EncodingSettings(16), 0, with_types=False, fields=InputColumns("message")
    )
    write_manifest(folder, manifest)
    write_sums(folder)
    return str(folder)
