"""Where an ONNX file keeps its weights, as the onnx package writes it."""

from __future__ import annotations

import random
from contextlib import suppress

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lightning_tune.errors import BundleError
from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.external_data import check_external_data, locations
from lightning_tune.serving.sums import write_sums


def external(name: str, location: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "16"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def graph(*initializers: TensorProto, nodes: tuple = ()) -> onnx.GraphProto:
    out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [4])
    return helper.make_graph(list(nodes), "g", [], [out], list(initializers))


def holding(where: str) -> onnx.ModelProto:
    """A model with one tensor whose data lie in a file, in one of the places there are."""
    tensor = external("w", f"{where}.bin")
    if where == "initializer":
        return helper.make_model(graph(tensor))
    if where == "sparse":
        indices = numpy_helper.from_array(np.arange(4), "i")
        made = graph()
        made.sparse_initializer.append(helper.make_sparse_tensor(tensor, indices, [4]))
        return helper.make_model(made)
    inner = graph(tensor)
    constant = helper.make_node("Constant", [], ["logits"], value=tensor)
    branch = helper.make_node("If", ["c"], ["logits"], then_branch=inner, else_branch=inner)
    if where == "constant":
        return helper.make_model(graph(nodes=(constant,)))
    if where == "branch":
        return helper.make_model(graph(nodes=(branch,)))
    opset = helper.make_opsetid("", 18)
    function = helper.make_function("ours", "f", [], ["logits"], [constant], [opset])
    return helper.make_model(graph(), functions=[function])


@pytest.mark.parametrize("where", ["initializer", "sparse", "constant", "branch", "function"])
def test_data_outside_the_file_are_found_wherever_they_are_named(tmp_path, where):
    path = tmp_path / "model.onnx"
    path.write_bytes(holding(where).SerializeToString())
    assert locations(path) == {f"{where}.bin"}


def test_data_inside_the_file_are_no_matter(write_bundle):
    assert locations(write_bundle().path / "onnx" / "model.onnx") == set()


@pytest.mark.parametrize(
    ("location", "allowed"),
    [
        ("weights.bin", True),
        ("more/weights.bin", True),
        ("../tokenizer.json", False),
        ("/etc/hostname", False),
        ("other.bin", False),
        ("..\\\\weights.bin", False),
        ("", False),
    ],
)
def test_only_files_of_the_bundle_may_be_read(tmp_path, location, allowed):
    (tmp_path / "onnx").mkdir()
    model = helper.make_model(graph(external("w", location)))
    (tmp_path / "onnx" / "model.onnx").write_bytes(model.SerializeToString())
    listed = {"onnx/model.onnx", "onnx/weights.bin", "onnx/more/weights.bin", "tokenizer.json"}
    if allowed:
        check_external_data(tmp_path, "onnx/model.onnx", listed)
        return
    with pytest.raises(BundleError, match="which is no file of the bundle; it is refused"):
        check_external_data(tmp_path, "onnx/model.onnx", listed)


def test_a_bundle_that_reads_outside_its_folder_is_refused(write_bundle, tmp_path):
    """Its checksums are right: who made it meant it."""
    path = write_bundle().path
    (tmp_path / "secret").write_bytes(bytes(16))
    model = onnx.load(path / "onnx" / "model_quantized.onnx")
    model.graph.initializer.append(external("w", "../../secret"))
    onnx.save(model, path / "onnx" / "model_quantized.onnx")
    write_sums(path)
    with pytest.raises(BundleError, match=r"reads '\.\./\.\./secret', which is no file"):
        Bundle(path)


def test_what_is_no_onnx_file_is_one_line(tmp_path, write_bundle):
    whole = (write_bundle().path / "onnx" / "model.onnx").read_bytes()
    path = tmp_path / "broken.onnx"
    generator = random.Random(0)
    for _ in range(200):
        at = generator.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([generator.randrange(256)]) + whole[at + 1 :])
        with suppress(BundleError):  # many are still files of this form
            locations(path)
    for content in (b"", b"text", whole[:100]):
        path.write_bytes(content)
        with pytest.raises(BundleError, match=r"broken\.onnx is no ONNX file"):
            locations(path)
